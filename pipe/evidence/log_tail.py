"""The last lines of a step's log, as a person would have seen them, with nothing secret in them."""

from __future__ import annotations

from collections.abc import Callable

from pipe.lib.text import shown, undecorated

MAX_LINE = 500  # characters of a line that are kept
MAX_TAIL = 32_000  # characters of it all: what stood last says most, so the front gives way


def tail(raw: bytes, lines: int, conceal: Callable[[str], str], cut_in_front: bool) -> str:
    """The last `lines` lines of a log, empty ones at its end not counted, each cut at 500 characters.

    Colours and other escape sequences go, progress that was drawn over with carriage returns is what it was at last,
    and bytes that are not UTF-8 become U+FFFD. `cut_in_front` says that `raw` starts in the middle of a log: its first
    line is a piece of one, perhaps with the rest of a secret in it, and is left out.

    `conceal` hides secrets. Takes time and memory in proportion to `raw`; raises nothing.
    """
    text = raw.decode("utf-8", "replace")
    if cut_in_front:
        text = text.partition("\n")[2]
    # Thrice: a secret may be whole only before, between or after the cleaning, and pieces of it must not stay.
    text = conceal(undecorated(conceal(text)))

    last: list[str] = []
    size = 0
    for line in reversed(text.split("\n")):
        line = conceal(shown(line).rstrip())
        if not line and not last:
            continue
        line = line if len(line) <= MAX_LINE else line[: MAX_LINE - 1] + "…"
        size += len(line) + 1
        if len(last) >= lines or size > MAX_TAIL:
            break
        last.append(line)
    return "\n".join(reversed(last))
