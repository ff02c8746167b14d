"""A variable's value in, a parsed one out; a ValueError says what is wrong, without the variable's name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from pipe.lib.environment import encodable
from pipe.lib.globs import Glob
from pipe.lib.text import one_line

MOST_NESTED = 50  # levels of a JSON object
MAX_LINE_LENGTH = 100_000  # characters; what has a limit of its own is cut there, with a warning
MAX_QUOTED = 60  # characters of a bad value that are shown
_IN_TOKENS = re.escape("!#$%&*+-./:=?@^_~")
MAX_PATTERN_LENGTH = 250  # characters; git takes no longer names of branches
LONGEST_TIMEOUT = 7200  # seconds; a step of Bitbucket's ends after two hours by default


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.strip().lower() in choices:
            return value.strip().lower()
        raise ValueError(f"{quoted(value)} is not one of {', '.join(choices)}")

    return parse


def build_status(value: str) -> str:
    """`successful` (also `passed`, `success`), `failed`, `stopped`, `error` (also Bitbucket's `system_error` and
    `user_error`) or `expired`."""
    also = {"passed": "successful", "success": "successful", "system_error": "error", "user_error": "error"}
    word = value.strip().lower()
    return one_of("successful", "failed", "stopped", "error", "expired")(also.get(word, value))


def boolean(value: str) -> bool:
    return one_of("true", "false")(value) == "true"


def line(value: str) -> str:
    """On one line, without what a terminal or an incident's page must not be given."""
    return one_line(value, MAX_LINE_LENGTH)


trimmed = str.strip


def integer(value: str) -> int:
    """A whole number as a shell writes it: `0`, `137`, `-1`. Not `00`, `+1`, `1e3` or another script's digits."""
    if re.fullmatch(r"0|-?[1-9][0-9]{0,9}", value.strip()):
        return int(value)
    raise ValueError(f"{quoted(value)} is not an integer")


def count(value: str) -> int:
    if re.fullmatch(r"[0-9]{1,4}", value.strip()):
        return int(value)
    raise ValueError(f"{quoted(value)} is not a number from 0 to 9999")


def seconds(value: str) -> float:
    if re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", value.strip()) and 1 <= float(value) <= LONGEST_TIMEOUT:
        return float(value)
    raise ValueError(f"{quoted(value)} is not a number of seconds from 1 to {LONGEST_TIMEOUT}, e.g. 120")


def json_object(value: str) -> dict[str, Any]:
    try:
        parsed = json.loads(value)
        text = encodable(json.dumps(parsed, ensure_ascii=False, allow_nan=False))
        if not isinstance(parsed, dict):
            raise ValueError('it is not an object: write it as {"team": "payments"}')
        if _depth(parsed) > MOST_NESTED:
            raise ValueError(f"it is nested more than {MOST_NESTED} levels deep")
        whole: dict[str, Any] = json.loads(text)
        return whole
    except json.JSONDecodeError as error:
        example = 'write it as {"team": "payments"}'
        raise ValueError(f"it is not JSON: {error.msg} at character {error.pos + 1}; {example}") from None
    except RecursionError:
        raise ValueError(f"it is nested more than {MOST_NESTED} levels deep") from None


def integers(values: list[str]) -> tuple[int, ...]:
    if any(mark in value for value in values for mark in ",;"):
        raise ValueError(f"{quoted(' '.join(values))} has other marks than spaces: write `130 143`")
    return tuple(integer(word) for value in values for word in value.split())


def words(values: list[str]) -> tuple[str, ...]:
    return tuple(word for value in values for word in value.split())


def globs(values: list[str]) -> tuple[str, ...]:
    """Patterns separated by spaces. What is written in another language is refused: it would match nothing, and page
    nobody."""
    patterns = words(values)
    if patterns == ("all",):
        raise ValueError(f"{quoted('all')} is no pattern: leave the variable out, or write **")
    for pattern in patterns:
        if len(pattern) > MAX_PATTERN_LENGTH:
            raise ValueError(f"{quoted(pattern)} is no pattern: it is longer than {MAX_PATTERN_LENGTH} characters")
        if _is_another_language(pattern):
            raise ValueError(f"{quoted(pattern)} is no pattern: {_what_to_write(pattern)}")
        _read(pattern)
    return patterns


def file_globs(values: list[str]) -> tuple[str, ...]:
    """Patterns of files separated by spaces. Where in the clone they lead is seen when it is searched."""
    patterns = words(values)
    for pattern in patterns:
        _read(pattern)
    return patterns


def _read(pattern: str) -> None:
    try:
        Glob(pattern)
    except ValueError as error:
        raise ValueError(f"{quoted(pattern)} is no pattern: {error}") from None


def _is_another_language(pattern: str) -> bool:
    """By what stands around the alternatives, and by each of these."""
    inner = [part for found in re.findall(_ALTERNATIVES, pattern) for part in found[1:-1].split(",")]
    plain = re.sub(_ALTERNATIVES, "x", re.sub(_ALTERNATIVES, "x", pattern))
    return any(re.search(_ANOTHER_LANGUAGE, text) for text in (plain, *(part.strip("/.") for part in inner)))


_ALTERNATIVES = r"\{[^{},]*+,[^{}]*+\}"
# `[main]`, `main|develop`, `main;develop`, `^main$`, `/main`, `!main`, `refs/…`, commas, quotes, `{main}` of one item;
# and what no branch or tag can be called (git-check-ref-format): `main/`, `.*`, `main..dev`, `main~`, `origin:main`
_ANOTHER_LANGUAGE = r"^[/!]|^refs/|^\[[^]]*\]$|^\^|\$$|[|;,\"'{}]|/$|(^|/)\.|\.\.|[~:]"


def _what_to_write(pattern: str) -> str:
    if pattern.startswith("refs/"):
        return "write the name alone, without refs/heads/ or refs/tags/"
    if pattern.startswith("!"):
        return "exclusions are not understood; write the names that are meant"
    if re.search(r"^[/^]|[|$]|\.\*", pattern):
        return "regular expressions are not understood; write names and globs, e.g. main release/*"
    if re.search(r"[\[\]{},;\"']", pattern):
        return "write an array, or names separated by spaces"
    return "no branch and no tag can be called so"


def links(values: list[str]) -> tuple[tuple[str, str], ...]:
    """`Text https://…` or `https://…` each; pairs of text and address."""
    found = []
    for value in values:
        *text, address = value.split()
        if not re.fullmatch(r"https?://[^\s/]\S*", address):
            write = "write a YAML list" if value.lstrip().startswith("[") else "write `Runbook https://…`"
            raise ValueError(f"{quoted(value)} does not end in an address: {write}")
        found.append((" ".join(text), address))
    return tuple(found)


def base_address(value: str) -> str:
    """An http(s) address without a slash at its end. The value is never quoted: it may be one with a key in it."""
    address = value.strip()
    if "/integration/" in address:
        raise ValueError(
            "it is an integration URL, which is another endpoint with another kind of key: leave it out, and give the "
            '32-character integration key of an "Events API v2" integration as INTEGRATION_KEY'
        )
    try:
        parts = urlsplit(address)
        fits = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
        (parts.hostname or "").encode("idna")
    except ValueError:
        fits = False
    if not fits or re.search(r"\s", address) or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("it is not a base address: write https://host[:port][/path], or leave it out")
    return re.sub(r"/v2/(change/)?enqueue/?$", "", address).rstrip("/")


def integration_key(value: str) -> str:
    """32 letters and digits, not always hexadecimal (source: Events API v2 overview). The value is never quoted."""
    key = value.strip()
    if "://" in key or "/" in key:
        raise ValueError(
            'it is an address, not a key: in PagerDuty open the service, Integrations, "Events API v2", and copy the '
            "32 characters of its integration key"
        )
    if not re.fullmatch(r"[A-Za-z0-9]+", key):
        raise ValueError("it has characters other than letters and digits: copy the integration key again, alone")
    if len(key) == 20:
        raise ValueError(
            "it has 20 characters, so it is probably a REST API key: give the 32-character integration key of the "
            'service\'s "Events API v2" integration'
        )
    if len(key) != 32:
        raise ValueError(f"it has {len(key)} characters, an integration key has 32: copy it again, whole")
    return key


def quoted(value: str) -> str:
    """A value as it may be shown: short, in one line, without anything that could be a key in the wrong variable. Who
    masks it must not find a part of a secret: it is cut where no address and no token goes on."""
    text = re.sub(r"[A-Za-z0-9]{20,}", "****", line(value))
    if len(text) <= MAX_QUOTED:
        return f'"{text}"'
    first = re.match(rf".{{0,{MAX_QUOTED}}}(?<![\w{_IN_TOKENS}])", text)
    return f'"{first[0].rstrip() if first else ""}…"'


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)
