"""What Bitbucket's API says of the model at this moment: the fake behind the pipe's `Api` protocol."""

from __future__ import annotations

from dataclasses import dataclass

from pipe.bitbucket import Unreadable
from pipe.bitbucket import runs as answers
from tests.histories.bitbucket import BROKEN, Bitbucket, Run

MAX_BUILDS = 60
KINDS = {"branch": "branch", "tag": "tag", "pull-request": "pullrequest", "commit": ""}


@dataclass
class Api:
    """`failing`: every question about this run is answered as if it had failed, to see what the pipe would say then."""

    bitbucket: Bitbucket
    trouble: str = ""  # "", "expired" or "silent"
    failing: Run | None = None
    requests: int = 0

    @property
    def time_left(self) -> float:
        return 0.0

    def pipeline(self, uuid: str) -> answers.PipelineRun:
        self._ask()
        return self._pipeline(self._run(uuid))

    def steps(self, pipeline_uuid: str) -> tuple[answers.StepRun, ...]:
        self._ask()
        run = self._run(pipeline_uuid)
        found = [
            answers.StepRun(step.uuid, step.slot.step.name, step.state, step.stage, step.result, step.error)
            for step in run.steps
        ]
        if run is self.failing:
            others = [index for index, step in enumerate(run.steps) if step.result and not step.slot.final]
            if not any(found[index].result in BROKEN for index in others):
                index = others[0] if others else 0
                found[index] = found[index]._replace(state="COMPLETED", stage="", result="FAILED")
        return tuple(found)

    def builds(self, branch: str = "") -> tuple[answers.PipelineRun, ...]:
        self._ask()
        fitting = [run for run in self.bitbucket.runs if not branch or run.ref.name == branch]
        return tuple(self._pipeline(run) for run in reversed(fitting[-MAX_BUILDS:]))

    def _ask(self) -> None:
        self.requests += 1
        if self.trouble == "expired":
            raise Unreadable("Bitbucket refused the token (401)", "Renew BITBUCKET_ACCESS_TOKEN.", refused=True)
        if self.trouble:
            raise Unreadable("Bitbucket's API has trouble of its own (503)", "Nothing is wrong.", temporary=True)

    def _run(self, uuid: str) -> Run:
        found = next((run for run in self.bitbucket.runs if run.uuid == uuid), None)
        if not found:
            raise Unreadable("Bitbucket finds no such thing (404)", "Check.")
        return found

    def _pipeline(self, run: Run) -> answers.PipelineRun:
        return answers.PipelineRun(
            uuid=run.uuid,
            number=run.number,
            state=run.state,
            stage="" if run.has_ended else "PAUSED" if run.waits else "RUNNING",
            result="FAILED" if run is self.failing and run.has_ended else run.result,
            error=run.error,
            terminator=run.terminator,
            ref_type=KINDS[run.ref.kind],
            ref_name=run.ref.name,
            pull_request=run.ref.number or None,
            destination=run.ref.destination,
            selector_type=run.pipeline.section,
            selector_pattern=run.pipeline.pattern,
            commit=f"{run.number:040x}",
        )
