"""`make faults`: plays every row of the matrix and writes docs/faults.md; exit status 1 where anything has not held."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from tests.faults import running, table
from tests.faults.matrix import ROWS, STATUSES
from tests.faults.running import Seen

AT_ONCE = 3  # of the rows, which mostly wait, and as many of the statuses beside them


def main() -> int:
    began = time.monotonic()
    seen = play()
    for one in seen:
        for wrong in one.wrong:
            print(f"{one.row.group}, {one.row.name}: {wrong}")
    broken = sum(bool(one.wrong) for one in seen)
    if broken:
        print(f"{broken} rows did not hold; {table.DOCUMENT.name} stays as it was.")
    else:
        table.write(seen)
    kinds = {"leaks": "leaks", "tracebacks": "tracebacks", "losses": "losses", "others": "other failures"}
    counts = ", ".join(f"{sum(len(getattr(one, kind)) for one in seen)} {words}" for kind, words in kinds.items())
    peak, took = max(one.peak for one in seen) / 1024, time.monotonic() - began
    print(f"faults: {len(ROWS)} rows ({len(STATUSES)} statuses), {counts}; at most {peak:.0f} MiB; {took:.0f} s")
    return 1 if broken else 0


def play() -> Sequence[Seen]:
    with running.ready() as field, ThreadPoolExecutor(AT_ONCE) as slow, ThreadPoolExecutor(AT_ONCE) as quick:
        longest_first = sorted(ROWS, key=lambda row: (row.waits, row.timeout if row.expected != "delivered" else 0))
        begun: dict[int, Future[Seen]] = {id(row): slow.submit(running.play, row, field) for row in longest_first[::-1]}
        begun |= {id(row): quick.submit(running.play, row, field) for row in STATUSES}
        return [begun[id(row)].result() for row in (*ROWS, *STATUSES)]


sys.exit(main())
