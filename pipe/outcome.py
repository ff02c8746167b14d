"""How the build went, and how we know: from `BUILD_STATUS`, the exit code, or Bitbucket (`pipeline_result.py`).

Any sign of failure is a failure; any doubt is said. Nothing here is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pipe.variables import Settings


class Result(Enum):
    FAILED = "failed"
    SUCCESSFUL = "successful"
    STOPPED = "stopped"
    NOTHING_RAN = "nothing ran"
    IGNORED = "ignored"
    UNKNOWN = "unknown"


class Origin(Enum):
    EXIT_CODE = "the exit code"
    BUILD_STATUS = "BUILD_STATUS"
    BITBUCKET = "Bitbucket's API"


@dataclass(frozen=True)
class Outcome:
    """How it went, who says so, and what is known beside it."""

    result: Result
    origin: Origin
    reason: str  # one sentence for the log, without a full stop
    exit_code: int | None = None
    failed_steps: tuple[str, ...] = ()
    failed_step_uuid: str = ""
    doubt: str = ""  # why a success does not prove that all is mended
    newer_build: str = ""  # e.g. "#813 FAILED https://…"
    selector: tuple[str, str] = ("", "")

    @property
    def of_one_step(self) -> bool:
        """Whether it speaks for this step only, or for the whole pipeline."""
        return self.origin is Origin.EXIT_CODE

    @property
    def passed_by_exit_code(self) -> bool:
        return self.of_one_step and self.result is Result.SUCCESSFUL


def from_variables(settings: Settings) -> Outcome | None:
    """What the variables tell; None where they tell nothing, so that Bitbucket has to be asked."""
    status, code = settings.build_status, settings.exit_code
    if status and status != "successful":
        result = Result.STOPPED if status == "stopped" else Result.FAILED
        return Outcome(result, Origin.BUILD_STATUS, f"BUILD_STATUS is {status}", exit_code=code or None)
    if code:
        if code in settings.ignore_exit_codes:
            return Outcome(
                Result.IGNORED, Origin.EXIT_CODE, f"exit code {code} is among IGNORE_EXIT_CODES", exit_code=code
            )
        beside = f", whatever BUILD_STATUS ({status}) says" if status else ""
        return Outcome(Result.FAILED, Origin.EXIT_CODE, f"the exit code is {code}{beside}", exit_code=code)
    if settings.unreadable_result:
        return Outcome(Result.UNKNOWN, Origin.EXIT_CODE, settings.unreadable_result.rstrip("."))
    if status:
        return Outcome(Result.SUCCESSFUL, Origin.BUILD_STATUS, f"BUILD_STATUS is {status}", exit_code=code)
    if code == 0:
        if code in settings.ignore_exit_codes:
            return Outcome(Result.IGNORED, Origin.EXIT_CODE, "exit code 0 is among IGNORE_EXIT_CODES", exit_code=code)
        return Outcome(Result.SUCCESSFUL, Origin.EXIT_CODE, "the exit code is 0", exit_code=code)
    return None


def without_any_sign() -> Outcome:
    return Outcome(
        Result.UNKNOWN, Origin.BITBUCKET, "there is no exit code, no BUILD_STATUS and no token to ask Bitbucket with"
    )
