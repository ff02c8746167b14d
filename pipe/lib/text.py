"""Other people's text made fit to be shown: as a terminal would finally show it, with nothing in it that is not seen.

The sequences are those of ECMA-48 and xterm (https://invisible-island.net/xterm/ctlseqs/ctlseqs.html). Every pattern
is linear in the text's length: the text may be anybody's. They are compiled where there is something to remove:
most runs have nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_WIDTH = 600  # columns kept of a line that was drawn over, more than anybody here shows: what is jumped over is padded

# Strings (titles, hyperlinks), then all control sequences but those that change what stands on the line, then the
# short escapes. A string without its end is text that only looks like one: it stays.
_DECORATION = (
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x00-\x1f\x7f-\x9f]*+(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@ABEFH-JL-~]"
    r"|\x1b[ -/]*+[0-Z\\-~]"
)
# Cursor forward, back, to a column; erase in the line; carriage return and backspace; plain text; anything else.
_STEP = (
    r"(?:\x1b\[|\x9b)(?P<n>[0-9]{0,4}+)[0-?]*+[ -/]*+(?P<edit>[CDGK])|(?P<move>[\r\b])|(?P<text>[^\x1b\x9b\r\b]++)"
    r"|\x1b\[?|."
)
# Controls but the tab; line separators, the marks that change the reading order (https://unicode.org/reports/tr9/), and
# what UTF-8 cannot hold.
_CONTROL = "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
_EDITED = "[\x1b\x9b\r\b]"


def one_line(text: str, limit: int) -> str:
    """The text on one line of at most `limit` characters, each run of spaces a single one; a cut shows as `…`."""
    line = " ".join(" ".join(map(shown, undecorated(text).split("\n"))).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def masked_line(text: str, conceal: Callable[[str], str], limit: int) -> str:
    """The same with secrets hidden: once it is plain, for an escape sequence may stand in one; and before it is cut."""
    return one_line(conceal(one_line(text, len(text))), limit)


def listed(words: Sequence[str], most: int) -> str:
    """`a, b and c`; of more than `most` words, how many others there are stands behind those."""
    shown = [*words[:most], *([f"{len(words) - most} more"] if len(words) > most else ())]
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def undecorated(text: str) -> str:
    """The text without colours, titles and hyperlinks; what moves the cursor within a line is left for `shown`."""
    return text if text.isprintable() else re.sub(_DECORATION, "", text)


def shown(line: str) -> str:
    """What an undecorated line looks like in the end. Each character counts as one column wide."""
    if line.isprintable():
        return line
    if not re.search(_EDITED, line):
        return re.sub(_CONTROL, "", line)
    cells: list[str] = []
    column = 0
    for step in re.finditer(_STEP, line, re.DOTALL):
        if step["text"]:
            text = re.sub(_CONTROL, "", step["text"])[: _WIDTH - column]
            cells.extend(" " * (column - len(cells)))
            cells[column : column + len(text)] = text
            column += len(text)
        elif step["move"]:
            column = 0 if step["move"] == "\r" else max(0, column - 1)
        elif step["edit"] == "K":
            if step["n"] == "2":
                cells.clear()
            elif step["n"] == "1":
                cells[:column] = " " * min(column, len(cells))
            else:
                del cells[column:]
        elif step["edit"]:
            n = max(1, int(step["n"] or 1))
            column = {"C": column + n, "D": column - n, "G": n - 1}[step["edit"]]
            column = max(0, min(column, _WIDTH))
    return "".join(cells)
