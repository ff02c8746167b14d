"""A pipeline and its steps, made from the JSON in which Bitbucket's REST API tells of them.

The specification [D] says little: of a step only `type` is required, and answers that others keep in their tests [R]
hold fields it lacks. So what is needed to judge a step must be there, and everything else may be missing or odd.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pipe.bitbucket.unreadable import Unreadable, strange
from pipe.environment import mend

# In this order earlier runs give way to a later one of the same name: what did not pass is what gets rerun; a step that
# did not run at all stays longest, since it leaves the result in doubt.
BROKEN = ("FAILED", "ERROR", "EXPIRED")
_GIVES_WAY = {"SUCCESSFUL": 1, "NOT_RUN": 2}


@dataclass(frozen=True)
class StepRun:
    """One step of a pipeline, its last run only. States and results are upper-case words as sent, new ones included."""

    uuid: str
    name: str = ""  # "" where Bitbucket sends none; not in the specification, seen in answers [R]
    state: str = ""  # PENDING, READY, IN_PROGRESS, COMPLETED [D], or what comes new; "" where Bitbucket tells none
    result: str = ""  # SUCCESSFUL, FAILED, ERROR, EXPIRED, STOPPED, NOT_RUN [D]; "" until it is completed
    manual: bool = False  # `trigger.type` is pipeline_step_trigger_manual [R]
    run_number: int = 1  # 1 where not said; not in the specification, seen in answers [R]

    @property
    def unfinished(self) -> bool:
        """Whether it will go on by itself: a manual step that has not started waits for a person."""
        if self.result or self.state in ("", "COMPLETED", "NOT_RUN", "SKIPPED"):
            return False
        return self.state == "IN_PROGRESS" or not self.manual


@dataclass(frozen=True)
class PipelineRun:
    """A pipeline as one of its steps, the asking one, sees it.

    `steps` are the others, in Bitbucket's order. Where Bitbucket does not list the asking step, `own` is None and it
    may be among them.

    `stopped_by`: `terminator.display_name` in the result of the pipeline or of a step. One public client reads it
    there [R]; the specification lacks it, and whether it is sent unasked, for a pipeline that is still in progress, or
    for a stop by the system, is unproven [?]. `creator` says who started the pipeline, never who stopped it.
    """

    number: int | None
    steps: tuple[StepRun, ...] = ()
    own: StepRun | None = None
    own_is_last: bool = False  # the last one of the pipeline, as a `final:` step is
    stopped_by: str | None = None
    state: str = ""
    result: str = ""  # "" while in progress, as it always is from inside a step
    ref_type: str = ""  # branch, tag, …; "pullrequest" for a pull request's; "" for a bare commit
    ref_name: str = ""  # of a pull request: its source branch
    pull_request: int | None = None
    selector_type: str = ""  # branches, tags, custom, pull-requests, merge-queues, default (which has no pattern) [R]
    selector_pattern: str = ""
    commit: str = ""
    created_on: str = ""
    superseded: tuple[str, ...] = ()  # names of broken runs that a later run of a namesake stands for
    waiting: bool = False  # some other step had not finished when the time to wait was over

    @property
    def check(self) -> tuple[object, ...]:
        """What two builds share that tell of the same thing: the same ref, by the same pipeline definition."""
        return self.ref_type, self.ref_name, self.pull_request, self.selector_type, self.selector_pattern


def pipeline_run(found: Any, listed: list[Any], own_uuid: str = "") -> PipelineRun:
    """From a `pipeline` object and the `pipeline_step` objects of its listing. Raises Unreadable."""
    found, listed = _object(found, "a pipeline"), [_object(item, "a step") for item in listed]
    if not {"uuid", "build_number", "state"} & found.keys():
        raise strange("something else than a pipeline")
    runs = [_step(item, index) for index, item in enumerate(listed)]
    steps = _last_runs(runs)
    kept = {bare(step.uuid) for step in steps}
    own = next((step for step in steps if own_uuid and bare(step.uuid) == bare(own_uuid)), None)
    # earlier runs of the asking step say nothing of the others
    others = tuple(s for s in steps if s is not own and not (own and own.name and s.name == own.name and s.result))
    state, result = _state(found)
    target = _object(found.get("target") or {}, "a target")
    selector = _object(target.get("selector") or {}, "a selector")
    pull_request = _object(target.get("pullrequest") or {}, "a pull request")
    stops = [item for item, run in zip(listed, runs, strict=True) if run.result == "STOPPED" and run in steps]
    names = (_terminator(item) for item in [found, *stops])
    return PipelineRun(
        number=_number(found.get("build_number")),
        steps=others,
        own=own,
        own_is_last=own is not None and steps[-1] is own,
        stopped_by=next((name for name in names if name), None),
        state=state,
        result=result,
        ref_type=_text(target.get("ref_type")) or ("pullrequest" if pull_request else ""),
        ref_name=_text(target.get("ref_name")) or _text(target.get("source")),
        pull_request=_number(pull_request.get("id")),
        selector_type=_text(selector.get("type")),
        selector_pattern=_text(selector.get("pattern")),
        commit=_text(_object(target.get("commit") or {}, "a commit").get("hash")),
        created_on=_text(found.get("created_on")),
        superseded=tuple(run.name for run in runs if run.result in BROKEN and bare(run.uuid) not in kept),
        waiting=any(step.unfinished for step in others),
    )


def bare(uuid: str) -> str:
    """A UUID without the braces that Bitbucket puts around it, to compare it."""
    return uuid.strip().strip("{}").lower()


def _step(item: dict[str, Any], index: int) -> StepRun:
    """One step; of one that is not what it should be, state and result stay empty, and the others still tell theirs."""
    uuid = _text(item.get("uuid")) or f"the one at {index}"
    try:
        state, result = _state(item)
    except Unreadable:
        state, result = "", ""
    trigger = item.get("trigger")
    kind = _text(trigger.get("type")) if isinstance(trigger, dict) else ""
    run_number = _number(item.get("run_number")) or 1
    return StepRun(uuid, _text(item.get("name")), state, result, "manual" in kind.lower(), run_number)


def _last_runs(runs: list[StepRun]) -> list[StepRun]:
    """Each step's last run, in the order given.

    Whether Bitbucket lists the earlier runs of a step at all, and whether a rerun keeps its uuid, is unproven [?]. Two
    runs are of one step where they share a uuid; and among namesakes, each run supersedes one with a lower number.
    Steps without a name are never taken for one another.
    """
    latest: dict[str, StepRun] = {}
    for run in runs:
        before = latest.get(bare(run.uuid))
        if before is None or run.run_number >= before.run_number:
            latest[bare(run.uuid)] = run
    runs = [run for run in runs if latest[bare(run.uuid)] is run]
    count = Counter((run.name, run.run_number) for run in runs)
    superseded: Counter[tuple[str, int]] = Counter()
    for name, number in count:
        later = [count[other] for other in count if name and other[0] == name and other[1] > number]
        superseded[name, number] = max(later, default=0)
    gone = set()
    for run in sorted(runs, key=lambda run: _GIVES_WAY.get(run.result, 0)):
        if superseded[run.name, run.run_number]:
            superseded[run.name, run.run_number] -= 1
            gone.add(run.uuid)
    return [run for run in runs if run.uuid not in gone]


def _state(item: dict[str, Any]) -> tuple[str, str]:
    state = _object(item.get("state") or {}, "a state")
    return _word(state), _word(_object(state.get("result") or {}, "a result"))


def _word(node: dict[str, Any]) -> str:
    """The name, or else what the type ends in."""
    kind = re.fullmatch(r"pipeline_(?:step_)?state_(?:completed_)?(\w+)", _text(node.get("type")))
    return (_text(node.get("name")) or (kind[1] if kind else "")).strip().upper()


def _terminator(item: dict[str, Any]) -> str:
    state = item.get("state") or {}
    for place in (state.get("result"), state, item):
        person = place.get("terminator") if isinstance(place, dict) else None
        if isinstance(person, dict) and person:
            return _text(person.get("display_name")) or _text(person.get("nickname")) or "somebody"
    return ""


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise strange(f"{what} that is no JSON object")
    return value


def _text(value: Any) -> str:
    return mend(value) if isinstance(value, str) else ""


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
