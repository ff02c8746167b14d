"""Some examples of each kind, the same every time; `make fuzz` plays thousands of new ones."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.fuzz.play import fuzz


@pytest.mark.parametrize(("kind", "number"), [("environments", 100), ("files", 40), ("reports", 25), ("answers", 35)])
def test_every_run_keeps_the_invariants(kind, number):
    figures: Counter[str] = Counter()
    assert not fuzz(kind, number, figures, derandomize=True)
    assert figures[kind] >= number
