"""What the other builds under the same key say: is this success in doubt, and did a newer build pass?

A success speaks for what ran in it, at its time. So it is in doubt when a newer build failed, when a step that did not
run in it had failed when it last ran, or when another pipeline with the same key had failed when it last ran.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from pipe.bitbucket import Bitbucket, PipelineRun, StepRun, Unreadable
from pipe.build import Build
from pipe.outcome import BROKEN, PASSED
from pipe.subject import of_pipeline

MAX_STEP_LISTS = 20  # requests for the steps of one build each; what they do not settle is in doubt


class History(NamedTuple):
    """Finished builds of the same key, newest first, without the one in question."""

    builds: tuple[PipelineRun, ...]
    own: PipelineRun

    @property
    def newer(self) -> Iterator[PipelineRun]:
        return (build for build in self.builds if _number(build) > _number(self.own))

    @property
    def newer_passed(self) -> PipelineRun | None:
        """The newest finished build, where it is newer than this one and passed."""
        newest = next(self.newer, None)
        return newest if newest and newest.result in PASSED else None

    def doubt(self, api: Bitbucket, skipped: tuple[str, ...]) -> str:
        """Why this build's success does not show that all is fixed; empty where it does. `skipped`: the names of the
        steps that did not run."""
        if failed := next(filter(_failed, self.newer), None):
            return f"the newer build #{failed.number} did not pass"
        if other := self._other_pipeline():
            return f"{_pipeline(other)} uses the same key and did not pass when it last ran (#{other.number})"
        step_lists = _StepLists(api)
        try:
            for name in skipped:
                if failed := self._last_run_failed(name, step_lists):
                    return f"{_step(name)} did not run, and failed when it last ran (#{failed.number})"
        except TooManyLists:
            return f"{_step(name)} did not run, and its last run is too many builds ago to be looked up"
        return ""

    def _other_pipeline(self) -> PipelineRun | None:
        """One with the same key (an exact branch beside a pattern) whose last run failed."""
        seen = {self.own.selector}
        for build in self.builds:
            if build.selector not in seen and (_failed(build) or build.result in PASSED):
                seen.add(build.selector)
                if _failed(build):
                    return build
        return None

    def _last_run_failed(self, name: str, step_lists: _StepLists) -> PipelineRun | None:
        """The build in which the step failed, if no later one ran it green. Of the builds that passed, only those after
        one in which it failed are looked into."""
        for index, build in enumerate(self.builds):
            if build.result in PASSED:
                continue
            ran = step_lists.ran(build, name)
            if ran == "green":
                return None
            if ran == "failed":
                later = (after for after in reversed(self.builds[:index]) if after.result in PASSED)
                return None if any(step_lists.ran(after, name) == "green" for after in later) else build
        return None


class TooManyLists(Exception):
    """More lists of steps would be needed than are asked for."""


class _StepLists:
    """The steps of builds, each build asked for once."""

    def __init__(self, api: Bitbucket) -> None:
        self._api = api
        self._known: dict[str, tuple[StepRun, ...]] = {}

    def ran(self, build: PipelineRun, name: str) -> str | None:
        """`failed`, `green`, or None where it did not run or did not run whole. Namesakes count as one."""
        if build.uuid not in self._known:
            if len(self._known) == MAX_STEP_LISTS:
                raise TooManyLists
            self._known[build.uuid] = self._api.steps(build.uuid)
        namesakes = [step for step in self._known[build.uuid] if step.name == name]
        results = {step.result for step in namesakes}
        if any(step.error or step.result in BROKEN for step in namesakes) or ("STOPPED" in results and _failed(build)):
            return "failed"
        return "green" if results and results <= set(PASSED) else None


def read(
    api: Bitbucket,
    own: PipelineRun,
    about: Build,
    dedup_key: str = "",
    pages: Callable[[tuple[str, str]], bool] = lambda _: True,
) -> History:
    """The builds of the same key, by Bitbucket's list: with a DEDUP_KEY those of every pipeline of the place. `pages`
    tells whether another pipeline, by its selector, can open an alert. Raises Unreadable."""

    def key_of(run: PipelineRun) -> str:
        subject = of_pipeline(about.of_run(run), selector=run.selector)
        return subject.where if dedup_key else subject.whole_key

    if about.ref_known and not about.of_run(own).ref_known:
        raise Unreadable("Bitbucket's answer does not say on which ref this pipeline runs", "")
    key = key_of(own)
    found = api.builds(own.ref_name if own.ref_type == "branch" and not own.pull_request else "")
    others = (build for build in found if build.result and build.uuid != own.uuid and key_of(build) == key)
    alike = (build for build in others if build.selector == own.selector or pages(build.selector))
    return History(tuple(sorted(alike, key=_number, reverse=True)), own)


def _failed(build: PipelineRun) -> bool:
    """One that was stopped by nobody may have failed, and so may one that ended as a word that is not known."""
    return build.result not in (*PASSED, "STOPPED") or (build.result == "STOPPED" and not build.terminator)


def _number(build: PipelineRun) -> int:
    return build.number or 0


def _pipeline(build: PipelineRun) -> str:
    return ": ".join(filter(None, build.selector)) or "another pipeline"


def _step(name: str) -> str:
    return f'"{name}"' if name else "an unnamed step"
