"""Rules about what the table promises: each word of it that is no plain `pages` and `resolves` has a finding."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from pipe import definition_file, ownership, wording
from pipe.check.model import Use
from pipe.check.promise import FILTERS, IGNORED, IN_SCRIPT, NOTHING, PAGES, WARNING, openers
from pipe.check.refs import ELSEWHERE
from pipe.check.rule import Checked, Found, rule
from pipe.check.rules.places import IN_AFTER_SCRIPT, TOKEN, belongs_in_script
from pipe.check.rules.shell import AUTO, MAP_IT, reads_another_code
from pipe.check.source import Map, holds_variable, text_of, texts_of
from pipe.check.surroundings import SELECTOR
from pipe.check.table import NOT_TOLD, Row
from pipe.check.values import in_place_of, written, wrong
from pipe.outcome import TRIGGER_STATUS
from pipe.placement import SILENT_ACTIONS

EVERYTHING = ("*", "**")
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
        why, advice = row.promise.by_hand, row.promise.advice
        said_elsewhere = _has_a_cause_of_its_own(row.use) or row.promise.on_failure == IN_SCRIPT
        if why == wording.ZERO_IGNORED and not row.promise.withheld:
            said_elsewhere = said_elsewhere or _is_silent(checked, row.use)
        if not why or row.line in told or said_elsewhere:
            continue
        told.add(row.line)
        alike = _openers(checked, row)
        if why.endswith(USE_THE_SAME_KEY) and len(alike) > 1:
            told |= {use.line for use in alike}
            what = f"{why}, and a green run of one says nothing of another. {_how_they_meet(row, alike)}"
        else:
            what = f"{row.label}{'' if row.use.at.has_clone else ' has no clone'}: {why}. "
        if why == wording.REF_UNKNOWN:
            what += "BRANCHES and TAGS keep nothing back."
        what += f"{advice}." if advice else ""
        yield Found(row.line, what.rstrip(), _for_by_hand(row, alike))


def _openers(checked: Checked, row: Row) -> list[Use]:
    """The uses that could have opened the row's alert."""
    found = openers(row.use, row.places[0], checked.file.definition)
    return [use for one in found for use in checked.file.uses if use.at.step is one.step and use.item is one.item]


def _how_they_meet(row: Row, alike: list[Use]) -> str:
    """Why steps of different pipelines can be about the same place."""
    sections = [use.at.pipeline.section for use in {id(use.at.pipeline): use for use in alike}.values()]
    if len(sections) < 2 or row.promise.advice == ownership.ONE_EACH:
        return ""
    if any(place.environment for place in row.places):
        return "An alert of a deployment belongs to the environment, whoever deploys to it. "
    if "custom" in sections:
        return "A custom pipeline can run on any branch. "
    if "default" in sections:
        return "`default` can also be started by hand, or on a schedule, on a branch with a pipeline of its own. "
    return "Their patterns fit the same name. " if len(set(sections)) == 1 else ""


def _alert_name(use: Use) -> str:
    return written("ALERT_NAME", use.at.step.name.lower() or "build")


def _in_after_script(use: Use) -> str:
    return IN_AFTER_SCRIPT.replace("ALERT_NAME: build", _alert_name(use))


def _for_by_hand(row: Row, alike: list[Use]) -> str:
    advice = row.promise.advice
    name = _alert_name(row.use)
    bodies = {id(use.at.body) for use in alike}
    if advice == ownership.ONE_EACH and row.use.at.step.group and len(bodies) == 1 < len(alike):
        return f"{name} $BITBUCKET_PARALLEL_STEP # its number in the parallel group"
    each = advice in (ownership.ONE_EACH, ownership.ONE_FOR_ALL)
    if each and len({id(use.node) for use in alike}) < len(bodies):
        return NAMES_BESIDE_AN_ANCHOR.format(name)
    return WRITE_FOR_BY_HAND.get(advice or row.promise.by_hand, "{}").format(name)


@rule(
    "cannot-tell",
    "Each time a warning alert is opened, which says just that: whether it passed cannot be told.",
    TOKEN,
)
def cannot_tell(checked: Checked) -> Iterator[Found]:
    for row in checked.rows:
        use = row.use
        if WARNING not in (row.promise.on_failure, row.promise.on_success) or _has_a_cause_of_its_own(use):
            continue
        if TRIGGER_STATUS in use.item.build_status and not use.told:
            what = f"{row.label}: no `pipeline-completed` starts this pipeline, so ${TRIGGER_STATUS} is empty."
        else:
            what = f"{row.label}: {row.promise.unknown}."
        in_its_place = _in_after_script(use) if use.placed.runs_only_after_a_success else TOKEN
        yield Found(row.line, what, MAP_IT if use.is_by_exit_code else in_its_place)


def _has_a_cause_of_its_own(use: Use) -> bool:
    unmapped = not {"EXIT_CODE", TRIGGER_STATUS}.isdisjoint(use.unmapped)
    misplaced = belongs_in_script(use) or (use.at.step.final and use.at.pipeline.section == "custom")
    return unmapped or misplaced or bool(use.misread) or reads_another_code(use)


@rule(
    "in-script",
    "In the script of an ordinary step the pipe runs only after every line before it succeeded: it never pages.",
    IN_AFTER_SCRIPT,
)
def in_script(checked: Checked) -> Iterator[Found]:
    for row in checked.rows:
        never = row.promise.on_failure == IN_SCRIPT and row.promise.on_success not in (PAGES, WARNING)
        if never and not row.use.has_own_action:
            yield Found(row.line, f"The pipe stands in `script` of {row.use.at.label}.", _in_after_script(row.use))


@rule(
    "never-pages",
    "Wherever this item runs, a failure pages nobody.",
    "BRANCHES: main # the filter, or the value, that keeps each page back: leave it out, or let it fit",
)
def never_pages(checked: Checked) -> Iterator[Found]:
    for use in {id(use.node): use for use in checked.file.uses}.values():
        if not use.misread and "INTEGRATION_KEY" not in use.unmapped and _is_silent(checked, use):
            yield from _why_never(use, checked.rows_of(use))


def _is_silent(checked: Checked, use: Use) -> bool:
    """Whether the item pages nobody wherever it stands, and is to."""
    rows = checked.rows_of(use)
    return bool(rows) and not any(row.promise.pages for row in rows) and not _is_meant(checked, use, rows)


def _why_never(use: Use, rows: list[Row]) -> Iterator[Found]:
    words, withheld = {row.promise.on_failure.removeprefix(f"{NOTHING}: ") for row in rows}, rows[0].promise.withheld
    if words <= set(FILTERS):
        yield _kept_out(use, rows)
    elif withheld:
        name = withheld.partition(":")[0]
        line = use.variables.line_of(name) if name in use.variables else use.line
        yield Found(line, withheld, in_place_of(name, use.variables.get(name)))
    elif use.item.action in SILENT_ACTIONS:
        what = f"EVENT_ACTION of {use.at.label} is {use.item.action}, and no other item opens an alert for it."
        by_a_person = "DEDUP_KEY: $KEY # of the alert: a variable of the pipeline that whoever starts it gives"
        yield Found(use.line, what, AUTO if use.is_by_exit_code else by_a_person)
    elif IGNORED in (row.promise.on_failure for row in rows):
        codes = " ".join(texts_of(use.variables.get("IGNORE_EXIT_CODES"))).split()
        others = " ".join(code for code in codes if code not in ("0", "1"))
        what = f"Exit code 1, with which most failures end, is among IGNORE_EXIT_CODES of {use.at.label}."
        yield Found(use.line, what, f'IGNORE_EXIT_CODES: "{others}"' if others else "# leave IGNORE_EXIT_CODES out")
    elif use.is_told:
        what = f"No condition is met by a failure for which {use.at.label} could page."
        yield Found(use.line, what, f'condition: {TRIGGER_STATUS} == "FAILED"')
    elif not use.placed.runs_only_after_a_success:
        what = f"BUILD_STATUS of {use.at.label} is always {use.item.build_status}."
        yield Found(use.line, what, "BUILD_STATUS: $STATUS # an output variable that the steps before it write")


def _kept_out(use: Use, rows: list[Row]) -> Found:
    name = rows[0].promise.on_failure.removeprefix(f"{NOTHING}: ")
    labels = ", ".join(dict.fromkeys(row.pipeline for row in rows))
    if name == "PULL_REQUESTS":
        what = f"{use.at.name} runs in {labels}, and PULL_REQUESTS is false."
        return Found(use.line, what, 'PULL_REQUESTS: "true" # or take the pipe out here')
    given = " ".join(texts_of(use.variables.get(name)))
    pipelines = [row.places[0].pipeline for row in rows]
    patterns = dict.fromkeys(pipeline.pattern for pipeline in pipelines if pipeline.section == name.lower())
    fitting = written(name, " ".join(patterns)) if patterns else f"# leave {name} out"
    what = f"{name} ({given}) fits no {'branch' if name == 'BRANCHES' else 'tag'} on which {labels} runs."
    return Found(use.line, what, f"{fitting} # or take the pipe out here")


def _is_meant(checked: Checked, use: Use, rows: list[Row]) -> bool:
    """Whether another item opens the alert that this one acknowledges or resolves; of a change, whether any pages. Of
    one that only pull requests keep back, whether the same check pages elsewhere."""
    others = [row for row in checked.rows if row.use.node is not use.node and row.promise.pages]
    if all(row.promise.on_failure == f"{NOTHING}: PULL_REQUESTS" for row in rows):
        return any(row.use.item.alert_name == use.item.alert_name for row in others)
    if use.item.action not in SILENT_ACTIONS or all(row.promise.sends_nothing or row.promise.withheld for row in rows):
        return False
    if use.item.action == "change":
        return bool(others)
    if "$" in use.item.dedup_key or use.item.dedup_key.startswith("bitbucket:"):
        return True  # a key that a person gives, and one that is written out
    return any(row.keys & other.keys for row in rows for other in others)


@rule("always-pages", "It pages after a success too, and nothing resolves it.", AUTO)
def always_pages(checked: Checked) -> Iterator[Found]:
    """In the script of a custom pipeline it is meant: somebody starts that to page."""
    for row in checked.rows:
        meant = not row.use.is_by_exit_code and row.use.at.pipeline.section == "custom"
        if row.promise.on_success == PAGES and not meant and not reads_another_code(row.use):
            write = (
                f"# without EVENT_ACTION, and there:\n{_in_after_script(row.use)}"
                if row.promise.on_failure == IN_SCRIPT
                else ""
            )
            what = f"EVENT_ACTION of {row.use.at.label} is trigger."
            yield Found(row.use.variables.line_of("EVENT_ACTION"), what, write)


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
    "default-pages-every-branch",
    "Every branch runs this pipeline, so an unfinished feature branch wakes somebody up.",
    "BRANCHES: main",
)
def default_pages_every_branch(checked: Checked) -> Iterator[Found]:
    found: dict[str, list[Row]] = {}
    for row in checked.rows:
        pipeline = row.places[0].pipeline
        everywhere = pipeline.section == "default" or (
            pipeline.section == "branches" and pipeline.pattern in EVERYTHING
        )
        on_any = any(place.ref.label in (ELSEWHERE, *EVERYTHING) for place in row.places)
        if everywhere and on_any and row.promise.on_failure in (PAGES, WARNING) and not _may_be_kept_out(row):
            found.setdefault(row.pipeline, []).append(row)
    for label, rows in found.items():
        steps = list(dict.fromkeys(row.step for row in rows))
        more = f" (and {len(steps) - 1} more)" if len(steps) > 1 else ""
        yield Found(rows[0].line, f"{label}: a failure of {steps[0]}{more} pages on every branch.")


def _may_be_kept_out(row: Row) -> bool:
    """By a filter whose value only the team knows, or which keeps nothing back until all is mapped, or read."""
    value = row.use.variables.get("BRANCHES")
    until_then = row.use.unmapped or row.promise.by_hand == wording.REF_UNKNOWN or wrong("BRANCHES", value)
    return any(map(holds_variable, texts_of(value))) or bool(row.use.misread or (value and until_then))


@rule(
    "alert-name-shared",
    "An ALERT_NAME stands for one check. Here a green run of the one step resolves the alert of the other, though that "
    "is still broken.",
    "ALERT_NAME: nightly build # another one where the script is another one",
)
def alert_name_shared(checked: Checked) -> Iterator[Found]:
    named: dict[str, list[Row]] = {}
    for row in checked.rows:
        if row.use.item.alert_name and row.use.is_by_exit_code and row.promise.on_failure == PAGES:
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
