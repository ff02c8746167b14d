"""A small storm: more pages than the rate limit lets in at once, all delivered in time."""

from sandbox import rate
from tests.storm.storm import Strict, rage


def test_every_page_gets_through_a_rate_limit(monkeypatch):
    monkeypatch.setattr(rate, "CALLS_PER_WINDOW", 4)
    monkeypatch.setattr(rate, "WINDOW", 0.5)
    storm = rage(10, 20)
    assert [one.name for one in storm.pipes if not one.accepted] == []
    assert storm.opened == 10
    assert sum(one.throttled for one in storm.pipes) > 0
    assert {one.status for one in storm.pipes} == {0}


def test_a_page_that_does_not_get_through_is_printed(monkeypatch):
    monkeypatch.setattr(rate, "CALLS_PER_WINDOW", 2)
    storm = rage(5, 1)
    assert storm.opened == 2
    assert [one.printed for one in storm.pipes if not one.accepted] == [True] * 3
    assert sorted(one.status for one in storm.pipes) == [0, 0, 1, 1, 1]


def test_where_a_throttled_call_counts_too_nobody_gets_in_who_keeps_calling(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(rate, "CALLS_PER_WINDOW", 1)
    strict, usual = Strict(lambda: now[0]), rate.Rate(lambda: now[0])
    admitted = []
    for now[0] in (0.0, 59.0, 61.0, 118.0, 181.0):
        admitted.append((strict.admit("key"), usual.admit("key")))
    assert admitted == [(True, True), (False, False), (False, True), (False, False), (True, True)]
