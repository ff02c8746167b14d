"""When does it page, and when does it resolve?

A failure pages. A success resolves if it owns the alert's key (`ownership.py`) and is not in doubt (`history.py`). A
result that is not known pages as a `warning` alert of its own.
"""

from __future__ import annotations

from typing import NamedTuple

from pipe import wording
from pipe.outcome import Result
from pipe.settings import Settings
from pipe.wording import Case


class Decision(NamedTuple):
    """What to send, and why."""

    reason: str  # one line for the log
    action: str = ""  # trigger, acknowledge, resolve, change, or "" for nothing
    warning: str = ""  # what the reader of the log should not miss
    result_unknown: bool = False  # a `warning` alert that says just that
    resolves: str = ""  # what will resolve the alert that is opened now
    why_not_resolved: str = ""  # why no success does
    closes_unknown: bool = False  # the alert that says that a result cannot be told is resolved too
    change_too: bool = False  # a change event follows
    failed: bool = False  # the pipe exits 1


def decide(settings: Settings, case: Case) -> Decision:
    if settings.event_action != "auto":
        return _asked_for(settings, case)
    if case.outcome.result is Result.FAILED:
        return _failure(settings, case)
    if case.outcome.result is Result.SUCCESSFUL:
        return _success(settings, case)
    return _unknown(case) if case.outcome.result is Result.UNKNOWN else _nothing(case)


def _failure(settings: Settings, case: Case) -> Decision:
    why = case.outcome.doubt or _why_not_resolved(settings, case)
    return Decision(
        f"Paging: {case.outcome.reason}.",
        "trigger",
        warning=wording.not_by_itself(case, why) if why else "",
        resolves=wording.resolves(case, why),
        why_not_resolved=why,
        closes_unknown=_closes_unknown(case),
    )


def _success(settings: Settings, case: Case) -> Decision:
    why = case.outcome.doubt or _why_not_resolved(settings, case)
    closes, change = _closes_unknown(case), settings.change_event and bool(case.environment)
    if why:
        line = f"It passed: {case.outcome.reason}."
        warning = wording.not_resolving(case, why)
        return Decision(line, "", warning, why_not_resolved=why, closes_unknown=closes, change_too=change)
    return Decision(f"Resolving: {case.outcome.reason}.", "resolve", closes_unknown=closes, change_too=change)


def _nothing(case: Case) -> Decision:
    """A failure, or a pipe in the wrong place, that sends nothing is said in yellow."""
    line = f"Sending nothing: {case.outcome.reason}."
    misplaced_or_failed = case.outcome.result is Result.MISPLACED or bool(case.outcome.exit_code)
    return Decision(line, warning=line if misplaced_or_failed else "")


def _unknown(case: Case) -> Decision:
    if not case.in_ci:
        return Decision(f"Sending nothing: {case.outcome.reason}, and CI is not set.", failed=True)
    line = f"Paging a warning: whether it passed cannot be told: {case.outcome.reason}."
    resolves = wording.resolves_unknown(case, closed_by_a_pipeline=_can_close_unknown(case))
    return Decision(line, "trigger", line, result_unknown=True, resolves=resolves, failed=True)


def _asked_for(settings: Settings, case: Case) -> Decision:
    """An explicit EVENT_ACTION: just that, but no resolve and no change where the result is known to be no success."""
    action, outcome = settings.event_action, case.outcome
    asked = f"EVENT_ACTION is {action}"
    if outcome.result is Result.IGNORED:
        return _nothing(case)
    if action in ("resolve", "change") and (but := _why_no_success(settings, case)):
        line = f"Sending nothing: {asked}, but {but}."
        return Decision(line, warning=line)
    if action in ("resolve", "acknowledge") and not case.subject.key:
        return Decision(f"Sending nothing: {wording.NO_KEY}.", failed=True)
    if action != "trigger":
        return Decision(f"Sending {action}: {asked}.", action)
    warning = wording.not_by_itself(case, wording.NEVER_RESOLVES)
    if outcome.exit_code == 0:
        warning = f"{asked}, and the exit code is 0: this pages for a step that passed. {warning}"
    return Decision(f"Paging: {asked}.", action, warning, resolves=wording.resolves(case, wording.NEVER_RESOLVES))


def _why_no_success(settings: Settings, case: Case) -> str:
    """What an explicit `resolve` or `change` gives way to; empty where nothing speaks against it."""
    outcome = case.outcome
    if outcome.result is Result.FAILED:
        return f"it failed: {outcome.reason}"
    told_nothing = outcome.result is Result.UNKNOWN and outcome.told
    if outcome.result is Result.STOPPED or settings.bad_exit_code or settings.bad_build_status or told_nothing:
        return outcome.reason
    return wording.MAY_BE_OWN if case.may_be_own else ""


def _why_not_resolved(settings: Settings, case: Case) -> str:
    """Why no success resolves this alert; empty where one does."""
    if not case.subject.key:
        return wording.NO_KEY
    if case.outcome.told and case.outcome.of_step:
        return wording.BESIDE_A_FAILURE
    if not case.subject.is_placed:
        return wording.REF_NOT_SAID if settings.has_token else wording.REF_UNKNOWN
    if case.may_be_own:
        return wording.MAY_BE_OWN
    if case.outcome.of_step and 0 in settings.ignore_exit_codes:
        return wording.ZERO_IGNORED
    return case.owner.why_not


def _closes_unknown(case: Case) -> bool:
    """Any known result of a pipeline shows that the pipe sees again there."""
    return not case.outcome.of_step and _can_close_unknown(case)


def _can_close_unknown(case: Case) -> bool:
    subject = case.subject
    bound = subject.key_fits and not case.owner.elsewhere
    return bool(subject.key) and bound and subject.is_placed and not case.may_be_own
