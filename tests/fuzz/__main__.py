"""`make fuzz`: plays FUZZ examples (20 000 by default) of the four kinds and says in one line what was found."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter

from tests.fuzz.play import KINDS, fuzz

DEFAULT = 20_000
SHARES = {"environments": 0.45, "files": 0.15, "reports": 0.1, "answers": 0.3}  # the slower kinds are fewer


def main() -> int:
    number, began = int(os.environ.get("FUZZ") or DEFAULT), time.monotonic()
    kinds = os.environ.get("KINDS", "").split() or list(KINDS)
    figures: Counter[str] = Counter()
    for kind in kinds:
        start = time.monotonic()
        found = fuzz(kind, int(number * SHARES[kind]), figures)
        took = time.monotonic() - start
        print(f"fuzz: {figures[kind]} {kind}, {took:.0f} s, {figures[kind] / took:.0f} a second", flush=True)
        if found:
            print(found, flush=True)
    counts = ", ".join(f"{kind} {figures[kind]}" for kind in kinds)
    wrong = ("tracebacks", "leaks", "refused bodies", "lost pages", "resolves that no table gives")
    print(
        f"fuzz: {sum(figures[kind] for kind in kinds)} examples ({counts}), "
        + ", ".join(f"{figures[name]} {name}" for name in wrong)
        + f"; of {figures['failures']} known failures and {figures['resolves']} resolves; {time.monotonic() - began:.0f} s"
    )
    return int(any(figures[name] for name in wrong))


sys.exit(main())
