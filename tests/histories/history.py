"""A history: events one after another in the model of Bitbucket, the pipe wherever it stands, and the invariants after
each of its runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.histories import invariants
from tests.histories.bitbucket import ALL_GATES, MAIN, Bitbucket, Course, Ref, Run, StepRun, World
from tests.histories.invariants import Violation
from tests.histories.pager import Place, Said, run_pipe
from tests.histories.pagerduty import Key, PagerDuty
from tests.histories.pipelines_file import File, Pager, Pipeline
from tests.histories.sighting import Sighting
from tests.histories.story import tell_outcome
from tests.histories.truth import Truth, check_of


@dataclass
class Figures:
    counts: Counter[str] = field(default_factory=Counter)
    excepted: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        names = ("histories", "builds", "step runs with the pipe", "pages", "swallowed", "resolves", "by hand")
        figures = [f"{self.counts[name]} {name}" for name in names]
        return ", ".join(
            [*figures, "excepted: " + (", ".join(f"{n} {c}" for n, c in sorted(self.excepted.items())) or "none")]
        )


class History:
    def __init__(self, file: File, world: World | None = None, figures: Figures | None = None) -> None:
        self.file, self.figures = file, figures or Figures()
        self.lines: list[str] = []
        self.bitbucket = Bitbucket(file, world or World(), self.run_pager, self._tell)
        self.pagerduty, self.truth = PagerDuty(), Truth(self.bitbucket)
        self.trouble = ""  # of Bitbucket's API: "expired" or "silent"
        self.undelivered = False  # PagerDuty cannot be reached
        self.sightings: list[Sighting] = []
        self.figures.counts["histories"] += 1

    # Events

    def start(
        self,
        pipeline: Pipeline,
        ref: Ref = MAIN,
        troubles: Mapping[int, str] | None = None,
        gates: int = ALL_GATES,
        late_after: int = -1,
    ) -> Run:
        return self.bitbucket.start(pipeline, ref, Course(troubles or {}, gates, late_after))

    def go_on(self, run: Run, troubles: Mapping[int, str] | None = None) -> None:
        self._tell(f"{run.label} goes on")
        self.bitbucket.go_on(run, Course(troubles or {}))

    def stop(self, run: Run) -> None:
        self._tell(f"Ann stops {run.label}")
        self.bitbucket.stop(run)

    def rerun(self, run: Run, troubles: Mapping[int, str] | None = None) -> None:
        self._tell(f"failed steps of {run.label} run again")
        self.bitbucket.rerun(run, Course(troubles or {}))

    def redeploy(self, run: Run, which: int = 0, troubles: Mapping[int, str] | None = None) -> None:
        self._tell(f"{run.label}: redeploy")
        self.bitbucket.redeploy(run, which, Course(troubles or {}))

    def api(self, trouble: str) -> None:
        self.trouble = trouble
        self._tell(f"Bitbucket's API: {trouble or 'the token is good'}")

    def resolve_by_hand(self, which: int = 0) -> None:
        if alert := self.pagerduty.resolve_by_hand(which):
            self._tell(f"Ann resolves {alert.key[1]} by hand")

    def recover(self) -> None:
        """Every pipeline runs whole and green once, on every ref it ran on."""
        self.api("")
        since = len(self.sightings)
        self._tell("now everything runs whole and green")
        used = {(id(run.pipeline), run.ref): run for run in self.bitbucket.runs if not run.about}
        runs = [self.start(run.pipeline, run.ref) for run in used.values()]
        never_green = [run.pipeline for run in runs if run.result != "SUCCESSFUL"]
        known = {one.sight for one in self.sightings[since:] if one.knows_a_pipelines_result}
        self._check(lambda: invariants.liveness(self.pagerduty, since, known, never_green, self.figures.excepted))

    def finish(self) -> None:
        self.recover()
        self.figures.counts["builds"] += len(self.bitbucket.runs)
        missed = self.bitbucket.without_after_script
        self.figures.excepted["no_after_script"] += missed

    # What others ask of a history

    @property
    def open_keys(self) -> list[str]:
        return [key[1].removeprefix("bitbucket:acme/shop:") for key in self.pagerduty.open]

    @property
    def last(self) -> Sighting:
        return self.sightings[-1]

    def __str__(self) -> str:
        return "\n".join([self.file.yaml, *self.lines])

    # The pipe's run

    def run_pager(self, run: Run, step: StepRun, part: str, pager: Pager, code: int | None) -> int:
        place = Place(run, step, part, pager, code)
        said = run_pipe(place, self.bitbucket, self.trouble)
        sighting = Sighting(place, said, len(self.sightings), self.trouble, self.file.triggers)
        self.sightings.append(sighting)
        self.figures.counts["step runs with the pipe"] += 1
        self._note_truth(sighting)
        before = self.pagerduty.open.get(sighting.key) if sighting.key else None
        if self.undelivered:
            self._tell(f"  {sighting.label}: PagerDuty is not reached")
            return 1 if said.bodies and not (said.plan.answer and said.plan.answer.may_be_own) else said.status
        for body in said.bodies:
            self._deliver(sighting, body)
        self.lines.extend(tell_outcome(sighting))
        excepted = self.figures.excepted
        self._check(lambda: invariants.no_silent_failure(sighting, self.truth, excepted))
        self._check(lambda: invariants.no_false_resolve(sighting, self.truth, excepted))
        self._check(lambda: invariants.what_a_page_says_comes_true(sighting, before, self.truth, excepted))
        return said.status

    def _deliver(self, sighting: Sighting, body: dict[str, object]) -> None:
        counts = self.figures.counts
        if body["event_action"] == "resolve":
            closed = self.pagerduty.resolve(sighting.said.service, body)
            sighting.closed += [closed] if closed else []
            counts["resolves"] += bool(closed)
            return
        alert, is_new = self.pagerduty.trigger(sighting.said.service, body, sighting)
        (sighting.opened if is_new else sighting.merged_into).append(alert)
        counts["pages" if is_new else "swallowed"] += 1
        counts["by hand"] += is_new and alert.by_hand

    def _note_truth(self, sighting: Sighting) -> None:
        place = sighting.place
        if sighting.kept_out or not sighting.can_tell_something or not (sighting.green or sighting.failed):
            return
        sighting.key = self._key(sighting)
        if not sighting.key:
            return
        if sighting.of_step:
            sighting.check = check_of(place)
            self.truth.note_step(sighting.key, sighting.check, place, sighting.order)
        else:
            self.truth.note_pipeline(sighting.key, sighting.about, told=place.is_told)

    def _key(self, sighting: Sighting) -> Key | None:
        """Of the alert that this run opens, or would open if it had failed."""
        said: Said = sighting.said
        if said.plan.decision.action not in ("trigger", "resolve"):
            said = run_pipe(sighting.place, self.bitbucket, sighting.trouble, failing=True)
        if said.plan.decision.action not in ("trigger", "resolve") or said.is_unknown:
            return None
        key = said.bodies[0].get("dedup_key", "")
        return (said.service, key) if key else None

    def _tell(self, line: str) -> None:
        self.lines.append(line)

    def _check(self, invariant: object) -> None:
        try:
            invariant()  # type: ignore[operator]
        except Violation as violation:
            raise Violation(f"{violation}\n\n{self}") from None
