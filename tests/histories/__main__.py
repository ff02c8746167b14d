"""`make histories`: plays HISTORIES generated histories (10 000 by default) and says in one line what they were."""

from __future__ import annotations

import os
import sys
import time

from hypothesis import HealthCheck, Phase, given, settings

from tests.histories import real_shapes
from tests.histories.history import Figures
from tests.histories.strategies import SCRIPTS, Script

DEFAULT = 10_000


def main() -> int:
    number, began, figures = int(os.environ.get("HISTORIES") or DEFAULT), time.monotonic(), Figures()

    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        derandomize=bool(os.environ.get("CI")),
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(SCRIPTS)
    def play(script: Script) -> None:
        script.play(figures)

    for line in real_shapes.report():
        print(line)
    play()
    print(f"{figures}, {time.monotonic() - began:.0f} s")
    return 0


sys.exit(main())
