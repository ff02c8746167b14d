"""The story of one run, top to bottom: read, decide, gather, and make what is to be sent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from pipe import event, ownership, placement, subject, wording
from pipe.build import Build
from pipe.decision import Decision, decide
from pipe.definition import Definition
from pipe.event import Event, Story
from pipe.evidence import Evidence
from pipe.filters import kept_out
from pipe.outcome import Answer, Outcome, Result, by_variables, unasked, without_any_sign
from pipe.particulars import gather
from pipe.placement import Placed
from pipe.settings import Settings
from pipe.subject import Subject
from pipe.wording import Case

if TYPE_CHECKING:
    from pipe.bitbucket import Connect
    from pipe.log import Log


class Judged(NamedTuple):
    """What to do, and by what. `case` is None where a filter kept the run out; `answer` too, where it did so before
    Bitbucket was asked."""

    decision: Decision
    answer: Answer | None = None
    case: Case | None = None


class Plan(NamedTuple):
    """What was decided, and the events that it takes: the alert's first; the failure of the others only warns."""

    decision: Decision
    events: tuple[Event, ...] = ()
    answer: Answer | None = None  # by which it was decided


def plan(settings: Settings, build: Build, definition: Definition, connect: Connect, log: Log) -> Plan:
    """Decide by the variables, `bitbucket-pipelines.yml` and, with a token, Bitbucket's API."""
    has_code = settings.exit_code is not None
    placed = placement.placed(definition, build, settings.alert_name, settings.dedup_key, has_code=has_code)
    decision, answer, case = judge(settings, build, definition, placed, connect, log.info)
    for known in (definition, answer, case):
        log.debug(str(known))
    if not answer or not case:
        if answer and answer.refused and answer.outcome.doubt:
            log.warning(f"{answer.outcome.doubt}.")
        return Plan(decision, answer=answer)
    found = Evidence()
    if decision.action or decision.change_too:
        found = gather(settings, build, answer, connect)
        for warning in found.warnings:
            log.warning(warning)
    story = Story(
        answer.about,
        answer.outcome,
        case.subject,
        _now(),
        found,
        _step_name(definition, build, placed, answer.outcome),
        answer.newer_build,
        answer.newer_passed,
        (*settings.problems, *settings.notices, *answer.warnings, *found.warnings),
        wording.ways_to_tell(placed, told=answer.outcome.of_another, has_token=settings.has_token),
    )
    events = _events(settings, story, decision)
    if decision.result_unknown:
        decision = decision._replace(warning=f"{decision.warning} {' '.join(story.ways_to_tell)}")
    return Plan(decision, events, answer)


def judge(
    settings: Settings,
    build: Build,
    definition: Definition,
    placed: tuple[Placed, ...],
    connect: Connect,
    log: Callable[[str], None],
) -> Judged:
    """What to do, before anything is gathered for it: a run and `check` decide by this."""
    outcome = by_variables(settings, build, placed, imports=definition.imports(build))
    told = bool(outcome and outcome.of_another)
    if not told and (why := kept_out(settings, build)):
        return Judged(_sending_nothing(why, outcome))
    answer = _answer(settings, build, definition, placed, outcome, connect, log)
    if told and (why := kept_out(settings, answer.about)):
        return Judged(_sending_nothing(why, answer.outcome), answer)
    case = _case(settings, definition, placed, answer)
    return Judged(decide(settings, case), answer, case)


def plan_without_reading(settings: Settings, build: Build, why: str) -> Plan:
    """By the variables alone, where all else failed: a failure that they tell pages, and nothing resolves."""
    outcome = by_variables(settings, build, ()) or without_any_sign(settings, ())._replace(reason=why)
    answer = unasked(outcome, build, Definition(unread=why))
    if filtered := kept_out(settings, answer.about):
        return Plan(_sending_nothing(filtered, outcome))
    case = Case(outcome, _subject(settings, answer), ownership.Ownership(why), in_ci=build.in_ci)
    decision = decide(settings, case)
    warnings = (*settings.problems, *settings.notices, f"{why}.")
    story = Story(answer.about, outcome, case.subject, _now(), Evidence(), warnings=warnings)
    return Plan(decision, _events(settings, story, decision), answer)


def _answer(
    settings: Settings,
    build: Build,
    definition: Definition,
    placed: tuple[Placed, ...],
    outcome: Outcome | None,
    connect: Connect,
    log: Callable[[str], None],
) -> Answer:
    tells = outcome and not outcome.of_another and outcome.result is not Result.UNKNOWN
    if tells or not settings.has_token or settings.event_action != "auto":
        return unasked(outcome or without_any_sign(settings, placed), build, definition)
    from pipe import bitbucket, inquiry  # only needed with a token

    api = connect(bitbucket.BUDGET_SECONDS)
    if outcome and outcome.of_another:
        return inquiry.ask_about_told(api, settings, outcome, build, definition, log)
    answer = inquiry.ask_own(api, settings, build, definition, placed, log)
    return answer._replace(outcome=_beside_a_bad_value(outcome, answer.outcome, placed)) if outcome else answer


def _beside_a_bad_value(bad: Outcome, found: Outcome, placed: tuple[Placed, ...]) -> Outcome:
    """What Bitbucket says beside an exit code or BUILD_STATUS that cannot be read: a failure counts; all else only in a
    `final:` step, elsewhere the value may have been the failure."""
    if placement.in_a_final_step(placed):
        return bad if found.result is Result.UNKNOWN else found
    return found._replace(doubt=bad.reason) if found.result is Result.FAILED else bad


def _case(settings: Settings, definition: Definition, placed: tuple[Placed, ...], answer: Answer) -> Case:
    outcome, about = answer.outcome, answer.about
    what = _subject(settings, answer)
    if outcome.of_step:
        owner = ownership.of_step(definition, about, what)
        may_be_skipped = any(one.step.may_be_skipped for one in placed)
        return Case(outcome, what, owner, about.environment, about.in_ci, may_be_skipped)
    owner = ownership.of_pipeline(definition, about, what, outcome.selector)
    may_be_skipped, siblings = _may_be_skipped(definition, answer), _siblings(definition, answer, what)
    return Case(outcome, what, owner, "", about.in_ci, may_be_skipped, answer.may_be_own, siblings)


def _subject(settings: Settings, answer: Answer) -> Subject:
    if answer.outcome.of_step:
        return subject.of_step(answer.about, settings.alert_name, settings.dedup_key)
    return subject.of_pipeline(answer.about, settings.alert_name, settings.dedup_key, answer.outcome.selector)


def _may_be_skipped(definition: Definition, answer: Answer) -> bool:
    """Whether a later run of the pipeline may be green without all of its steps."""
    own = definition.selected(answer.selector)
    if not own or own.imported:
        return bool(answer.outcome.failed_steps)
    return any(step.may_be_skipped for step in own.steps)


def _siblings(definition: Definition, answer: Answer, what: Subject) -> tuple[str, ...]:
    """Other pipelines of the file whose failure keeps the alert open: of one key are an exact branch beside a pattern,
    and tags of one line; with a DEDUP_KEY all that hold the pipe."""
    own = definition.selected(answer.selector)
    if not own:
        return ()
    others = [one for one in definition.possible(answer.about) if one is not own]
    heard = [one for one in others if answer.outcome.told or one.holds_the_pipe]
    return tuple(one.label for one in heard if what.given_key or one.section == own.section != "custom")


def _sending_nothing(why: str, outcome: Outcome | None) -> Decision:
    line = f"Sending nothing: {why}."
    failed = bool(outcome and outcome.result is Result.FAILED)
    return Decision(line, warning=f"{line} But it failed: {outcome.reason}." if outcome and failed else "")


def _events(settings: Settings, story: Story, decision: Decision) -> tuple[Event, ...]:
    found = []
    if decision.action and decision.action != "change":
        found.append(event.alert(settings, story, decision))
    if decision.closes_unknown:
        found.append(event.alert(settings, story, Decision("", "resolve", result_unknown=True)))
    if decision.action == "change" or decision.change_too:
        found.append(event.change(settings, story))
    return tuple(found)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _step_name(definition: Definition, build: Build, placed: tuple[Placed, ...], outcome: Outcome) -> str:
    """The running step's name, where it is about one and the file leaves no doubt which it is."""
    if not outcome.of_step or not definition.is_read or definition.imports(build):
        return ""
    names = {one.step.name for one in placed if one.sees_exit_code or outcome.exit_code is None}
    return names.pop() if len(names) == 1 else ""
