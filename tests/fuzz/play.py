"""Plays many examples of one kind; of a violation, the smallest example comes back, ready to be pasted."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Flaky

from tests.fuzz import answers, environments, files, reports
from tests.fuzz.arena import Arena, Hung
from tests.fuzz.example import Example
from tests.fuzz.invariants import Violation, check

KINDS = {module.__name__.rpartition(".")[2]: module.EXAMPLES for module in (environments, files, reports, answers)}
CASE = """{violation}

from tests.fuzz.arena import Arena
from tests.fuzz.example import Example
from tests.fuzz.invariants import check

with Arena() as arena:
    example = {example!r}
    played = arena.play(example)
    print(played.stderr)
    check(example, played, Counter())
"""


def fuzz(kind: str, number: int, figures: Counter[str], *, derandomize: bool = False) -> str:
    """The smallest example of a violation and what it broke; empty where nothing broke."""
    found: list[tuple[Violation, Example]] = []

    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        derandomize=derandomize,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(KINDS[kind])
    def play(example: Example) -> None:
        if not found:
            figures[kind] += 1
        try:
            check(example, arena.play(example), figures)
        except Hung as hung:
            found.append((Violation("tracebacks", str(hung)), example))
            raise found[-1][0] from None
        except Violation as violation:
            found.append((violation, example))
            raise

    with Arena() as arena:
        try:
            play()
        except (Violation, Flaky):
            violation, example = found[-1]
            figures[violation.kind] += 1
            return CASE.format(violation=violation, example=example)
    return ""
