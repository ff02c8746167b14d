"""The last lines of a step's log, as a person would have seen them, with nothing secret in them."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from json import dumps
from urllib.parse import quote, quote_plus

from .terminal import shown, undecorated

LINE = 500  # characters of a line that are kept
SHORTEST = 4  # characters; masking each `1` or `eu` would leave nothing to read
SHORTEST_BASE64 = 6  # characters; of a shorter piece every other word is one
MASK = "****"

_PERCENT = re.compile("%[0-9A-F]{2}")


def tail(raw: bytes, lines: int, secrets: Iterable[str], *, cut_in_front: bool = False) -> str:
    """The last `lines` lines of a log, blank ones at its end not counted, each cut at 500 characters.

    Colours and other escape sequences go, progress that was drawn over with carriage returns is what it was at last,
    and bytes that are not UTF-8 become U+FFFD. `cut_in_front` says that `raw` starts in the middle of a log: its first
    line is a piece of one, perhaps with the rest of a secret in it, and is left out.

    Every value in `secrets` of at least 4 characters becomes `****`, however the log spells it: as it is, each line of
    it by itself, in a URL, in JSON, in base64 (also as a part of more, as in `Authorization: Basic`), and with escape
    sequences or carriage returns in the middle. Takes time and memory in proportion to `raw`; raises nothing.
    """
    text = raw.decode("utf-8", "replace")
    if cut_in_front:
        text = text.partition("\n")[2]
    spellings = _spellings(secrets)
    # Thrice: a secret may be whole only before, between or after the cleaning, and pieces of it must not stay.
    text = _masked(undecorated(_masked(text, spellings)), spellings)

    last: list[str] = []
    for line in reversed(text.split("\n")):
        if len(last) >= lines:
            break
        line = shown(line).rstrip()
        if line or last:
            line = _masked(line, spellings)
            last.append(line if len(line) <= LINE else line[: LINE - 1] + "…")
    return "\n".join(reversed(last))


def _spellings(secrets: Iterable[str]) -> list[str]:
    found: set[str] = set()
    for secret in secrets:
        secret = secret.strip()
        for value in {secret, *(line.strip() for line in secret.splitlines())}:
            if len(value) < SHORTEST:
                continue
            data = value.encode("utf-8", "replace")
            in_urls = {quote(data, safe=""), quote(data), quote_plus(data)}
            found |= {value, dumps(value)[1:-1], dumps(value, ensure_ascii=False)[1:-1], *in_urls}
            found |= {_PERCENT.sub(lambda code: code[0].lower(), spelling) for spelling in in_urls}
            found |= _base64_pieces(data)
    return [*found]


def _base64_pieces(data: bytes) -> set[str]:
    """What is the same in every base64 text that holds the data, for each of the three places it may start at."""
    pieces = set()
    for before in range(3):
        first, end = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        piece = b64encode(b"\0" * before + data + b"\0\0").decode()[first:end]
        if len(piece) >= SHORTEST_BASE64:
            pieces |= {piece, piece.translate(str.maketrans("+/", "-_"))}
    return pieces


def _masked(text: str, spellings: list[str]) -> str:
    spans: list[tuple[int, int]] = []
    for spelling in spellings:
        start = stop = text.find(spelling)
        at = start
        while at >= 0:
            if at > stop:
                spans.append((start, stop))
                start = at
            stop = at + len(spelling)
            at = text.find(spelling, at + 1)  # overlapping ones too: nothing of either may stay
        if start >= 0:
            spans.append((start, stop))
    if not spans:
        return text
    pieces, end = [], 0
    for start, stop in sorted(spans):
        if start > end or not pieces:
            pieces += [text[end:start], MASK]
        end = max(end, stop)
    return "".join((*pieces, text[end:]))
