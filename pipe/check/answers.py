"""What Bitbucket's API would say: the pipeline in question failed, or passed whole, and no other build did."""

from __future__ import annotations

from pipe.bitbucket import Bitbucket, Unreadable
from pipe.bitbucket.runs import PipelineRun, StepRun
from pipe.check.container import Place

REF_TYPES = {"tags": "tag", "pull-requests": "pullrequest"}


class Answers(Bitbucket):
    """Of one pipeline on one ref; `told`: of one that ended, which is asked for by its uuid alone."""

    def __init__(self, place: Place, *, success: bool, told: bool) -> None:
        self._place, self._result, self._told = place, "SUCCESSFUL" if success else "FAILED", told

    def pipeline(self, uuid: str) -> PipelineRun:
        """The one that ended, by its uuid; else the run's own, which is in progress."""
        if self._told and not uuid:
            raise Unreadable("the UUID of the pipeline is not known", "Map BITBUCKET_TRIGGER_PIPELINE_UUID.")
        section = self._place.pipeline.section
        return PipelineRun(
            uuid,
            number=1,
            state="COMPLETED" if uuid else "IN_PROGRESS",
            result=self._result if uuid else "",
            ref_type=REF_TYPES.get(section, "branch"),
            ref_name=self._place.ref.name,
            pull_request=1 if section == "pull-requests" else None,
            destination=self._place.into.name if self._place.into else "",
            selector_type=section,
            selector_pattern=self._place.pipeline.pattern,
        )

    def steps(self, pipeline_uuid: str) -> tuple[StepRun, ...]:
        return (StepRun("{other}", "another step", "COMPLETED", result=self._result),)

    def builds(self, branch: str = "") -> tuple[PipelineRun, ...]:
        return ()
