"""Alerts that no success resolves: one finding for each, whose code says why."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pipe.check.model import Use
from pipe.check.promise import BY_HAND, openers
from pipe.check.rule import Checked, Found, rule
from pipe.check.table import Row
from pipe.placement import in_words
from pipe.wording import ZERO_IGNORED

USE_IT_TOO = " use the same key"
NAMES_BESIDE_AN_ANCHOR = """
definitions:
  pager: &pager # the variables, not the list: a list has no merge
    INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY
    EXIT_CODE: $BITBUCKET_EXIT_CODE

after-script: # in each step
  - pipe: …/pagerduty-events:…
    variables:
      <<: *pager
      ALERT_NAME: unit tests # another one in each step
""".strip()
A_NAME_EACH = """
ALERT_NAME: unit tests # another one in each step; what they share stays in the anchor
"""

# Of each code: why it matters, and what to write.
WHY = {
    "no-alert-name": (
        "Steps without ALERT_NAME share one alert. One that passes says nothing of the others, so nothing resolves it, "
        "and while it is open no failure of any of them pages.",
        A_NAME_EACH,
    ),
    "no-alert-name-in-custom": (
        "The custom pipeline runs on the same branches as the push build, so their steps without ALERT_NAME share one "
        "alert, and nothing resolves it.",
        "ALERT_NAME: nightly # in the custom pipeline's step, another one in the push build's",
    ),
    "environment-shared": (
        "An alert of a deployment belongs to the environment, whoever deploys to it. These steps share one there, and "
        "a green run of one says nothing of the other.",
        "ALERT_NAME: deploy api # another one in each step",
    ),
    "default-beside-branches": (
        "`default` can also be started by hand or on a schedule on a branch that has a pipeline of its own. Two steps "
        "without ALERT_NAME can then open one alert, and nothing resolves it.",
        "ALERT_NAME: build # one name, if both check the same; else one each",
    ),
    "patterns-overlap": (
        "Two patterns fit the same name, and either pipeline can be the one that runs. Steps without ALERT_NAME then "
        "share one alert, and nothing resolves it.",
        "ALERT_NAME: build # one name, if both check the same; else one each",
    ),
    "no-alert-name-beside-import": (
        "What an imported pipeline holds is not seen here: a step of it could use the same alert, so nothing "
        "resolves it.",
        "ALERT_NAME: build",
    ),
    "alert-name-twice": (
        "Two steps of one pipeline share one alert. One that passes says nothing of the other, so nothing resolves it.",
        A_NAME_EACH,
    ),
    "no-alert-name-without-clone": (
        "Without a clone the pipe cannot see whether another step uses the same alert, so nothing resolves it.",
        "ALERT_NAME: smoke test",
    ),
    "dedup-key-shared": (
        "Builds of other branches, or other steps, can have the same DEDUP_KEY. A success there must not resolve this "
        "alert, so nothing does.",
        "DEDUP_KEY: shop-build-$BITBUCKET_BRANCH # or leave it out, and write ALERT_NAME",
    ),
    "zero-ignored": (
        "Exit code 0 is among those that send nothing, so no success resolves the alert.",
        'IGNORE_EXIT_CODES: "130 143" # without 0',
    ),
    "stays-open": (
        "No success resolves this alert, and while it is open no failure under its key pages.",
        "ALERT_NAME: build # another one in each pipeline",
    ),
}


def _open_alerts(checked: Checked, code: str) -> Iterator[Found]:
    """One for each group of items that share an alert, at a line that none has yet: an anchor is in many groups."""
    groups: set[object] = set()
    taken: set[int] = set()
    for row in checked.rows:
        if BY_HAND not in row.promise.on_success or row.use.misread or _kind(checked, row) != code:
            continue
        alike = users_of(checked, row) if row.use.is_by_exit_code else []
        group: object = frozenset(one.line for one in alike) | {row.line}
        if row.use.item.dedup_key or (row.use.is_by_exit_code and not row.use.at.has_clone):  # the others are not named
            group = row.line
        elif not row.use.is_by_exit_code:
            group = row.promise.why
        if group not in groups:
            groups.add(group)
            line = next((n for n in (row.line, *sorted(one.line for one in alike)) if n not in taken), row.line)
            taken.add(line)
            yield Found(line, _what(row, alike), _by_anchor(alike))


def _by_anchor(alike: list[Use]) -> str:
    """Where one item is taken by several steps, a name in it would be the same for all; a list cannot be merged."""
    bodies: dict[int, set[int]] = {}
    for use in alike:
        bodies.setdefault(id(use.node), set()).add(id(use.at.body))
    return NAMES_BESIDE_AN_ANCHOR if any(len(steps) > 1 for steps in bodies.values()) else ""


def _at(row: Row) -> str:
    return " ".join(filter(None, (row.pipeline, row.refs)))


def _what(row: Row, alike: list[Use]) -> str:
    """Which others use its key; else the run's own reason and advice."""
    if len(alike) > 1 and row.use.at.has_clone and not row.use.item.dedup_key:
        return f"{in_words([use.placed for use in alike])} share one key."
    names = row.promise.why.removesuffix(USE_IT_TOO)
    if " and " in names and names != row.promise.why:
        return f"{names} share one key. {row.promise.advice}."
    return f"{row.step} ({_at(row)}): {'. '.join(filter(None, (row.promise.why, row.promise.advice)))}."


def _kind(checked: Checked, row: Row) -> str:
    """The code for an alert that nothing resolves."""
    use = row.use
    if use.is_told and not use.has_token:
        return "told-without-token"
    if use.item.dedup_key:
        return "dedup-key-shared"
    if row.promise.why == ZERO_IGNORED:
        return "zero-ignored"
    if use.is_told or not use.is_by_exit_code:
        return "stays-open"
    if not use.at.has_clone:
        return "no-alert-name-without-clone"
    alike = users_of(checked, row)
    if use.item.alert_name:
        return "alert-name-twice"
    return _kind_of_unnamed(row, alike)


def _kind_of_unnamed(row: Row, alike: list[Use]) -> str:
    if len(alike) < 2:
        return "no-alert-name-beside-import" if alike else "stays-open"
    if any(place.environment for place in row.places):
        return "environment-shared"
    if [one.at.pipeline for one in alike].count(row.use.at.pipeline) > 1:
        return "no-alert-name"
    sections = {one.at.pipeline.section for one in alike}
    if "custom" in sections:
        return "no-alert-name-in-custom"
    return "default-beside-branches" if "default" in sections else "patterns-overlap"


def users_of(checked: Checked, row: Row) -> list[Use]:
    """The uses that could have opened the row's alert."""
    found = openers(row.use, row.places[0], checked.file.definition)
    return [use for one in found for use in checked.file.uses if use.at.step is one.step and use.item is one.item]


for _code, (_why, _write) in WHY.items():
    rule(_code, _why, _write)(partial(_open_alerts, code=_code))
