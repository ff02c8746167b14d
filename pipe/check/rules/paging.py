"""Rules about when it pages: never, always, on every branch, or with a warning that nothing can be told."""

from __future__ import annotations

from collections.abc import Iterator

from pipe import wording
from pipe.check.model import Use
from pipe.check.promise import FILTERS, IGNORED, IN_SCRIPT, NOTHING, PAGES, WARNING
from pipe.check.refs import ELSEWHERE
from pipe.check.rule import Checked, Found, rule
from pipe.check.rules.layout import IN_AFTER_SCRIPT
from pipe.check.rules.places import TOKEN, belongs_in_script
from pipe.check.rules.shell import AUTO, MAP_IT, reads_another_code
from pipe.check.source import holds_variable, text_of, texts_of
from pipe.check.table import Row
from pipe.check.values import in_place_of, written, wrong
from pipe.definition import TRIGGER_STATUS
from pipe.placement import SILENT_ACTIONS

EVERYTHING = ("*", "**")
EVERY_BRANCH = [("default", ""), *(("branches", pattern) for pattern in EVERYTHING)]


@rule(
    "in-script",
    "In the script of an ordinary step the pipe runs only after every line before it succeeded: no failure pages.",
    IN_AFTER_SCRIPT,
)
def in_script(checked: Checked) -> Iterator[Found]:
    for row in checked.rows:
        on_success = row.promise.on_success
        said_elsewhere = on_success == PAGES or (on_success == WARNING and _is_told_in_vain(row.use))
        if row.promise.on_failure == IN_SCRIPT and not (row.use.has_own_action or said_elsewhere):
            yield Found(row.line, f"The pipe stands in `script` of {row.use.at.label}.", _in_after_script(row.use))


@rule(
    "never-pages",
    "Wherever this item runs, a failure pages nobody.",
    "BRANCHES: main # the filter, or the value, that keeps each page back: leave it out, or let it fit",
)
def never_pages(checked: Checked) -> Iterator[Found]:
    for use in {id(use.node): use for use in checked.file.uses}.values():
        if not use.misread and "INTEGRATION_KEY" not in use.unmapped and is_silent(checked, use):
            yield from _why_never(use, checked.rows_of(use))


def is_silent(checked: Checked, use: Use) -> bool:
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
        return any(row.use.is_by_exit_code and row.use.item.alert_name == use.item.alert_name for row in others)
    if use.item.action not in SILENT_ACTIONS or all(row.promise.sends_nothing or row.promise.withheld for row in rows):
        return False
    if use.item.action == "change":
        return bool(others)
    if "$" in use.item.dedup_key or use.item.dedup_key.startswith("bitbucket:"):
        return True  # a key that a person gives, and one that is written out
    return any(row.keys & other.keys for row in rows for other in others)


@rule("always-pages", "It pages after a success too, and nothing resolves it.", "# leave EVENT_ACTION out")
def always_pages(checked: Checked) -> Iterator[Found]:
    """In the script of a custom pipeline it is meant: somebody starts that to page."""
    for row in checked.rows:
        meant = not row.use.is_by_exit_code and row.use.at.pipeline.section == "custom"
        if row.promise.on_success == PAGES and not meant and not reads_another_code(row.use):
            name = "EVENT_ACTION" if row.use.item.action == "trigger" else "BUILD_STATUS"
            what = f"{name} of {row.use.at.label} is always {text_of(row.use.variables.get(name))}."
            there = f", and there:\n{_in_after_script(row.use)}" if row.promise.on_failure == IN_SCRIPT else ""
            yield Found(row.use.variables.line_of(name), what, f"# leave {name} out{there}")


@rule(
    "cannot-tell",
    "Each time a warning alert is opened, which says just that: whether it passed cannot be told.",
    TOKEN,
)
def cannot_tell(checked: Checked) -> Iterator[Found]:
    for row in checked.rows:
        use = row.use
        in_script = row.promise.on_failure == IN_SCRIPT
        if WARNING not in (row.promise.on_failure, row.promise.on_success) or has_a_cause_of_its_own(use):
            continue
        if _is_told_in_vain(use):
            what = f"{row.label}: no `pipeline-completed` starts this pipeline, so ${TRIGGER_STATUS} is empty."
            yield Found(row.line, what, _in_after_script(use) if in_script else f"{TOKEN}, in place of BUILD_STATUS")
        elif not in_script:  # which has a finding of its own
            yield Found(row.line, f"{row.label}: {row.promise.unknown}.", MAP_IT if use.is_by_exit_code else "")


def _is_told_in_vain(use: Use) -> bool:
    """Whether it takes the result from a variable that this pipeline does not have."""
    return TRIGGER_STATUS in use.item.build_status and not use.told


def has_a_cause_of_its_own(use: Use) -> bool:
    unmapped = not {"EXIT_CODE", TRIGGER_STATUS}.isdisjoint(use.unmapped)
    misplaced = belongs_in_script(use) or (use.at.step.final and use.at.pipeline.section == "custom")
    return unmapped or misplaced or bool(use.misread) or reads_another_code(use)


@rule(
    "default-pages-every-branch",
    "Every branch runs this pipeline, so an unfinished feature branch wakes somebody up.",
    "BRANCHES: main",
)
def default_pages_every_branch(checked: Checked) -> Iterator[Found]:
    found: dict[str, list[Row]] = {}
    for row in checked.rows:
        pipeline = row.places[0].pipeline
        everywhere = (pipeline.section, pipeline.pattern) in EVERY_BRANCH
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


def alert_name_for(use: Use) -> str:
    return written("ALERT_NAME", use.at.step.name.lower() or "build")


def _in_after_script(use: Use) -> str:
    return IN_AFTER_SCRIPT.replace("ALERT_NAME: build", alert_name_for(use))
