"""The pipeline's own result, judged by what Bitbucket says of its other steps.

From inside a step, the pipeline and the asking step are still in progress: only the *other* steps count.
"""

from __future__ import annotations

from dataclasses import replace

from pipe.bitbucket import Bitbucket, NewerBuild, PipelineRun, StepRun, Unreadable
from pipe.bitbucket.runs import BROKEN
from pipe.build import Build
from pipe.definition import Definition, Pipeline, Step
from pipe.outcome import Origin, Outcome, Result

OK = "SUCCESSFUL"


def ask(api: Bitbucket, definition: Definition, build: Build, *, wait: bool) -> Outcome:
    """Ask Bitbucket, within the session's deadline; with `wait`, until the other steps have decided the result."""

    def undecided(run: PipelineRun) -> bool:
        return judged(run, definition, build).result is Result.UNKNOWN

    try:
        run = api.pipeline_run(build.pipeline_uuid, build.step_uuid, wait=undecided if wait else False)
    except Unreadable as error:
        return Outcome(Result.UNKNOWN, Origin.BITBUCKET, f"{error.reason}. {error.advice}".rstrip(". "))
    outcome = judged(run, definition, build)
    rerun = build.step_run > 1 or bool(run.own and run.own.run_number > 1)
    if outcome.result not in (Result.SUCCESSFUL, Result.FAILED) or build.environment or build.tag or rerun:
        return outcome
    try:
        newer = api.newer_finished_build(run)
    except Unreadable as error:
        unseen = f"it could not be seen whether a newer build failed ({error.reason})"
        return replace(outcome, doubt=outcome.doubt or unseen)
    return compared(outcome, newer) if newer else outcome


def judged(run: PipelineRun, definition: Definition, build: Build) -> Outcome:
    """Judge the running pipeline by its *other* steps: from inside, it and the asking step are still in progress."""
    selector = (run.selector_type, run.selector_pattern)
    own = definition.own(*selector)
    pipelines = (own,) if own else definition.possible(build)

    def outcome(result: Result, reason: str, **more) -> Outcome:
        return Outcome(result, Origin.BITBUCKET, reason, selector=selector, **more)

    def failed(steps: list[StepRun], reason: str) -> Outcome:
        names = tuple(_name(step) for step in steps)
        return outcome(Result.FAILED, reason, failed_steps=names, failed_step_uuid=_linked(steps))

    broken = [step for step in run.steps if step.result in BROKEN and not _ignored(pipelines, step)]
    if broken:
        return failed(broken, f"Bitbucket says that {_names(broken)} {_verbs(broken)}")
    if run.result in BROKEN:
        return outcome(Result.FAILED, f"Bitbucket says that the pipeline ended as {run.result}")
    stopped = [step for step in run.steps if step.result == "STOPPED"]
    where = f" at {_names(stopped)}" if stopped else ""
    if (stopped or run.result == "STOPPED") and run.stopped_by:
        return outcome(Result.STOPPED, f"{run.stopped_by} stopped the pipeline{where}")
    if stopped or run.result == "STOPPED":
        # [?] Unproven: that Bitbucket names whoever pressed Stop, so a stop by nobody is the runner's or a limit's.
        return failed(stopped, f"the pipeline was stopped{where} and Bitbucket names nobody who stopped it")
    if not run.steps:
        return outcome(Result.UNKNOWN, "Bitbucket lists no other step, and a step cannot judge itself")
    twins = [name for name in run.superseded if _times_defined(pipelines, name) != 1]
    if twins:
        what = f'"{twins[0]}" failed and passed: whether it was run again, or two steps have this name, cannot be told'
        return outcome(Result.UNKNOWN, what)
    strange = [step for step in run.steps if step.result not in (*BROKEN, OK, "NOT_RUN", "") or not _tells(step)]
    if strange:
        said = strange[0].result or strange[0].state or "nothing"
        return outcome(Result.UNKNOWN, f"{_names(strange)} ended as {said}, which the pipe does not know")
    unfinished = [step for step in run.steps if step.unfinished and not _manual(pipelines, step)]
    if unfinished:
        return outcome(Result.UNKNOWN, f"{_names(unfinished)} had not finished when the time to wait was over")
    not_run = [step for step in run.steps if step.result in ("", "NOT_RUN")]
    if len(not_run) == len(run.steps):
        return outcome(Result.NOTHING_RAN, "no other step of the pipeline ran")
    if run.result not in ("", OK):
        return outcome(Result.UNKNOWN, f"the pipeline ended as {run.result}, which the pipe does not know")
    if any(_could_be_its_after_script(pipeline, run) for pipeline in pipelines):
        return outcome(
            Result.UNKNOWN,
            "all other steps passed, but this step's own exit code is missing: in an after-script map "
            "`EXIT_CODE: $BITBUCKET_EXIT_CODE`",
        )
    skipped = [step for step in not_run if not _manual(pipelines, step)]
    doubt = ""
    if skipped:
        doubt = f"{_names(skipped)} did not run, and may be what broke; a green run of it settles that"
    return outcome(Result.SUCCESSFUL, "Bitbucket says that every other step that ran passed", doubt=doubt)


def compared(outcome: Outcome, newer: NewerBuild) -> Outcome:
    """The same outcome beside a newer finished build of the same ref and selector."""
    told = f"#{newer.number} {newer.result} {newer.url}".strip()
    doubt = outcome.doubt
    if newer.result != OK and not doubt:
        doubt = f"the newer build {told} of the same ref did not pass"
    return replace(outcome, newer_build=told, doubt=doubt)


def _could_be_its_after_script(pipeline: Pipeline, run: PipelineRun) -> bool:
    """Whether the asking step may be an ordinary one that asks from its after-script: then its own result is the very
    thing that is missing. Where there is a `final:` step, it is the last one."""
    if run.own_is_last and any(step.final for step in pipeline.steps):
        return False
    return any(alert.after_script for step in pipeline.steps if not step.final for alert in step.alerts)


def _ignored(pipelines: tuple[Pipeline, ...], run: StepRun) -> bool:
    same = _defined(pipelines, run)
    return bool(same) and all(step.on_fail == "ignore" for step in same)


def _manual(pipelines: tuple[Pipeline, ...], run: StepRun) -> bool:
    same = _defined(pipelines, run)
    return run.manual or (bool(same) and all(step.manual for step in same))


def _linked(steps: list[StepRun]) -> str:
    """The uuid of the first step that has one of Bitbucket's, which carry braces."""
    return next((step.uuid for step in steps if step.uuid.startswith("{")), "")


def _tells(step: StepRun) -> bool:
    """Whether Bitbucket says anything of how it went; a completed step has a result."""
    return bool(step.state or step.result) and not (step.state == "COMPLETED" and not step.result)


def _times_defined(pipelines: tuple[Pipeline, ...], name: str) -> int:
    return max((sum(step.name == name for step in pipeline.steps) for pipeline in pipelines), default=0)


def _defined(pipelines: tuple[Pipeline, ...], run: StepRun) -> list[Step]:
    """Every step of that name in the definition; none for a step without a name."""
    return [step for pipeline in pipelines for step in pipeline.steps if run.name and step.name == run.name]


def _name(step: StepRun) -> str:
    return step.name or "an unnamed step"


def _names(steps: list[StepRun]) -> str:
    names = [f'"{_name(step)}"' for step in steps]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _verbs(steps: list[StepRun]) -> str:
    results = {step.result for step in steps}
    return (
        {"FAILED": "failed", "ERROR": "ended in an error", "EXPIRED": "expired"}[results.pop()]
        if len(results) == 1
        else "failed"
    )
