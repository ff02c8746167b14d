"""`make fuzz`: plays FUZZ examples (20 000 by default) of the four kinds, two kinds at a time, and says in one line what was
found. KINDS="files reports" chooses."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from tests.fuzz.play import fuzz

DEFAULT = 20_000
SHARES = {"answers": 0.25, "files": 0.15, "environments": 0.5, "reports": 0.1}  # the slower kinds are fewer, and begin
WRONG = ("tracebacks", "leaks", "refused bodies", "lost pages", "resolves that no table gives")


def play(kind: str, number: int) -> Counter[str]:
    began, figures = time.monotonic(), Counter[str]()
    found = fuzz(kind, number, figures)
    took = time.monotonic() - began
    print(
        f"fuzz: {figures[kind]} {kind}, {took:.0f} s, {figures[kind] / took:.0f} a second\n{found}".strip(), flush=True
    )
    return figures


def main() -> int:
    number, began = int(os.environ.get("FUZZ") or DEFAULT), time.monotonic()
    kinds = [kind for kind in SHARES if kind in os.environ.get("KINDS", "").split()] or list(SHARES)
    figures: Counter[str] = Counter()
    with ProcessPoolExecutor(2) as both:
        for one in both.map(play, kinds, (int(number * SHARES[kind]) for kind in kinds)):
            figures += one
    counts = ", ".join(f"{kind} {figures[kind]}" for kind in kinds)
    print(
        f"fuzz: {sum(figures[kind] for kind in kinds)} examples ({counts}), "
        + ", ".join(f"{figures[name]} {name}" for name in WRONG)
        + f"; {figures['failures']} known failures, {figures['resolves']} resolves; {time.monotonic() - began:.0f} s"
    )
    return int(any(figures[name] for name in WRONG))


if __name__ == "__main__":
    sys.exit(main())
