"""How it went, by the variables: the first that tells. Any sign of failure is a failure, and nothing is guessed."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from pipe.build import Build
from pipe.definition import TRIGGER_STATUS, Definition
from pipe.placement import Placed, in_a_final_step
from pipe.settings import Settings

if TYPE_CHECKING:
    from pipe.bitbucket import PipelineRun, Unreadable

BROKEN = ("FAILED", "ERROR", "SYSTEM_ERROR", "USER_ERROR", "EXPIRED")
PASSED = ("SUCCESSFUL", "PASSED", "SUCCESS")
MISPLACED = (
    "this pipe stands in `script` of an ordinary step, where it runs only after a success; move it to the step's "
    "`after-script`"
)

KEPT_EMPTY = (
    "the variable that this script gives as EXIT_CODE or BUILD_STATUS is empty; set it in front of the command, to 0 "
    "or `successful`"
)
SHELLS_CODE = (
    "a step with this name gives `$?` as its exit code, which reads 0 in every after-script, and Bitbucket's own did "
    "not come"
)


class Result(Enum):
    FAILED = "failed"
    SUCCESSFUL = "successful"
    STOPPED = "stopped"
    NOTHING_RAN = "nothing ran"
    IGNORED = "ignored"
    MISPLACED = "misplaced"  # the pipe stands where it runs only after a success
    UNKNOWN = "unknown"


class Outcome(NamedTuple):
    """How it went, whom it speaks for, and what is known beside it."""

    result: Result
    reason: str  # one sentence for the log, without a capital and a full stop
    of_step: bool = False  # it speaks for this step; else for a pipeline
    told: bool = False  # of another pipeline, by `triggers: pipeline-completed`
    exit_code: int | None = None
    failed_steps: tuple[str, ...] = ()
    failed_step_uuid: str = ""
    skipped: tuple[str, ...] = ()  # steps that did not run
    error: str = ""  # Bitbucket's own words: "Container 'Build' exceeded memory limit."
    doubt: str = ""  # why a success may not be one, this or a later one
    unfinished: bool = False  # to be asked again: other steps are still running
    selector: tuple[str, str] = ("", "")  # what started the pipeline, by Bitbucket's API or as a told run was told

    @property
    def of_another(self) -> bool:
        """Whether it speaks for the pipeline that this run is told of: beside a failure of its own step it does not."""
        return self.told and not self.of_step


class Answer(NamedTuple):
    """How it went, of which build, and what Bitbucket says beside it."""

    outcome: Outcome
    about: Build
    run: PipelineRun | None = None
    newer_build: str = ""  # "#813 SUCCESSFUL https://…"
    newer_passed: str = ""  # "#813"
    may_be_own: bool = False  # it is about a pipeline that may be the pager's own
    trouble: Unreadable | None = None  # something that Bitbucket was asked could not be read

    @property
    def selector(self) -> tuple[str, str]:
        """What started the pipeline, as far as it is known."""
        return self.run.selector if self.run else self.outcome.selector

    @property
    def refused(self) -> bool:
        """Whether Bitbucket refused the token."""
        return bool(self.trouble and self.trouble.refused)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The trouble, for a failure's page. (A result that is not known has it as its reason.)"""
        if not self.trouble or self.outcome.result is not Result.FAILED:
            return ()
        return (f"{self.trouble.reason}. {self.trouble.advice}",)


def unasked(outcome: Outcome, build: Build, definition: Definition) -> Answer:
    """By the variables alone: of a pipeline that this run is told of, they hardly say more than how it went."""
    if not outcome.of_another:
        return Answer(outcome, build)
    return Answer(outcome, build.told_of(), may_be_own=definition.may_be_a_pager(build.told.selector))


def by_variables(
    settings: Settings, build: Build, placed: tuple[Placed, ...], *, imports: bool = False
) -> Outcome | None:
    """What the variables tell; None where they tell nothing. `placed`: where in the file this run can stand, or with
    `imports` in a pipeline of another file."""
    code = settings.exit_code
    told = _told(settings, build, placed)
    told_failure = bool(told and told.result is Result.FAILED)
    if code and code not in settings.ignore_exit_codes:
        whatever = f", whatever BUILD_STATUS ({settings.build_status}) says" if settings.build_status else ""
        # `told` beside an exit code: this step may only ever run after another pipeline's failure, never turning green.
        return Outcome(Result.FAILED, f"exit code {code}{whatever}", of_step=True, exit_code=code, told=told_failure)
    has_code = code is not None or bool(settings.bad_exit_code)
    known = () if imports else placed
    says_nothing = code == 0 and bool(known) and not any(one.sees_exit_code for one in known)  # the `$?` of a script
    if told and (told_failure or not has_code or says_nothing):
        return told
    if has_code:
        return _step(settings, placed, imports=imports)
    if settings.build_status:
        result = {"successful": Result.SUCCESSFUL, "stopped": Result.STOPPED}.get(settings.build_status, Result.FAILED)
        return Outcome(result, f"BUILD_STATUS is {settings.build_status}")
    if settings.bad_build_status:
        return without_any_sign(settings, placed)
    if known and all(one.runs_only_after_a_success for one in known):
        if all(one.sees_exit_code or one.item.build_status for one in known):
            return Outcome(Result.UNKNOWN, KEPT_EMPTY, of_step=True)
        return Outcome(Result.MISPLACED, MISPLACED, of_step=True)
    return None


def without_any_sign(settings: Settings, placed: tuple[Placed, ...]) -> Outcome:
    """Nothing tells. What an EVENT_ACTION sends is about the step, but in a `final:` step's script the pipeline."""
    why = settings.bad_build_status or "there is no exit code, no BUILD_STATUS and no token to ask Bitbucket with"
    if settings.exit_code == 0:
        beside = ", nor does BUILD_STATUS beside it" if settings.build_status else ""
        why = f"an exit code of 0 says nothing of the build here{beside}, and there is no token to ask Bitbucket with"
    for_its_pipeline = in_a_final_step(placed) and all(one.item.place == "script" for one in placed)
    of_step = settings.event_action != "auto" and not for_its_pipeline
    started = {(one.pipeline.section, one.pipeline.pattern) for one in placed}
    by_the_api = for_its_pipeline and settings.has_token and not any(one.item.build_status for one in placed)
    selector = started.pop() if by_the_api and len(started) == 1 else ("", "")  # as the API names it, for the same key
    return Outcome(Result.UNKNOWN, why.removesuffix("."), of_step, selector=selector)


def _step(settings: Settings, placed: tuple[Placed, ...], *, imports: bool) -> Outcome | None:
    """By an exit code of 0, one that is ignored, or one that cannot be read, and by what stands beside it; None in a
    `final:` step, whose own code tells nothing."""
    if settings.build_status in ("failed", "error", "expired"):
        return Outcome(Result.FAILED, f"BUILD_STATUS is {settings.build_status}", of_step=True)
    if unreadable := settings.bad_exit_code or settings.bad_build_status:
        return Outcome(Result.UNKNOWN, unreadable.removesuffix("."), of_step=True)
    code, here = settings.exit_code, [one for one in placed if one.sees_exit_code]
    only_final = any(one.step.final for one in placed) and all(one.step.final for one in here)
    if code == 0 and only_final and (here or not imports):
        return None  # a final step's own exit code, or the `$?` of its script, tells nothing of the build
    if code in settings.ignore_exit_codes:
        return Outcome(Result.IGNORED, f"exit code {code} is among IGNORE_EXIT_CODES", of_step=True, exit_code=code)
    if any(one.gives_the_shells_code(own_code_came=settings.has_own_exit_code) for one in here):
        return Outcome(Result.UNKNOWN, SHELLS_CODE, of_step=True)
    if not imports and placed and not here and all(one.runs_only_after_a_success for one in placed):
        return Outcome(Result.MISPLACED, MISPLACED, of_step=True)
    return Outcome(Result.SUCCESSFUL, "exit code 0", of_step=True, exit_code=0)


def _told(settings: Settings, build: Build, placed: tuple[Placed, ...]) -> Outcome | None:
    """How another pipeline ended, where that started this run; also where the file takes BUILD_STATUS from it."""
    status = build.told.status
    giving = [one.item.build_status for one in placed if one.item.build_status]
    if not status and giving and all(TRIGGER_STATUS in text for text in giving):
        status = settings.build_status.upper() or ("an unknown word" if settings.bad_build_status else "")
    if not status:
        return None
    if status in BROKEN:
        result = Result.FAILED
    elif status in PASSED:
        result = Result.SUCCESSFUL
    else:
        result = Result.STOPPED if status == "STOPPED" else Result.UNKNOWN
    unknown = ", which the pipe does not know" if result is Result.UNKNOWN else ""
    reason = f"Bitbucket says that the pipeline ended as {status}{unknown}"
    return Outcome(result, reason, told=True, selector=build.told.selector)
