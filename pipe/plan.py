"""The way from variables to events: read what decides, decide, and make what is to be sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from pipe import definition_file, event, outcome, ownership
from pipe.build import Build
from pipe.decision import Decision, decide
from pipe.definition import Definition
from pipe.event import Event
from pipe.evidence import Evidence, gather
from pipe.filters import kept_out
from pipe.interrupts import OutOfTime, at_most
from pipe.log import Log
from pipe.outcome import Origin, Outcome, Result
from pipe.ownership import Ownership
from pipe.variables import Settings

T = TypeVar("T")
READING_TIME = 2.0  # seconds for each look at patterns and at bitbucket-pipelines.yml


@dataclass(frozen=True)
class Plan:
    """What was decided, and the events that it takes."""

    decision: Decision
    events: tuple[Event, ...] = ()  # the alert's first, then a change event where one follows


def plan(settings: Settings, build: Build, log: Log) -> Plan:
    if why := _in_time(lambda: kept_out(settings, build), ""):
        return Plan(Decision("", why))
    known = _definition(build)
    result = outcome.from_variables(settings)
    if result and result.passed_by_exit_code and _of_a_final_step(known, build, settings):
        log.log_info("Exit code 0 is a `final:` step's own and says nothing of the build. Bitbucket is asked instead.")
        result = None
    result = result or _ask_bitbucket(settings, build, known, log)
    unread = Definition(unread=f"{definition_file.NAME} took too long to read")
    owner = _in_time(lambda: _owner(known, build, settings, result), _owner(unread, build, settings, result))
    decision = decide(settings, build, result, owner)
    log.log_debug(f"{known.unread or f'{definition_file.NAME} was read'}; {result}; {owner}")
    if known.unread and decision.action in ("trigger", "resolve") and settings.event_action == "auto":
        log.log_info(f"{known.unread}: whether another step holds this key was not seen.")
    evidence = Evidence()
    if decision.action or decision.change_too:
        evidence = gather(settings, build, result, log.log_info)
        for warning in evidence.warnings:
            log.log_warning(warning)
    return Plan(decision, tuple(_events(settings, build, result, decision, evidence, owner.step_name)))


def plan_without_reading(settings: Settings, build: Build, why: str) -> Plan:
    """By the variables alone, where all else failed: a failure that they tell pages, and nothing resolves."""
    result = outcome.from_variables(settings) or Outcome(Result.UNKNOWN, Origin.EXIT_CODE, why)
    decision = decide(settings, build, result, Ownership(owns=False, why_not=f"{why}."))
    return Plan(decision, tuple(_events(settings, build, result, decision, Evidence(warnings=(f"{why}.",)), "")))


def _events(
    settings: Settings, build: Build, result: Outcome, decision: Decision, evidence: Evidence, step: str
) -> Iterator[Event]:
    warnings = (*settings.problems, *settings.notices, *evidence.warnings)
    if decision.action and decision.action != "change":
        yield event.alert(settings, build, result, decision, evidence, warnings, step)
    if decision.action == "change" or decision.change_too:
        yield event.change(settings, build, result, evidence, warnings)


def _definition(build: Build) -> Definition:
    def read() -> Definition:
        found = definition_file.read(build.clone)
        found.possible(build)  # patterns are kept once they were matched, so the time they take is spent here
        return found

    return _in_time(read, Definition(unread=f"{definition_file.NAME} took longer than {READING_TIME:g} s to read"))


def _ask_bitbucket(settings: Settings, build: Build, known: Definition, log: Log) -> Outcome:
    """Where the variables tell nothing: the pipeline's own result, for a decision that depends on it."""
    if not settings.can_ask_bitbucket or settings.event_action not in ("auto", "resolve"):
        return outcome.without_any_sign()
    from pipe import bitbucket, pipeline_result

    api = bitbucket.connect(settings, build, time.monotonic() + bitbucket.BUDGET, log.log_info)
    return pipeline_result.ask(api, known, build, wait=settings.event_action == "auto")


def _of_a_final_step(known: Definition, build: Build, settings: Settings) -> bool:
    """Whether the exit code can only be a final step's, and Bitbucket can be asked in its place."""
    if not settings.can_ask_bitbucket or settings.event_action != "auto":
        return False
    holders = _in_time(lambda: known.with_key(build, settings.alert_name, settings.dedup_key), ())
    return bool(holders) and all(holder.step.final for holder in holders)


def _owner(known: Definition, build: Build, settings: Settings, result: Outcome) -> Ownership:
    if result.of_one_step:
        return ownership.of_step(known, build, settings)
    return ownership.of_pipeline(known, build, settings, result.selector)


def _in_time(work: Callable[[], T], otherwise: T) -> T:
    """What the work gives, or the other where it takes too long: nothing that is optional may hold up a page."""
    try:
        with at_most(READING_TIME):
            return work()
    except OutOfTime:
        return otherwise
