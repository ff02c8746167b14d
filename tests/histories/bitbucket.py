"""A model of Bitbucket: runs pipelines of one file, step by step, and calls the pipe wherever it stands.

What is unknown of Bitbucket [?] is a `World`: histories are made for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.histories.pipelines_file import File, Pager, Pipeline, Slot

REPOSITORY = "acme/shop"
BROKEN = ("FAILED", "ERROR", "SYSTEM_ERROR", "USER_ERROR", "EXPIRED")
TIME_LIMIT = "Step exceeded the time limit of 120 minutes."
MAX_CHAIN = 6  # pipelines that tell each other; more is a loop
ALL_GATES = 99

Troubles = Mapping[int, str]  # of a slot's index: fail, flaky, error, timeout, skip, stop


@dataclass(frozen=True)
class World:
    """What nobody knows until it is tried on a real account."""

    final_runs_at_gates: bool = False  # or only when the pipeline has ended
    told_on_main: bool = False  # a told pipeline runs on the default branch, or on the one that it is told of
    timeout_ends_as: str = "FAILED"  # or STOPPED, by nobody
    after_script_after_timeout: bool = False


@dataclass(frozen=True)
class Ref:
    kind: str  # branch, tag, pull-request, commit
    name: str = ""
    number: int = 0
    destination: str = ""

    def __str__(self) -> str:
        if self.kind == "pull-request":
            return f"pull request {self.number} ({self.name} into {self.destination})"
        return {"branch": self.name, "tag": f"tag {self.name}"}.get(self.kind, "a commit")


MAIN = Ref("branch", "main")


@dataclass
class StepRun:
    """The last run of one step of a pipeline, which is the only one that Bitbucket lists."""

    slot: Slot
    uuid: str
    state: str = "PENDING"
    stage: str = ""
    result: str = ""
    error: str = ""
    number: int = 1

    @property
    def is_broken(self) -> bool:
        """In truth: failed, or ended by nobody's wish."""
        return self.result in BROKEN or (self.result == "STOPPED" and bool(self.error))

    @property
    def breaks_the_pipeline(self) -> bool:
        return self.is_broken and self.slot.step.on_fail != "ignore"

    @property
    def has_ended(self) -> bool:
        return self.state == "COMPLETED"

    def end(self, result: str, error: str = "") -> None:
        self.state, self.stage, self.result, self.error = "COMPLETED", "", result, error

    def reset(self) -> None:
        self.state, self.stage, self.result, self.error = "PENDING", "", "", ""
        self.number += 1
        self.uuid = f"{self.uuid[:-4]}{self.number:03d}}}"


@dataclass(eq=False)
class Run:
    """One run of a pipeline. `about` is the run that it was told of, as it had ended then."""

    number: int
    pipeline: Pipeline
    ref: Ref
    steps: list[StepRun]
    about: Run | None = None
    about_status: str = ""
    state: str = "IN_PROGRESS"
    result: str = ""
    error: str = ""
    terminator: str = ""
    stopped: bool = False  # by a person
    next_block: int = 0
    gates_passed: set[int] = field(default_factory=set)
    times: int = 1  # that it ran, reruns and redeploys included

    @property
    def uuid(self) -> str:
        return f"{{{self.number:08d}-0000-4000-8000-000000000000}}"

    @property
    def others(self) -> list[StepRun]:
        return [step for step in self.steps if not step.slot.final]

    @property
    def final(self) -> StepRun | None:
        return next((step for step in self.steps if step.slot.final), None)

    @property
    def has_ended(self) -> bool:
        return self.state == "COMPLETED"

    @property
    def waits(self) -> bool:
        return any(step.stage == "PAUSED" for step in self.steps)

    @property
    def label(self) -> str:
        return f"#{self.number} {self.pipeline.label} on {self.ref}"


@dataclass(frozen=True)
class Course:
    """How one run of a pipeline is to go."""

    troubles: Troubles = field(default_factory=dict)
    gates: int = ALL_GATES  # so many gates are opened at once; at the next one it waits
    late_after: int = -1  # so many blocks run now, the rest when it is told to go on; -1: all now


# Of the pipe: the run, the step, where in it ("script" or "after-script"), its item and the exit code that it sees;
# returns the exit status of the pipe.
RunPager = Callable[[Run, StepRun, str, Pager, int | None], int]


class Endless(AssertionError):
    """Pipelines start each other without an end."""


class Bitbucket:
    def __init__(self, file: File, world: World, run_pager: RunPager, tell: Callable[[str], None]) -> None:
        self.file, self.world = file, world
        self.runs: list[Run] = []
        self.without_after_script = 0  # failed steps in whose after-script the pipe stands, and which ran none
        self._run_pager, self._tell = run_pager, tell

    def start(self, pipeline: Pipeline, ref: Ref, course: Course, about: Run | None = None, chain: int = 0) -> Run:
        number = len(self.runs) + 1
        steps = [StepRun(slot, f"{{{number:08d}-{slot.index:04d}-4000-8000-000000000001}}") for slot in pipeline.slots]
        run = Run(number, pipeline, ref, steps, about, about.result if about else "")
        self.runs.append(run)
        self._go(run, course, chain)
        return run

    def go_on(self, run: Run, course: Course) -> None:
        """A person opens the gate, or a slow run goes on."""
        for step in run.steps:
            if step.stage == "PAUSED":
                run.gates_passed.add(step.slot.index)
                step.stage = ""
        self._go(run, course, 0)

    def stop(self, run: Run) -> None:
        """A person presses Stop while it waits, or between two steps."""
        for step in run.others:
            if not step.has_ended:
                step.end("NOT_RUN")
        run.stopped = True
        self._finish(run, {}, 0)

    def rerun(self, run: Run, course: Course) -> None:
        """Only what failed, and what did not run for it."""
        self._again(
            run, [step for step in run.others if step.result != "SUCCESSFUL" and step.result != "SKIPPED"], course
        )

    def redeploy(self, run: Run, which: int, course: Course) -> bool:
        steps = [step for step in run.others if step.slot.environment and step.result == "SUCCESSFUL"]
        if steps:
            self._again(run, [steps[which % len(steps)]], course)
        return bool(steps)

    def _again(self, run: Run, steps: list[StepRun], course: Course) -> None:
        """What ran once meets its condition again: the commit is the same."""
        ran = {step.slot.index for step in steps if step.result != "NOT_RUN"}
        troubles = {index: what for index, what in course.troubles.items() if what != "skip" or index not in ran}
        for step in steps:
            step.reset()
            run.gates_passed.add(step.slot.index)
        run.state, run.result, run.error, run.terminator, run.stopped = "IN_PROGRESS", "", "", "", False
        run.next_block = 0
        run.times += 1
        self._go(run, Course(troubles), 0)

    def _go(self, run: Run, course: Course, chain: int) -> None:
        """Until it ends, waits at a gate or is overtaken."""
        gates, blocks = course.gates, 0
        for block in sorted({step.slot.block for step in run.others if step.slot.block >= run.next_block}):
            steps = [step for step in run.others if step.slot.block == block and not step.has_ended]
            skipped = [s for s in steps if course.troubles.get(s.slot.index) == "skip" and s.slot.may_be_skipped]
            if steps and steps[0].slot.gate and steps[0].slot.index not in run.gates_passed and not skipped:
                if gates <= 0:
                    self._wait(run, steps[0], course, chain)
                    return
                gates -= 1
            if steps and course.late_after == blocks:
                run.next_block = block
                self._tell(f"{run.label} is slow")
                return
            blocks += 1  # noqa: SIM113 - a gate may stand in front of it
            for step in steps:
                self._run_step(run, step, course.troubles.get(step.slot.index, ""))
            if run.stopped or any(step.breaks_the_pipeline for step in run.others if step.slot.block == block):
                break
        for step in run.others:
            if not step.has_ended:
                step.end("NOT_RUN")
        self._finish(run, course.troubles, chain)

    def _wait(self, run: Run, step: StepRun, course: Course, chain: int) -> None:
        step.stage, run.next_block = "PAUSED", step.slot.block
        self._tell(f"{run.label} waits at {step.slot.label}: {_results(run)}")
        if self.world.final_runs_at_gates:
            self._run_final(run, course.troubles)

    def _run_step(self, run: Run, step: StepRun, trouble: str) -> None:
        if run.stopped:
            step.end("STOPPED")
        elif trouble == "skip" and step.slot.may_be_skipped:
            step.end("SKIPPED")
        elif trouble == "stop":
            step.end("STOPPED")
            run.stopped = True
        elif trouble == "error":
            self.without_after_script += bool(step.slot.step.after)
            step.end("SYSTEM_ERROR", "The step could not be set up.")
        elif trouble == "timeout":
            if self.world.after_script_after_timeout:
                self._after(run, step, 1)
            else:
                self.without_after_script += bool(step.slot.step.after)
            step.end("STOPPED", TIME_LIMIT)
        elif trouble == "flaky" and step.slot.step.on_fail == "retry":
            self._attempt(run, step, 1)
            self._attempt(run, step, 0)
        else:
            code = self._attempt(run, step, 1 if trouble in ("fail", "flaky") else 0)
            if code and step.slot.step.on_fail == "retry":
                self._attempt(run, step, 1)

    def _attempt(self, run: Run, step: StepRun, code: int) -> int:
        step.state = "IN_PROGRESS"
        if not code and (inside := step.slot.step.inside):
            code = self._run_pager(run, step, "script", inside, None)
        self._after(run, step, code)
        step.end("FAILED" if code else "SUCCESSFUL")
        return code

    def _after(self, run: Run, step: StepRun, code: int) -> None:
        if after := step.slot.step.after:
            step.state = "IN_PROGRESS"
            self._run_pager(run, step, "after-script", after, code)

    def _run_final(self, run: Run, troubles: Troubles) -> None:
        """It always runs, whatever became of the others, and again whenever they ran again."""
        if final := run.final:
            if final.has_ended:
                final.reset()
            self._attempt(run, final, 1 if troubles.get(final.slot.index) == "fail" else 0)

    def _finish(self, run: Run, troubles: Troubles, chain: int) -> None:
        broken = [step for step in run.others if step.breaks_the_pipeline]
        self._tell(f"{run.label}{' (again)' if run.times > 1 else ''}: {_results(run)}")
        self._run_final(run, troubles)
        run.state = "COMPLETED"
        if run.stopped:
            run.result, run.terminator = "STOPPED", "Ann"
        elif any(step.result == "SYSTEM_ERROR" for step in broken):
            run.result = "ERROR"
        elif broken and all(step.result == "STOPPED" for step in broken):
            run.result, run.error = self.world.timeout_ends_as, TIME_LIMIT
        elif broken or (run.final and run.final.is_broken):
            run.result = "FAILED"
        else:
            run.result = "SUCCESSFUL"
        self._tell_others(run, chain)

    def _tell_others(self, ended: Run, chain: int) -> None:
        pattern = "" if ended.pipeline.section == "default" else ended.pipeline.pattern
        for trigger in self.file.triggers:
            if trigger.holds(ended.result, ended.pipeline.section, pattern):
                if chain >= MAX_CHAIN:
                    raise Endless(f"{ended.label} is the {chain}th pipeline that is started by another one")
                told = next(p for p in self.file.pipelines if (p.section, p.pattern) == ("custom", trigger.pipeline))
                self.start(told, self._ref_told_on(ended.ref), Course(), ended, chain + 1)

    def _ref_told_on(self, ref: Ref) -> Ref:
        if self.world.told_on_main:
            return MAIN
        return Ref("branch", ref.name) if ref.kind in ("branch", "pull-request") else Ref("commit")


def _results(run: Run) -> str:
    return ", ".join(
        f"{step.slot.label} {step.result or step.stage or step.state}"
        + (" (time limit)" if step.error == TIME_LIMIT else "")
        for step in run.others
    )
