"""One run of the pipe: the environment that Bitbucket gives it, its real decision, and the events that it sends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from unittest import mock

from pipe import run as pipe_run
from pipe.build import Build
from pipe.definition import Definition
from pipe.evidence import Evidence
from pipe.run import Plan
from pipe.settings import Settings
from tests.histories.bitbucket import REPOSITORY, Bitbucket, Run, StepRun
from tests.histories.bitbucket_api import Api
from tests.histories.pipelines_file import TOLD_VARIABLES, Pager, expand

Environment = dict[str, str]


@dataclass
class Log:
    lines: list[str] = field(default_factory=list)

    def info(self, message: str) -> None:
        self.lines.append(message)

    def warning(self, message: str) -> None:
        self.lines.append(f"(yellow) {message}")

    def debug(self, message: str) -> None:
        pass


@dataclass(frozen=True)
class Place:
    """Where the pipe stands: in which step of which run, in `script` or `after-script`, and the exit code it sees."""

    run: Run
    step: StepRun
    part: str
    pager: Pager
    code: int | None

    @property
    def speaks_for_a_step(self) -> bool:
        return self.part == "after-script" and (not self.step.slot.final or bool(self.code))

    @property
    def is_told(self) -> bool:
        """Of another pipeline; in an after-script only where that failed."""
        if not self.run.about or self.code:
            return False
        return self.part == "script" or self.run.about_status not in ("SUCCESSFUL", "STOPPED")

    @property
    def runs_only_after_a_success(self) -> bool:
        return self.part == "script" and not self.step.slot.final and not self.run.about

    @property
    def about(self) -> Run:
        return self.run.about if self.run.about and self.is_told else self.run


def shell(place: Place, *, failing: bool = False) -> Environment:
    """The variables of the step's shell. `failing`: as they were if what the pipe speaks for had failed."""
    run, step = place.run, place.step
    ref, about = run.ref, run.about
    environ = {
        "CI": "true",
        "BITBUCKET_WORKSPACE": "acme",
        "BITBUCKET_REPO_SLUG": "shop",
        "BITBUCKET_REPO_FULL_NAME": REPOSITORY,
        "BITBUCKET_PROJECT_KEY": "SHOP",
        "BITBUCKET_BUILD_NUMBER": str(run.number),
        "BITBUCKET_COMMIT": f"{run.number:040x}",
        "BITBUCKET_CLONE_DIR": "/nowhere",
        "BITBUCKET_PIPELINE_UUID": run.uuid,
        "BITBUCKET_STEP_UUID": step.uuid,
        "BITBUCKET_STEP_RUN_NUMBER": str(step.number),
        "BITBUCKET_BRANCH": ref.name if ref.kind in ("branch", "pull-request") else "",
        "BITBUCKET_TAG": ref.name if ref.kind == "tag" else "",
        "BITBUCKET_PR_ID": str(ref.number) if ref.kind == "pull-request" else "",
        "BITBUCKET_PR_DESTINATION_BRANCH": ref.destination if ref.kind == "pull-request" else "",
        "BITBUCKET_DEPLOYMENT_ENVIRONMENT": step.slot.environment,
        "PAGERDUTY_INTEGRATION_KEY": "c0ffee11c0ffee22c0ffee33c0ffee44",
        "PAGERDUTY_OTHER_KEY": "decade11decade22decade33decade44",
        "BITBUCKET_ACCESS_TOKEN": "a-token-of-this-repository",
        "STATUS": "failed" if failing else _status_by_output_variable(run),
    }
    if step.slot.shard >= 0:
        environ["BITBUCKET_PARALLEL_STEP"] = str(step.slot.shard)
        environ["BITBUCKET_PARALLEL_STEP_COUNT"] = str(step.slot.shards)
    if place.code is not None:
        environ["BITBUCKET_EXIT_CODE"] = "1" if failing and place.speaks_for_a_step else str(place.code)
    if about:
        pattern = "" if about.pipeline.section == "default" else about.pipeline.pattern
        status = "FAILED" if failing and place.is_told else run.about_status
        words = (status, about.uuid, about.pipeline.section, pattern)
        environ |= {
            f"BITBUCKET_TRIGGER_PIPELINE_{name}": word for name, word in zip(TOLD_VARIABLES, words, strict=True)
        }
    return {name: value for name, value in environ.items() if value}


def environment(place: Place, *, failing: bool = False) -> Environment:
    """The variables of the pipe's container: Bitbucket's own, but for the exit code and the shell's, and its
    `variables:`."""
    of_shell = shell(place, failing=failing)
    own = {
        n: v
        for n, v in of_shell.items()
        if n.startswith("BITBUCKET_") and n not in ("BITBUCKET_EXIT_CODE", "BITBUCKET_ACCESS_TOKEN")
    }
    given = {name: expand(value, of_shell) for name, value in place.pager.variables().items()}
    return {"CI": "true", "TEST_REPORTS": "none"} | own | given


@dataclass(frozen=True)
class Said:
    """What the pipe decided, sent and logged."""

    plan: Plan
    settings: Settings
    bodies: tuple[dict[str, Any], ...]
    log: tuple[str, ...]
    status: int
    requests: int  # to Bitbucket's API

    @property
    def service(self) -> str:
        return self.settings.integration_key

    @property
    def is_unknown(self) -> bool:
        return self.plan.decision.result_unknown


def run_pipe(place: Place, bitbucket: Bitbucket, trouble: str, *, failing: bool = False) -> Said:
    """`trouble`: of Bitbucket's API."""
    environ = environment(place, failing=failing)
    settings, build, log = _settings(tuple(environ.items())), Build.read(environ), Log()
    definition = bitbucket.file.definition if place.step.slot.step.clone else Definition(absent=True)
    api: Any = Api(bitbucket, trouble, place.about if failing else None)
    plan = pipe_run.plan(settings, build, definition, lambda *_: api, log)
    bodies = tuple(event.body for event in plan.events if event.body.get("event_action"))
    log.info(plan.decision.reason)
    if plan.decision.warning:
        log.warning(plan.decision.warning)
    told = plan.answer if plan.answer and plan.answer.outcome.of_another else None
    failed = told.refused and not told.may_be_own if told else plan.decision.failed or bool(settings.problems)
    status = 1 if failed else 0
    return Said(plan, settings, bodies, tuple(log.lines), status, api.requests)


@contextmanager
def without_evidence() -> Iterator[None]:
    """What the page tells beside the result is no part of the decision, and slow to read."""
    with mock.patch.object(pipe_run, "gather", return_value=Evidence()):
        yield


@lru_cache(maxsize=4096)
def _settings(environ: tuple[tuple[str, str], ...]) -> Settings:
    return Settings.read(dict(environ))


def _status_by_output_variable(run: Run) -> str:
    """What the steps wrote into $BITBUCKET_PIPELINES_VARIABLES_PATH: the first `failed` stands; `successful` once all
    that could run did."""
    if any(step.breaks_the_pipeline for step in run.others):
        return "failed"
    if run.stopped:
        return "stopped"
    return "successful"
