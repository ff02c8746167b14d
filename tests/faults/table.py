"""docs/faults.md: what came of every row, in a form that another run of the same pipe hardly changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby

from tests.conftest import ROOT
from tests.faults.matrix import ROWS, STATUSES
from tests.faults.running import Seen

DOCUMENT = ROOT / "docs/faults.md"
MAX_SAID = 100  # characters of the log's last line

INTRODUCTION = """\
# Faults of the delivery

What becomes of a page when the network, the proxy or the server fails: {rows} faults and each of the {statuses} statuses from
100 to 599. In each row the pipe runs as a process of its own against real sockets; after each of them it is checked that

- nothing is lost: the event that the log prints is, with the key put back, the one that was sent, and one that the sandbox takes;
- exit status 0 means that the server answered 202;
- the key is nowhere in the log and at no other host, plain, URL-encoded or in base64, and there is no traceback;
- it is over within TIMEOUT and 5 s, and within 64 MiB.

Last run: {date}, by `make faults`, which writes this page. What must come of each row stands in
[matrix.py](../tests/faults/matrix.py), by the design and by PagerDuty's documentation.

*Delivered*: PagerDuty said 202. *Printed*: it could not be delivered; exit 1, and the log holds the event to be sent by hand.
*Retried*: after a wait. *Smallest form*: a 400 that is not about the key has the plainest page sent instead. *Attempts*:
connections that reached the server / attempts in the log; how many go into a TIMEOUT is up to chance (*several*). *Seconds*
from the start of Python, with the TIMEOUT in brackets; a run writes a figure anew only where it is off threefold.
"""


def write(seen: Iterable[Seen]) -> None:
    found = {(one.row.group, one.row.name): one for one in seen}
    before = {(group, fault): cells for group, fault, *cells in _rows()}
    lines = [INTRODUCTION.format(rows=len(ROWS), statuses=len(STATUSES), date=datetime.now(UTC).date())]
    for group in dict.fromkeys(row.group for row in ROWS):
        lines += [f"## {group}\n", "| fault | outcome | attempts | seconds | exit | the log's last word |"]
        lines += ["| --- | --- | --- | --- | --- | --- |"]
        lines += [_line(found[group, row.name], before) for row in ROWS if row.group == group]
        lines += [""]
    lines += ["## status\n", "Each is answered once, and 202 to whoever comes again; a redirect names another host.\n"]
    lines += ["| status | outcome | attempts | exit |", "| --- | --- | --- | --- |"]
    lines += [_status_line([found["status", name] for name in names]) for _, names in ranges()]
    DOCUMENT.write_text("\n".join(lines) + "\n")


def read() -> list[tuple[str, str, str]]:
    """Group, fault and outcome of each line in the document, in order."""
    return [(row[0], row[1], row[2]) for row in _rows()]


def _rows() -> list[list[str]]:
    """Group and cells of each line in the document; none where there is no document yet."""
    found, group = [], ""
    for line in DOCUMENT.read_text().splitlines() if DOCUMENT.exists() else ():
        if line.startswith("## "):
            group = line[3:]
        elif group and line.startswith("| ") and not line.startswith(("| ---", "| fault |", "| status |")):
            found.append([group, *line.removeprefix("| ").removesuffix(" |").split(" | ")])
    return found


def expected() -> list[tuple[str, str, str]]:
    """What the document must say, by the matrix."""
    return [(row.group, row.name, row.expected) for row in ROWS] + [
        ("status", _named(names), outcome) for outcome, names in ranges()
    ]


def ranges() -> list[tuple[str, list[str]]]:
    """The statuses by what is expected of them, one outcome after the other."""
    by_outcome: dict[str, list[str]] = {}
    for row in STATUSES:
        by_outcome.setdefault(row.expected, []).append(row.name)
    return list(by_outcome.items())


def _named(statuses: Sequence[str]) -> str:
    """`100, 102–199` out of all their numbers."""
    runs = [list(run) for _, run in groupby(enumerate(map(int, statuses)), key=lambda pair: pair[1] - pair[0])]
    return ", ".join(f"{run[0][1]}–{run[-1][1]}" if len(run) > 1 else str(run[0][1]) for run in runs)


def _line(seen: Seen, before: Mapping[tuple[str, str], list[str]]) -> str:
    row = seen.row
    _, _, seconds, _, said = before.get((row.group, row.name), ["", "", "", "", ""])
    took = f"{_rounded(seen.seconds, seconds.partition(' ')[0])} ({row.timeout})"
    cells = [row.name, seen.outcome, _attempts(seen), took, seen.status, _same(_said(seen.last), said)]
    return f"| {' | '.join(map(str, cells))} |"


def _status_line(seen: Sequence[Seen]) -> str:
    columns: Iterator[set[str]] = (
        {str(cell) for cell in column}
        for column in zip(*((one.outcome, _attempts(one), one.status) for one in seen), strict=True)
    )
    names = _named([one.row.name for one in seen])
    return f"| {' | '.join([names, *(', '.join(sorted(column)) for column in columns)])} |"


def _attempts(seen: Seen) -> str:
    if seen.row.expected_attempts > 0:
        return f"{seen.reached} / {seen.attempts}"
    return f"{'several' if seen.reached else 0} / several"


def _said(text: str) -> str:
    """As code, in which Markdown changes nothing."""
    plain = re.sub(r"[^\x20-\x7e…]", "?", text).replace("`", "'").replace("|", "\\|")
    return f"`{plain if len(plain) <= MAX_SAID else f'{plain[:MAX_SAID]}…'}`"


def _same(said: str, before: str) -> str:
    """Of a connection that ends, the system tells the one or the other, by chance."""
    cause = re.compile(r"no connection \(.*\)|the connection was closed without an answer")
    return before if cause.sub("", said) == cause.sub("", before) else said


def _rounded(seconds: float, before: str) -> int:
    if before and int(before) / 3 - 2 <= seconds <= int(before) * 3 + 2:
        return int(before)
    return max(1, round(seconds))
