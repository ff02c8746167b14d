"""How a pipeline went, by Bitbucket's answer: a list of rules, of which the first that fits tells.

From inside a step, the pipeline and the asking step are still in progress: only the *other* steps count. A pipeline
that this run is told of has ended: its own result counts first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pipe.bitbucket.runs import PipelineRun, StepRun
from pipe.definition import Pipeline, Step
from pipe.lib.text import listed
from pipe.outcome import BROKEN, MISPLACED, PASSED, Outcome, Result
from pipe.placement import Placed

DID_NOT_RUN = ("NOT_RUN", "SKIPPED")
WAITING = ("PAUSED", "HALTED")  # for a person, or for nobody: HALTED may never end [R]
KNOWN_RESULTS = (*BROKEN, *PASSED, *DID_NOT_RUN, "STOPPED")
KNOWN_STATES = ("PENDING", "READY", "IN_PROGRESS", "COMPLETED")
MAX_NAMED_STEPS = 3  # in one sentence

OWN_CODE_MISSING = (
    "this step's own exit code is missing: map `EXIT_CODE: $BITBUCKET_EXIT_CODE`; a `final:` step needs a name that no "
    "step with an after-script has"
)
ALONE = "Bitbucket lists no other step, and a step cannot judge itself"


class Look(NamedTuple):
    """One look at a pipeline: all that is needed to judge it."""

    run: PipelineRun
    steps: tuple[StepRun, ...]  # the others, in Bitbucket's order
    ignored: frozenset[str] = frozenset()  # names of steps that say `on-fail: ignore`
    misplaced: bool = False  # the asking step holds this pipe in its script, and is no final one
    own_code_missing: bool = False  # the asking step may be an ordinary one, whose own result is the very thing missing

    def with_result(self, *words: str) -> tuple[StepRun, ...]:
        return tuple(step for step in self.steps if step.result in words)

    @property
    def broken(self) -> tuple[StepRun, ...]:
        return tuple(step for step in self.with_result(*BROKEN) if step.name not in self.ignored)

    @property
    def waiting(self) -> tuple[StepRun, ...]:
        """Steps at a gate, and those behind it: they wait for a person, or for nobody, and are not waited for."""
        gate = self.run.stage in WAITING
        found = []
        for step in self.steps:
            gate = gate or (step.stage in WAITING and not step.result)
            if gate and not step.result and step.state in ("PENDING", "READY"):
                found.append(step)
        return tuple(found)

    @property
    def skipped(self) -> tuple[StepRun, ...]:
        return (*self.with_result(*DID_NOT_RUN), *self.waiting)

    @property
    def unfinished(self) -> tuple[StepRun, ...]:
        waiting = {*self.waiting}
        return tuple(s for s in self.steps if not s.result and s.state in KNOWN_STATES[:3] and s not in waiting)

    @property
    def strange(self) -> tuple[StepRun, ...]:
        told = {*self.waiting, *self.unfinished}
        return tuple(step for step in self.steps if step.result not in KNOWN_RESULTS and step not in told)


Rule = Callable[[Look], Outcome | None]


def look(
    run: PipelineRun,
    steps: tuple[StepRun, ...],
    own_step: str,
    pipelines: tuple[Pipeline, ...],
    placed: tuple[Placed, ...] = (),
) -> Look:
    """`own_step`: the uuid of the asking step. `pipelines`: those of the file that the run can be one of. `placed`:
    where in the file this run can stand; narrowed here to the steps that have the asking step's name."""
    own = [step for step in steps if own_step and _bare(step.uuid) == _bare(own_step)]
    others = tuple(step for step in steps if step not in own)
    name, imports = own[0].name if own else "", any(pipeline.imported for pipeline in pipelines)
    here = [one for one in placed if one.pipeline in pipelines and not imports and _may_be_called(one.step, name)]
    misplaced = bool(name and here) and all(one.step.name and one.runs_only_after_a_success for one in here)
    ordinary = any(one.item.place == "after-script" and not one.step.final for one in (here or placed))
    ordinary |= bool(own_step) and run.selector_type == "custom" and not here  # Bitbucket takes no final step there [D]
    return Look(run, others, _ignored(pipelines), misplaced, ordinary)


def _may_be_called(step: Step, name: str) -> bool:
    """Whether Bitbucket can call a step of the file so: one without a name anything, a final one with words before."""
    return not (step.name and name) or step.name == name or (step.final and name.endswith(step.name))


def judge(look: Look) -> Outcome:
    outcome = next(filter(None, (rule(look) for rule in RULES)))
    return outcome._replace(skipped=_skipped(look), selector=look.run.selector)


def judge_told(told: Outcome, look: Look) -> Outcome:
    """What Bitbucket's API makes of the status that this run was told: it adds what is known of a failure, and can only
    turn a success into a failure or a doubt, and a stop by nobody into a failure."""
    found = judge(look)
    stopped = told.result is found.result is Result.STOPPED and look.run.result == "STOPPED"
    if stopped and not look.run.terminator:
        reason = "the pipeline was stopped, and Bitbucket names nobody who stopped it"
        found = _failure(look, reason)._replace(skipped=found.skipped, selector=found.selector)
    if found.result is Result.FAILED:
        return found._replace(told=True)
    doubt = found.reason if told.result is Result.SUCCESSFUL and found.result is not Result.SUCCESSFUL else ""
    return told._replace(doubt=doubt, error=look.run.error, skipped=found.skipped, selector=found.selector)


def _misplaced(look: Look) -> Outcome | None:
    return Outcome(Result.MISPLACED, MISPLACED, of_step=True) if look.misplaced else None


def _passed_whole(look: Look) -> Outcome | None:
    if look.run.result in PASSED:
        return Outcome(Result.SUCCESSFUL, "Bitbucket says that the pipeline passed")
    return None


def _broken_steps(look: Look) -> Outcome | None:
    if not look.broken:
        return None
    verb = "expired" if {step.result for step in look.broken} == {"EXPIRED"} else "failed"
    return _failure(look, f"Bitbucket says that {_named(look.broken)} {verb}")


def _broken_pipeline(look: Look) -> Outcome | None:
    if look.run.result in BROKEN:
        return _failure(look, f"Bitbucket says that the pipeline ended as {look.run.result}")
    return None


def _stopped(look: Look) -> Outcome | None:
    # One that is ignored and was ended by an error, a time limit say, failed: that is left out.
    steps = tuple(s for s in look.with_result("STOPPED") if not (s.error and s.name in look.ignored))
    if not steps and look.run.result != "STOPPED":
        return None
    if look.run.error or any(step.error for step in steps):
        return _failure(look, "the pipeline was stopped by an error")
    where = f" at {_named(steps)}" if steps else ""
    return Outcome(Result.STOPPED, f"{look.run.terminator or 'somebody'} stopped the pipeline{where}")


def _alone(look: Look) -> Outcome | None:
    return None if look.steps else Outcome(Result.UNKNOWN, ALONE)


def _strange_step(look: Look) -> Outcome | None:
    if not look.strange:
        return None
    said = look.strange[0].result or look.strange[0].state or "nothing"
    return Outcome(Result.UNKNOWN, f"{_named(look.strange)} ended as {said}, which the pipe does not know")


def _unfinished(look: Look) -> Outcome | None:
    if not look.unfinished:
        return None
    why = f"{_named(look.unfinished)} had not finished when the time to wait was over"
    return Outcome(Result.UNKNOWN, why, unfinished=True)


def _nothing_ran(look: Look) -> Outcome | None:
    if len(look.skipped) < len(look.steps):
        return None
    return Outcome(Result.NOTHING_RAN, "no other step of the pipeline ran")


def _strange_pipeline(look: Look) -> Outcome | None:
    if look.run.result:
        return Outcome(Result.UNKNOWN, f"the pipeline ended as {look.run.result}, which the pipe does not know")
    return None


def _own_code_missing(look: Look) -> Outcome | None:
    if not look.own_code_missing:
        return None
    return Outcome(Result.UNKNOWN, f"all other steps passed, but {OWN_CODE_MISSING}")


def _passed(look: Look) -> Outcome:
    ignored = " or may fail" if look.with_result(*BROKEN) else ""
    return Outcome(Result.SUCCESSFUL, f"Bitbucket says that every other step that ran passed{ignored}")


RULES: tuple[Rule, ...] = (
    _misplaced,
    _passed_whole,
    _broken_steps,
    _broken_pipeline,
    _stopped,
    _alone,
    _strange_step,
    _unfinished,
    _nothing_ran,
    _strange_pipeline,
    _own_code_missing,
    _passed,
)


def _failure(look: Look, reason: str) -> Outcome:
    steps = look.broken or tuple(step for step in look.steps if step.error and step.name not in look.ignored)
    error = next((step.error for step in steps if step.error), look.run.error)
    uuid = next((step.uuid for step in steps if step.uuid), "")
    doubt = OWN_CODE_MISSING if look.own_code_missing else ""  # of a later success too
    return Outcome(
        Result.FAILED, reason, failed_steps=_names_of(steps), failed_step_uuid=uuid, error=error, doubt=doubt
    )


def _ignored(pipelines: tuple[Pipeline, ...]) -> frozenset[str]:
    """Names of which every step says `on-fail: ignore`: its failure leaves the pipeline green [D]."""
    steps = [step for pipeline in pipelines for step in pipeline.steps if step.name]
    held = {step.name for step in steps if step.on_fail != "ignore"}
    return frozenset(step.name for step in steps) - held


def _skipped(look: Look) -> tuple[str, ...]:
    """Steps that a green run may leave out. Behind a failure, every step is NOT_RUN."""
    usual = "NOT_RUN" if look.broken and look.run.result not in PASSED else None
    names = (step.name for step in look.skipped if step.result != usual and step.name not in look.ignored)
    return tuple(dict.fromkeys(names))


def _names_of(steps: tuple[StepRun, ...]) -> tuple[str, ...]:
    return tuple(step.name or "an unnamed step" for step in steps)


def _named(steps: tuple[StepRun, ...]) -> str:
    return listed([f'"{step.name}"' if step.name else "an unnamed step" for step in steps], MAX_NAMED_STEPS)


def _bare(uuid: str) -> str:
    """A UUID without the braces that Bitbucket puts around it, to compare it."""
    return uuid.strip().strip("{}").lower()
