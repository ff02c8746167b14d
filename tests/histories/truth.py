"""What is true in the model, whatever the pipe could see of it: what each alert is about, and whether that is green.

"Last" is by the build's number, and among the runs of one build by time: what a later build broke, no rerun of an
earlier one has fixed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.histories.bitbucket import Bitbucket, Ref, Run, StepRun
from tests.histories.pager import Place, shell
from tests.histories.pagerduty import Key
from tests.histories.pipelines_file import Pipeline, Slot, expand

Where = tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """What one exit code speaks for: a step of one name at one place (the same name in another pipeline is the same
    check, a second one in the same pipeline is not), else one step of the file."""

    where: Where
    name: str  # "" for a step without one
    which: object  # of several alike in one pipeline


@dataclass(frozen=True)
class Verdict:
    number: int  # of the build
    order: int  # in time
    green: bool
    step: str


@dataclass
class Truth:
    bitbucket: Bitbucket
    verdicts: dict[Key, dict[Check, list[Verdict]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    pipelines: dict[Key, dict[tuple[int, Where], Pipeline]] = field(default_factory=lambda: defaultdict(dict))
    told: set[Key] = field(default_factory=set)

    def note_step(self, key: Key, check: Check, place: Place, order: int) -> None:
        verdict = Verdict(place.run.number, order, not place.code, place.step.slot.label)
        self.verdicts[key][check].append(verdict)

    def note_pipeline(self, key: Key, about: Run, *, told: bool) -> None:
        self.pipelines[key][id(about.pipeline), where(about.ref)] = about.pipeline
        if told:
            self.told.add(key)

    def red_checks(self, key: Key, *, by_time: bool = False) -> list[Check]:
        """Steps that could have opened the alert and did not run green last."""
        found = []
        for check, verdicts in self.verdicts.get(key, {}).items():
            last = max(verdicts, key=lambda one: one.order if by_time else (one.number, one.order))
            if not last.green:
                found.append(check)
        return found

    def red_steps(self, key: Key) -> list[tuple[Run, StepRun]]:
        """Steps of the pipelines that could have opened the alert which did not run green last."""
        return [
            (run, step)
            for (_, place), pipeline in self.pipelines.get(key, {}).items()
            for slot in pipeline.slots
            if not slot.final or key in self.told
            for run, step in self._last_verdict(pipeline, place, slot)
            if step.breaks_the_pipeline
        ]

    def _last_verdict(self, pipeline: Pipeline, place: Where, slot: Slot) -> Iterator[tuple[Run, StepRun]]:
        for run in reversed(self.bitbucket.runs):
            if run.pipeline is pipeline and where(run.ref) == place:
                if slot.final and run.state != "COMPLETED":
                    continue  # it waits at a gate: the final step runs again behind it, and nobody was told of it yet
                step = run.steps[slot.index]
                if step.result == "SUCCESSFUL" or step.is_broken:
                    yield run, step
                    return


def where(ref: Ref, environment: str = "") -> Where:
    """The place of a check. Of tags: the line of one major version."""
    if environment:
        return "deployment", environment
    if ref.kind == "pull-request":
        return "pull request", str(ref.number)
    if ref.kind == "tag":
        return "tag", re.sub(r"(\d+).*", r"\1", ref.name)
    return ref.kind, ref.name


def check_of(place: Place) -> Check:
    """The check that this run's exit code speaks for."""
    name = _text(place, place.step.slot)
    at = where(place.run.ref, place.step.slot.environment)
    if not name:
        return Check(at, "", (id(place.run.pipeline), place.step.slot.index))
    alike = [
        slot.index
        for slot in place.run.pipeline.slots
        if slot.environment == place.step.slot.environment and slot.step.after and _text(place, slot) == name
    ]
    return Check(at, name, alike.index(place.step.slot.index) if place.step.slot.index in alike else -1)


def failed_steps(run: Run, *, told: bool = False) -> list[StepRun]:
    """`told`: to another pipeline, which sees the `final:` step too."""
    return [step for step in (run.steps if told else run.others) if step.breaks_the_pipeline]


def has_failed(run: Run, *, told: bool = False) -> bool:
    """Somebody should know of it; not where a person stopped it."""
    return not run.stopped and bool(failed_steps(run, told=told))


def is_green(run: Run, *, told: bool = False) -> bool:
    """As far as it ran."""
    results = {step.result for step in run.others}
    return "SUCCESSFUL" in results and "STOPPED" not in results and not run.stopped and not failed_steps(run, told=told)


def _text(place: Place, slot: Slot) -> str:
    """What the pipe is given as a name in this step of the same run."""
    pager = slot.step.after
    if not pager:
        return ""
    environ = shell(Place(place.run, place.run.steps[slot.index], "after-script", pager, 0))
    return expand(pager.dedup_key, environ) or expand(pager.alert_name, environ)


def words(checks: Iterable[Check]) -> str:
    return ", ".join(" ".join(filter(None, (check.name or "a step without a name", *check.where))) for check in checks)
