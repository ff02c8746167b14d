"""Rules about what resolves an alert: nothing, or what does not show that it is fixed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from pipe import definition_file, ownership, wording
from pipe.check.model import Use
from pipe.check.promise import IN_SCRIPT, PAGES, openers
from pipe.check.rule import Checked, Found, rule
from pipe.check.rules.paging import alert_name_for, has_a_cause_of_its_own, is_silent
from pipe.check.rules.places import TOKEN
from pipe.check.source import Map, text_of
from pipe.check.surroundings import SELECTOR
from pipe.check.table import NOT_TOLD, Row
from pipe.definition import TRIGGER_STATUS

NAMES_BESIDE_AN_ANCHOR = """
definitions:
  pager: &pager # the variables alone, so that each step can add its name
    INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY
    EXIT_CODE: $BITBUCKET_EXIT_CODE

after-script: # in each step
  - pipe: …/pagerduty-events:…
    variables:
      <<: *pager
      {} # another one in each step
""".strip()
USE_THE_SAME_KEY = " use the same key"
# By the run's own advice, or where it has none by its reason. `{}`: an ALERT_NAME like the step's own name.
WRITE_FOR_BY_HAND = {
    ownership.ONE_EACH: "{} # another one in each step",
    ownership.ONE_FOR_ALL: "{} # one name, if they check the same; else one each",
    ownership.ONE_FOR_EACH_PIPELINE: "{} # another one in each pipeline",
    ownership.ONE_WORD_EACH: "{} # in place of DEDUP_KEY, another one in each",
    ownership.ONE_KEY_EACH: "{} # in place of DEDUP_KEY",
    ownership.PUT_THE_REF: "{} # in place of DEDUP_KEY",
    ownership.LEAVE_IT_OUT: "# leave DEDUP_KEY out",
    ownership.MAP_THE_TAG: "BITBUCKET_TAG: $BITBUCKET_TAG",
    ownership.MAP_THE_ENVIRONMENT: "BITBUCKET_DEPLOYMENT_ENVIRONMENT: $BITBUCKET_DEPLOYMENT_ENVIRONMENT",
    ownership.FINAL_STEP: TOKEN,
    wording.ZERO_IGNORED: 'IGNORE_EXIT_CODES: "130 143" # without 0',
    wording.REF_UNKNOWN: TOKEN,
}


@rule(
    "by-hand",
    "No success resolves this alert, and while it is open no failure under its key pages.",
    "ALERT_NAME: unit tests # another one in each step",
)
def by_hand(checked: Checked) -> Iterator[Found]:
    """Once for those that share a key."""
    told: set[int] = set()
    for row in checked.rows:
        if row.promise.by_hand and row.line not in told and not _is_said_elsewhere(checked, row):
            found = openers(row.use, row.places[0], checked.file.definition)
            alike = [use for use in checked.file.uses if any(one.item is use.item for one in found)]
            shared = alike if row.promise.by_hand.endswith(USE_THE_SAME_KEY) and len(alike) > 1 else []
            told |= {row.line, *(use.line for use in shared)}
            yield Found(row.line, _why(row, shared), _write(row, alike))


def _is_said_elsewhere(checked: Checked, row: Row) -> bool:
    silent = row.promise.by_hand == wording.ZERO_IGNORED and not row.promise.withheld and is_silent(checked, row.use)
    to_be_mapped = row.promise.advice in (ownership.MAP_THE_TAG, ownership.MAP_THE_ENVIRONMENT)
    unmapped = to_be_mapped and row.use.unmapped
    return bool(silent or unmapped or row.promise.on_failure == IN_SCRIPT or has_a_cause_of_its_own(row.use))


def _why(row: Row, shared: list[Use]) -> str:
    """In the run's own words, with what it cannot know that the reader does not."""
    why, advice = row.promise.by_hand, row.promise.advice
    if shared:
        parts = [f"{why}, and a green run of one says nothing of another", _how_they_meet(row, shared)]
    else:
        parts = [f"{row.label}{'' if row.use.at.has_clone else ' has no clone'}: {why}"]
    if why == wording.REF_UNKNOWN:
        parts.append("BRANCHES and TAGS keep nothing back")
    return f"{'. '.join(filter(None, (*parts, advice)))}."


def _how_they_meet(row: Row, alike: list[Use]) -> str:
    """Why steps of different pipelines can be about the same place."""
    sections = [use.at.pipeline.section for use in {id(use.at.pipeline): use for use in alike}.values()]
    if len(sections) < 2 or row.promise.advice == ownership.ONE_EACH:
        return ""
    if any(place.environment for place in row.places):
        return "An alert of a deployment belongs to the environment, whoever deploys to it"
    if "custom" in sections:
        return "A custom pipeline can run on any branch"
    if "default" in sections:
        return "`default` can also be started by hand, or on a schedule, on a branch with a pipeline of its own"
    return "Their patterns fit the same name" if len(set(sections)) == 1 else ""


def _write(row: Row, alike: list[Use]) -> str:
    name, advice = alert_name_for(row.use), row.promise.advice
    bodies = {id(use.at.body) for use in alike}
    if advice == ownership.ONE_EACH and row.use.at.step.group and len(bodies) == 1 < len(alike):
        return f"{name} $BITBUCKET_PARALLEL_STEP # its number in the parallel group"
    each = advice in (ownership.ONE_EACH, ownership.ONE_FOR_ALL)
    if each and len({id(use.node) for use in alike}) < len(bodies):
        return NAMES_BESIDE_AN_ANCHOR.format(name)
    return WRITE_FOR_BY_HAND.get(advice or row.promise.by_hand, "{}").format(name)


@rule(
    "told-of-failures-only",
    "Its failures are told and page, its successes are not: the alert stays open until somebody resolves it, and until "
    "then no failure of it pages again.",
    """
condition: >-
  BITBUCKET_TRIGGER_PIPELINE_STATUS != "FAILED" && BITBUCKET_TRIGGER_PIPELINE_SELECTOR_TYPE == "branches"
""",
)
def told_of_failures_only(checked: Checked) -> Iterator[Found]:
    silent: dict[int, dict[str, str]] = {}  # the pipelines, and what is true of each
    for row in checked.rows:
        if row.promise.on_failure == PAGES and row.promise.on_success == NOT_TOLD:
            pipeline = row.places[0].pipeline
            by_name = f'{SELECTOR}PATTERN == "{pipeline.pattern}"'
            term = by_name if pipeline.section == "custom" else f'{SELECTOR}TYPE == "{pipeline.section}"'
            silent.setdefault(row.line, {})[row.pipeline] = term
    for line, terms in silent.items():
        which = "\n  || ".join(dict.fromkeys(terms.values()))
        write = f'condition: >-\n  {TRIGGER_STATUS} != "FAILED" && ({which})'
        yield Found(line, f"No condition is met by a success of {', '.join(terms)}.", write)


@rule(
    "alert-name-shared",
    "An ALERT_NAME stands for one check. Here a green run of the one step resolves the alert of the other, though that "
    "is still broken.",
    "ALERT_NAME: nightly build # another one where the script is another one",
)
def alert_name_shared(checked: Checked) -> Iterator[Found]:
    named: dict[str, list[Row]] = {}
    for row in checked.rows:
        pages_and_resolves = row.promise.on_failure == PAGES and row.promise.on_success.startswith("resolves")
        if row.use.item.alert_name and row.use.is_by_exit_code and pages_and_resolves:
            named.setdefault(row.use.item.alert_name, []).append(row)
    for name, rows in named.items():
        for one, other in combinations(rows, 2):
            if one.keys & other.keys and (why := _why_two(one.use, other.use)):
                yield Found(other.line, f'"{name}" is the name of {one.label} and {other.label}{why}.')
                break


def _why_two(one: Use, other: Use) -> str:
    """Why two of one name are not one check, where the run does not see it: it takes steps of two pipelines for one,
    and without a clone it sees no other step."""
    if one.at is other.at or one.unmapped or other.unmapped:  # unmapped: where they are is not known
        return ""
    if one.at.pipeline is other.at.pipeline:
        without = next((use.at.name for use in (one, other) if not use.at.has_clone), "")
        return f", and {without} has no clone to see the other in" if without else ""
    return ", whose scripts differ" if _script(one) != _script(other) else ""


def _script(use: Use) -> list[str]:
    entries = definition_file.entries(use.at.body.get("script"))
    return [text for entry in entries if not isinstance(entry, Map) and (text := text_of(entry))]
