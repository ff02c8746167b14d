"""Rules about what looks like a pager and never pages."""

from __future__ import annotations

from collections.abc import Iterator

from pipe.check.model import Use
from pipe.check.promise import FILTERS, IGNORED, NOTHING, openers
from pipe.check.proposals import in_place_of, written
from pipe.check.rule import Checked, Found, rule
from pipe.check.rules.exit_codes import reads_another_code
from pipe.check.rules.layout import unread_items, variables_not_read
from pipe.check.rules.places import IN_AFTER_SCRIPT, after_script_outside, called_in_shell, stands_in_script
from pipe.check.source import texts_of
from pipe.check.table import Row
from pipe.placement import SILENT_ACTIONS

FILTERED = {"BRANCHES": "branch", "TAGS": "tag"}
AUTO = "EVENT_ACTION: auto # or leave it out: a failure pages, a success resolves"
A_STATUS = "BUILD_STATUS: $STATUS # an output variable that the steps before it write"
TELL_FAILURES = 'condition: BITBUCKET_TRIGGER_PIPELINE_STATUS == "FAILED"'
THE_PIPE = """
- step:
    script:
      - make
    after-script:
      - pipe: …/pagerduty-events:…
        variables:
          INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY
          EXIT_CODE: $BITBUCKET_EXIT_CODE
          ALERT_NAME: build
"""


@rule(
    "never-pages",
    "Wherever this item runs, a failure pages nobody.",
    "BRANCHES: main # the filter, or the value, that keeps each page back: leave it out, or let it fit",
)
def never_pages(checked: Checked) -> Iterator[Found]:
    for use in {id(use.node): use for use in checked.file.uses}.values():
        rows = checked.rows_of(use)
        silent = rows and not any(row.promise.pages for row in rows)
        filtered = all(row.promise.shown[0].removeprefix(f"{NOTHING}: ") in FILTERS for row in rows)
        if silent and (filtered or not _has_a_finding_of_its_own(use)) and not _is_meant(checked, use, rows):
            yield _why(use, rows)


def _has_a_finding_of_its_own(use: Use) -> bool:
    return bool(use.misread) or stands_in_script(use) or reads_another_code(use) or "INTEGRATION_KEY" in use.unmapped


def _why(use: Use, rows: list[Row]) -> Found:
    withheld, word = rows[0].promise.withheld, rows[0].promise.shown[0]
    name = word.removeprefix(f"{NOTHING}: ")
    where = use.at.label
    if withheld:
        name = withheld.partition(":")[0]
        line = use.variables.line_of(name) if name in use.variables else use.line
        return Found(line, withheld, in_place_of(name, use.variables.get(name)))
    if name in FILTERS:
        return _kept_out(use, name, rows)
    if use.item.action in SILENT_ACTIONS:
        what = f"EVENT_ACTION of {where} is {use.item.action}, and no other item opens an alert for it."
        return Found(use.line, what, AUTO)
    if word == IGNORED:
        what = f"Exit code 1, with which most failures end, is among IGNORE_EXIT_CODES of {where}."
        return Found(use.line, what, _without_1(use))
    if use.placed.runs_only_after_a_success:
        what = f"The pipe stands in `script` of {where}, and runs only after a success."
        return Found(use.line, what, IN_AFTER_SCRIPT.strip())
    if use.is_told:
        return Found(use.line, f"No condition is met by a failure for which {where} could page.", TELL_FAILURES)
    return Found(use.line, f"BUILD_STATUS of {where} is always {use.item.build_status}.", A_STATUS)


def _kept_out(use: Use, name: str, rows: list[Row]) -> Found:
    labels = ", ".join(dict.fromkeys(row.pipeline for row in rows))
    if name == "PULL_REQUESTS":
        what = f"{use.at.name} runs in {labels}, and PULL_REQUESTS is false."
        return Found(use.line, what, 'PULL_REQUESTS: "true" # or take the pipe out here')
    given = " ".join(texts_of(use.variables.get(name)))
    pipelines = [row.places[0].pipeline for row in rows]
    patterns = [pipeline.pattern for pipeline in pipelines if pipeline.section == name.lower()]
    fitting = written(name, " ".join(dict.fromkeys(patterns))) if patterns else f"# leave {name} out"
    what = f"{name} ({given}) fits no {FILTERED[name]} on which {labels} runs."
    return Found(use.line, what, f"{fitting} # or take the pipe out here")


def _is_meant(checked: Checked, use: Use, rows: list[Row]) -> bool:
    """Whether another item opens the alert that this one acknowledges or resolves; of a change, whether any pages."""
    if use.item.action not in SILENT_ACTIONS or all(row.promise.sends_nothing or row.promise.withheld for row in rows):
        return False
    others = [row for row in checked.rows if row.use.node is not use.node and row.promise.pages]
    if use.item.action == "change":
        return bool(others)
    if "$" in use.item.dedup_key or use.item.dedup_key.startswith("bitbucket:"):
        return True  # a key that a person gives, and one that is written out
    keys = {row.promise.key for row in rows}
    if any(row.promise.key in keys for row in others):
        return True
    paging = {id(row.use.item) for row in others}
    places = [place for row in rows if not use.is_told for place in row.places]
    return any(id(one.item) in paging for place in places for one in openers(use, place, checked.file.definition))


def _without_1(use: Use) -> str:
    codes = " ".join(texts_of(use.variables.get("IGNORE_EXIT_CODES"))).split()
    others = [code for code in codes if code != "1"]
    return f'IGNORE_EXIT_CODES: "{" ".join(others)}"' if others else "# leave IGNORE_EXIT_CODES out"


@rule(
    "no-pipe",
    "The pipe is known by `pagerduty` in its name, or by INTEGRATION_KEY among its variables.",
    THE_PIPE,
)
def no_pipe(checked: Checked) -> Iterator[Found]:
    file = checked.file
    elsewhere = (
        *after_script_outside(checked),
        *called_in_shell(checked),
        *unread_items(file),
        *variables_not_read(checked),
    )
    if not file.uses and not elsewhere and not any(pipeline.imported for pipeline in file.definition.pipelines):
        yield Found(file.document.line_of("pipelines"), "No step uses this pipe, so it pages nobody.")
