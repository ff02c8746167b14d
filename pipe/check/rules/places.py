"""Rules about where the pipe stands: beside which other one, and in which kind of step or pipeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pipe.check.model import File, Use
from pipe.check.rule import Checked, Found, rule
from pipe.check.rules.layout import IN_AFTER_SCRIPT
from pipe.check.source import Map, text_of
from pipe.check.table import meets, starts_on
from pipe.definition import Pipeline
from pipe.outcome import PASSED

TOKEN = "BITBUCKET_ACCESS_TOKEN: $BITBUCKET_ACCESS_TOKEN # scope Pipelines: read"
IN_A_PIPELINE_OF_ITS_OWN = """
custom:
  deploy-to-production: # in place of `trigger: manual`
    - step:
        deployment: production
""".strip()


@rule(
    "belongs-in-script",
    "A `final:` step, and a pipeline that is told how another one ended, speak for a pipeline. In their after-script "
    "the exit code of their own step is reported in its place.",
    """
script:
  - pipe: …/pagerduty-events:…
    variables:
      INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY
      BITBUCKET_ACCESS_TOKEN: $BITBUCKET_ACCESS_TOKEN
""",
)
def stands_in_after_script(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        if belongs_in_script(use):
            yield Found(use.line, f"The pipe stands in the after-script of {use.at.label}.")


def belongs_in_script(use: Use) -> bool:
    return use.is_by_exit_code and (use.at.step.final or use.told) and not use.has_own_action


@rule("final-in-custom", "Bitbucket's schema refuses `final:` in a custom pipeline.", IN_AFTER_SCRIPT)
def final_in_custom(checked: Checked) -> Iterator[Found]:
    for step in checked.file.steps:
        if step.pipeline.section == "custom" and step.step.final and step.step.items:
            yield Found(step.body.line, f"{step.pipeline.label} has a `final:` step.")


@rule(
    "two-places",
    "One failure then opens two alerts, which resolve apart.",
    "# keep the after-scripts, or the one `final:` step or told pipeline, not both",
)
def two_places(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        if use.has_own_action or use.item.place != "script" or not (use.at.step.final or use.is_told):
            continue
        others = [
            one
            for one in checked.file.uses
            if not one.has_own_action and (one.is_by_exit_code or one.at.step.final) and one is not use and not one.told
            if use.is_told or (one.at.pipeline is use.at.pipeline and not one.at.step.final)
        ]
        if others:
            yield Found(use.line, f"{others[0].at.label} pages by itself, and {use.at.name} pages too.")


@rule(
    "on-fail-retry",
    "The after-script runs on each attempt: the first one pages, though the next may pass and resolve it.",
    """
- step:
    name: End to end
    script: [./e2e] # without `on-fail: retry`; or page from a `final:` step, which sees the last attempt
""",
)
def on_fail_retry(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        if use.is_by_exit_code and use.at.step.on_fail == "retry":
            yield Found(use.line, f"{use.at.label} is retried, and each failed attempt pages.")


@rule(
    "on-fail-ignore",
    "The pipeline passes, and the pipe pages all the same.",
    """
# leave out the pipe, or `on-fail: ignore`, or say that it is no emergency:
SEVERITY: warning
""",
)
def on_fail_ignore(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        mild = text_of(use.variables.get("SEVERITY")).lower() in ("warning", "info")
        if use.is_by_exit_code and use.at.step.on_fail == "ignore" and not mild:
            yield Found(use.line, f"A failure of {use.at.label} is ignored by Bitbucket, and pages.")


@rule(
    "manual-gate",
    "The step runs only when somebody starts it, so its alert stays open until somebody does, and passes. Until then "
    "no failure of it pages again.",
    """
# leave the pipe out: whoever started the step sees it fail; or accept it:
- pipe: …/pagerduty-events:… # pagerduty-events: ignore manual-gate
""",
)
def manual_gate(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        if use.is_by_exit_code and use.at.behind_gate and not use.at.step.final and not use.has_own_action:
            yield Found(use.line, f"{use.at.label} waits at a manual gate or behind one.")
    for row in checked.rows:
        if not row.use.is_by_exit_code and not row.use.has_own_action and row.promise.on_success.startswith("resolves"):
            steps = checked.file.steps_of(row.places[0].pipeline)
            if waiting := [step.name for step in steps if step.behind_gate and not step.step.final]:
                what = f"{row.use.at.name} pages for {waiting[0]} ({row.pipeline}), which waits at a manual gate."
                yield Found(row.line, what, IN_A_PIPELINE_OF_ITS_OWN)


@rule(
    "step-names",
    "The `final:` step judges the others by name: namesakes, and those without `name:`, count as one, and the page "
    "cannot say which one failed.",
    """
- step:
    name: Build # another one in each step
""",
)
def step_names(checked: Checked) -> Iterator[Found]:
    judged = [use for use in checked.file.uses if use.at.step.final and use.item.place == "script"]
    by_the_api = [use for use in judged if (use.has_token or not use.item.build_status) and not use.has_own_action]
    for pipeline in dict.fromkeys(use.at.pipeline for use in by_the_api):
        steps = [step for step in checked.file.steps_of(pipeline) if not step.step.final]
        counts = Counter(step.step.name for step in steps)
        seen: set[str] = set()
        for step in steps:
            name = step.step.name
            if not name:
                yield Found(step.body.line, f"A step of {pipeline.label} has no `name:`.")
            elif name in seen:
                yield Found(step.body.line_of("name"), f'{pipeline.label} has {counts[name]} steps called "{name}".')
            seen.add(name)


@rule(
    "told-loop",
    "The end of that pipeline meets the condition too, so it may start itself for ever: whether Bitbucket lets it is "
    "not documented.",
    """
condition: >-
  BITBUCKET_TRIGGER_PIPELINE_STATUS != "FAILED" && (BITBUCKET_TRIGGER_PIPELINE_SELECTOR_TYPE == "branches"
  || BITBUCKET_TRIGGER_PIPELINE_SELECTOR_TYPE == "default")
""",
)
def told_loop(checked: Checked) -> Iterator[Found]:
    file = checked.file
    custom = [one for one in file.definition.pipelines if one.section == "custom"]
    told = {one.pattern: one for one in custom if one.pattern in file.definition.told}
    for entry, started in file.told_entries():
        for name in started:
            if name in told and _leads_back(file, told, name, entry):
                yield Found(entry.line_of("condition"), f"A success of custom: {name} starts it again.")


def _leads_back(file: File, told: dict[str, Pipeline], name: str, entry: Map) -> bool:
    """Whether the success of a pipeline that this entry starts can lead to the same entry again."""
    if not file.uses_of(told[name]):
        return False
    seen, reached = {name}, [name]
    while reached:
        ended = told[reached.pop()]
        if meets(entry, ended, PASSED):
            return True
        following = [other for other in told if other not in seen and starts_on(file, other, ended, PASSED)]
        seen.update(following)
        reached += following
    return False
