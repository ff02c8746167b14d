"""`make storm`: the storms one after another, a line of figures each; 1 if a page was lost or not all came through."""

from __future__ import annotations

import os
import sys

from tests.storm.storm import rage

STORMS = ((100, 120.0), (300, 300.0))  # pipes, TIMEOUT


def main() -> int:
    wanted = os.environ.get("STORM", "").split()
    storms = ((int(wanted[0]), float(wanted[1])),) if wanted else STORMS
    failed = False
    for pipes, timeout in storms:
        storm = rage(pipes, timeout, strict="strict" in wanted)
        print(f"storm: {storm}", flush=True)
        for one in storm.lost:
            print(one.log)
        failed |= bool(storm.lost) or (not wanted and storm.opened < pipes)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
