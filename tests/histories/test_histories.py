"""A few hundred generated histories in which no invariant breaks; `make histories` plays thousands."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from tests.histories.history import Figures
from tests.histories.strategies import SCRIPTS, Script


@settings(max_examples=100, deadline=None, report_multiple_bugs=False, suppress_health_check=list(HealthCheck))
@given(SCRIPTS)
def test_every_history_keeps_the_invariants(script: Script) -> None:
    script.play(Figures())
