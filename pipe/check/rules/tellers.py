"""Rules about the places that speak for a whole pipeline: a `final:` step, and a pipeline that is told of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pipe.check.model import File
from pipe.check.promise import WARNING
from pipe.check.rule import Checked, Found, rule
from pipe.check.source import Map
from pipe.check.table import NOT_TOLD, SUCCESSES, meets, starts_on
from pipe.definition import Pipeline

TOKEN = "BITBUCKET_ACCESS_TOKEN: $BITBUCKET_ACCESS_TOKEN # scope Pipelines: read"


@rule(
    "final-cannot-tell",
    "A `final:` step has no variable for the result: each build pages a warning that it cannot be told.",
    TOKEN,
)
def final_cannot_tell(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        silent = not (use.has_token or use.item.build_status or use.has_own_action)
        if use.at.step.final and use.item.place == "script" and silent:
            yield Found(use.line, f"{use.at.label} has neither a token nor BUILD_STATUS.")
    for row in checked.rows:
        if row.use.at.step.final and row.use.has_token and row.promise.on_success == WARNING:
            what = f"{row.step} ({row.pipeline}) cannot be told from an after-script of its name without EXIT_CODE."
            yield Found(row.line, what, "EXIT_CODE: $BITBUCKET_EXIT_CODE # in that after-script")


@rule(
    "final-in-custom",
    "Bitbucket's schema refuses `final:` in a custom pipeline.",
    """
- step:
    script:
      - make nightly
    after-script:
      - pipe: …/pagerduty-events:…
""",
)
def final_in_custom(checked: Checked) -> Iterator[Found]:
    for step in checked.file.steps:
        if step.pipeline.section == "custom" and step.step.final:
            yield Found(step.body.line, f"{step.pipeline.label} has a `final:` step.")


@rule(
    "told-without-token",
    "Without a token the pipe does not know on which ref the pipeline ran: every failure has to be resolved by hand, "
    "and BRANCHES and TAGS keep nothing back.",
    TOKEN,
)
def told_without_token(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        if use.is_told and not use.has_token and not use.has_own_action:
            yield Found(use.line, f"{use.at.pipeline.label} is told how others end, and has no token.")


@rule(
    "told-of-failures-only",
    "Its failures are told and page, its successes are not: the alert stays open until somebody resolves it, and until "
    "then no failure of it pages again.",
    """
condition: >-
  BITBUCKET_TRIGGER_PIPELINE_STATUS != "FAILED" && (BITBUCKET_TRIGGER_PIPELINE_SELECTOR_TYPE == "tags"
  || BITBUCKET_TRIGGER_PIPELINE_SELECTOR_PATTERN == "nightly")
""",
)
def told_of_failures_only(checked: Checked) -> Iterator[Found]:
    silent: dict[int, list[str]] = {}
    for row in checked.rows:
        if row.promise.on_failure == "pages" and row.promise.on_success == NOT_TOLD:
            silent.setdefault(row.line, []).append(row.pipeline)
    for line, labels in silent.items():
        yield Found(line, f"No condition is met by a success of {', '.join(dict.fromkeys(labels))}.")


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
    told = {
        p.pattern: p for p in file.definition.pipelines if p.section == "custom" and p.pattern in file.definition.told
    }
    for entry, started in file.told_entries():
        for name in started:
            if name in told and _leads_back(file, told, name, entry):
                yield Found(entry.line_of("condition"), f"A success of custom: {name} starts it again.")


def _leads_back(file: File, told: dict[str, Pipeline], name: str, entry: Map) -> bool:
    """Whether the success of a pipeline that this entry starts can lead to the same entry again."""
    if not any(use.at.pipeline.pattern == name for use in file.uses):
        return False
    seen, reached = {name}, [name]
    while reached:
        ended = told[reached.pop()]
        if any(meets(entry, ended, status) for status in SUCCESSES):
            return True
        following = [
            other for other in told if other not in seen and any(starts_on(file, other, ended, s) for s in SUCCESSES)
        ]
        seen.update(following)
        reached += following
    return False


@rule(
    "no-step-name",
    "The `final:` step judges the others by name: the page cannot say which one failed, and those without "
    "`name:` count as one.",
    """
- step:
    name: Build
""",
)
def no_step_name(checked: Checked) -> Iterator[Found]:
    for pipeline in _judged_by_name(checked.file):
        for step in checked.file.steps_of(pipeline):
            if not step.step.name and not step.step.final:
                yield Found(step.body.line, f"A step of {pipeline.label} has no `name:`.")


@rule(
    "step-name-twice",
    "The `final:` step judges the others by name, and namesakes count as one.",
    """
- step:
    name: Deploy to production # another one in each step
""",
)
def step_name_twice(checked: Checked) -> Iterator[Found]:
    for pipeline in _judged_by_name(checked.file):
        steps = [step for step in checked.file.steps_of(pipeline) if step.step.name and not step.step.final]
        counts = Counter(step.step.name for step in steps)
        seen: set[str] = set()
        for step in steps:
            if counts[step.step.name] > 1 and step.step.name in seen:
                yield Found(
                    step.body.line_of("name"),
                    f'{pipeline.label} has {counts[step.step.name]} steps called "{step.step.name}".',
                )
            seen.add(step.step.name)


def _judged_by_name(file: File) -> Iterator[Pipeline]:
    """Pipelines with a final step that asks Bitbucket's API."""
    yield from dict.fromkeys(
        use.at.pipeline
        for use in file.uses
        if use.at.step.final and use.item.place == "script" and use.has_token and not use.has_own_action
    )
