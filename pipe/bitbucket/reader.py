"""What a run asks of Bitbucket's API: types only, so that a run without a token loads no client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pipe.bitbucket.runs import FailedTests, PipelineRun, StepRun


class Reader(Protocol):
    """A repository's pipelines. Each question raises `Unreadable` where there is no answer."""

    @property
    def time_left(self) -> float: ...

    def pipeline(self, uuid: str) -> PipelineRun: ...

    def steps(self, pipeline_uuid: str) -> tuple[StepRun, ...]: ...

    def builds(self, branch: str = "") -> tuple[PipelineRun, ...]: ...

    def failed_tests(self, pipeline_uuid: str, step_uuid: str) -> FailedTests: ...

    def log_tail(self, pipeline_uuid: str, step_uuid: str) -> tuple[bytes, bool]: ...


Connect = Callable[[float], Reader]  # with a budget of so many seconds
