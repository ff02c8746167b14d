"""Over files of the shapes that teams write: a named pipe in every step is resolved by the next green run."""

from __future__ import annotations

from tests.histories.pager import without_evidence
from tests.histories.real_shapes import count_alerts, named

LEAST_SHARE = 0.98


def test_a_green_run_resolves_the_alerts_of_named_steps() -> None:
    with without_evidence():
        resolved, opened = count_alerts(named)
    assert opened > 100
    assert resolved / opened >= LEAST_SHARE
