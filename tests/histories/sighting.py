"""One run of the pipe in a history, and what came of it: what is true there, what the pipe said, what PagerDuty did."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from tests.histories.bitbucket import Run
from tests.histories.pager import Place, Said
from tests.histories.pagerduty import Alert, Key
from tests.histories.pipelines_file import Trigger
from tests.histories.truth import Check, Where, failed_steps, has_failed, is_green, where


@dataclass(eq=False)
class Sighting:
    place: Place
    said: Said
    order: int  # in time
    trouble: str  # of Bitbucket's API
    triggers: tuple[Trigger, ...] = ()  # of the file
    key: Key | None = None  # under which it does page, or would
    check: Check | None = None  # where it speaks for a step
    failed_names: tuple[str, ...] = ()
    opened: list[Alert] = field(default_factory=list)
    merged_into: list[Alert] = field(default_factory=list)
    closed: list[Alert] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.failed_names = tuple(step.slot.step.name for step in failed_steps(self.about, told=self.place.is_told))

    @property
    def about(self) -> Run:
        return self.place.about

    @property
    def of_step(self) -> bool:
        return self.place.speaks_for_a_step and not self.place.is_told

    @property
    def can_tell_something(self) -> bool:
        """Not where it runs only after a success, nor in a pager's pipeline that a person started by hand."""
        return not (self.place.part == "script" and not self.place.step.slot.final and not self.place.run.about)

    @property
    def where(self) -> Where:
        return where(self.about.ref, self.place.step.slot.environment if self.of_step else "")

    @property
    def sight(self) -> tuple[str, ...]:
        """What an alert about the pipe's sight is about: a place, or a DEDUP_KEY there."""
        return (*self.where, self.place.pager.dedup_key)

    @property
    def goes_by_build_status(self) -> bool:
        return bool(self.place.pager.build_status) and not self.place.is_told

    @property
    def failed(self) -> bool:
        """In truth, and somebody should know."""
        if self.of_step:
            return bool(self.place.code)
        return has_failed(self.about, told=self.place.is_told)

    @property
    def green(self) -> bool:
        """In truth, as far as it ran."""
        return not self.place.code if self.of_step else is_green(self.about, told=self.place.is_told)

    @property
    def sees_the_api(self) -> bool:
        return self.place.pager.token and not self.trouble

    @property
    def knows_a_pipelines_result(self) -> bool:
        """And where that pipeline ran."""
        if self.of_step or not self.key or self.said.is_unknown:
            return False
        return self.sees_the_api if self.place.is_told else True

    @property
    def kept_out(self) -> bool:
        """By PULL_REQUESTS, BRANCHES or IGNORE_EXIT_CODES. Which branch a told pipeline ran on is only known with a token."""
        pager, ref = self.place.pager, self.about.ref
        if self.of_step and str(self.place.code) in pager.ignore_exit_codes.split():
            return True
        if ref.kind == "pull-request" and not pager.pull_requests:
            return True
        branch = ref.destination if ref.kind == "pull-request" else ref.name if ref.kind == "branch" else ""
        if not branch or not pager.branches or (self.place.is_told and not self.sees_the_api):
            return False
        return not any(fnmatchcase(branch, pattern) for pattern in pager.branches.split())

    @property
    def label(self) -> str:
        told = f", told of #{self.about.number}" if self.about is not self.place.run else ""
        return f"the pipe in {self.place.part} of {self.place.step.slot.label} (#{self.place.run.number}{told})"
