"""When does it page, and when does it resolve?

A failure pages. A success resolves if it owns the alert's key (`ownership.py`) and is not in doubt (`history.py`). A
result that is not known pages as a `warning` alert of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipe.outcome import Outcome, Result
from pipe.ownership import Ownership
from pipe.settings import Settings
from pipe.subject import Subject

NO_KEY = "without BITBUCKET_REPO_FULL_NAME or DEDUP_KEY there is no dedup key"


@dataclass(frozen=True)
class Decision:
    """What to send, and why."""

    reason: str  # one line for the log
    action: str = ""  # trigger, acknowledge, resolve, change, or "" for nothing
    warning: str = ""  # what the reader of the log should not miss
    result_unknown: bool = False  # a `warning` alert that says just that
    resolves: str = ""  # what will resolve the alert that is opened now
    closes_unknown: bool = False  # the alert that says that a result cannot be told is resolved too
    change_too: bool = False  # a change event follows
    failed: bool = False  # the pipe exits 1


@dataclass(frozen=True)
class Case:
    """All that a decision depends on, beside the variables."""

    outcome: Outcome
    subject: Subject
    owner: Ownership
    environment: str = ""
    in_ci: bool = True
    may_be_skipped: bool = False  # a step of this alert has a condition, or stands at a manual gate
    may_be_own: bool = False  # told of a pipeline that may be the pager's own: it never resolves


def decide(settings: Settings, case: Case) -> Decision:
    if settings.event_action != "auto":
        return _asked_for(settings, case)
    return _BY_RESULT[case.outcome.result](settings, case)


def _failure(settings: Settings, case: Case) -> Decision:
    why = why_not_resolved(settings, case)
    return Decision(
        f"Paging: {case.outcome.reason}.",
        "trigger",
        warning=_sentences("This alert will not resolve by itself", why, case.owner.advice) if why else "",
        resolves=_resolves(settings, case, why),
        closes_unknown=_closes_unknown(case),
    )


def _success(settings: Settings, case: Case) -> Decision:
    why = case.outcome.doubt or why_not_resolved(settings, case)
    change = settings.change_event and bool(case.environment) and case.outcome.of_step
    if not why:
        closes = _closes_unknown(case)
        return Decision(f"Resolving: {case.outcome.reason}.", "resolve", closes_unknown=closes, change_too=change)
    stays = _swallows(settings, case, "An open alert stays open")
    return Decision(
        f"It passed: {case.outcome.reason}.",
        warning=_sentences("Not resolving", why, case.owner.advice) + stays,
        closes_unknown=_closes_unknown(case),
        change_too=change,
    )


def _nothing(settings: Settings, case: Case) -> Decision:
    return Decision(f"Sending nothing: {case.outcome.reason}.")


def _nothing_with_a_warning(settings: Settings, case: Case) -> Decision:
    line = f"Sending nothing: {case.outcome.reason}."
    return Decision(line, warning=line if case.outcome.exit_code != 0 else "")


def _unknown(settings: Settings, case: Case) -> Decision:
    why = case.outcome.reason
    if not case.in_ci:
        return Decision(f"The result is unknown, and CI is not set: nothing is sent. {why}.", failed=True)
    line = f"Paging a warning: whether it passed cannot be told: {why}."
    return Decision(line, "trigger", line, result_unknown=True, resolves=_resolves_unknown(case), failed=True)


_BY_RESULT = {
    Result.FAILED: _failure,
    Result.SUCCESSFUL: _success,
    Result.STOPPED: _nothing,
    Result.NOTHING_RAN: _nothing,
    Result.IGNORED: _nothing_with_a_warning,
    Result.MISPLACED: _nothing_with_a_warning,
    Result.UNKNOWN: _unknown,
}


def _asked_for(settings: Settings, case: Case) -> Decision:
    """An explicit EVENT_ACTION: just that, but no resolve and no change where the result is known to be no success."""
    action, outcome = settings.event_action, case.outcome
    asked = f"EVENT_ACTION is {action}"
    if outcome.result is Result.IGNORED:
        return _nothing_with_a_warning(settings, case)
    unproven = outcome.result in (Result.FAILED, Result.STOPPED) or settings.bad_exit_code or settings.bad_build_status
    if unproven and action in ("resolve", "change"):
        line = f"Sending nothing: {asked}, but {outcome.reason}."
        return Decision(line, warning=line)
    if action in ("resolve", "acknowledge") and not case.subject.key:
        return Decision(f"Sending nothing: {NO_KEY}.", failed=True)
    if action != "trigger":
        return Decision(f"Sending {action}: {asked}.", action)
    warning = f"{asked}, and the exit code is 0: this pages for a step that passed." if outcome.exit_code == 0 else ""
    resolves = _by_hand(settings, case, "EVENT_ACTION: trigger never resolves")
    return Decision(f"Paging: {asked}.", action, warning, resolves=resolves)


def why_not_resolved(settings: Settings, case: Case) -> str:
    """Why no success resolves this alert; empty where one does."""
    if not case.subject.key:
        return NO_KEY
    if case.outcome.told and case.outcome.of_step:
        return "this step failed beside the pipeline that it is told of, and may only run after failures"
    if case.subject.where == "ref unknown":
        return "on which ref that pipeline ran is only known with a token"
    if case.may_be_own:
        return "it is about a pipeline that may be the pager's own"
    if case.outcome.of_step and 0 in settings.ignore_exit_codes:
        return "0 is among IGNORE_EXIT_CODES"
    return case.owner.why_not


def _closes_unknown(case: Case) -> bool:
    """Any known result of a pipeline shows that the pipe sees again there."""
    subject = case.subject
    known = not case.outcome.of_step and subject.where != "ref unknown" and not case.may_be_own
    return known and bool(subject.key) and subject.key_fits


def _resolves(settings: Settings, case: Case, why_not: str) -> str:
    if why_not:
        return _by_hand(settings, case, why_not)
    if case.outcome.of_step:
        text = "by a green run of this step"
    else:
        text = f"by a green run of {_spoken_of(case)} {case.subject.scope}"
        if case.outcome.failed_steps and (case.outcome.skipped or case.may_be_skipped):
            text += f" in which {_quoted(case.outcome.failed_steps)} ran"
    swallowing = case.may_be_skipped or bool(case.outcome.skipped)
    return text + (_swallows(settings, case, "") if swallowing else "")


def _by_hand(settings: Settings, case: Case, why: str) -> str:
    return f"by hand: {why}" + (_swallows(settings, case, "") if case.subject.key else "")


def _resolves_unknown(case: Case) -> str:
    subject = case.subject
    if subject.is_step and subject.is_deployment:
        return "by hand"
    if not subject.key or not subject.key_fits or subject.where == "ref unknown" or case.may_be_own:
        return "by hand"
    by_pipeline = f"by the next known result of a pipeline {subject.scope}"
    return f"by hand, or {by_pipeline}" if subject.is_step else by_pipeline


def _swallows(settings: Settings, case: Case, sentence: str) -> str:
    """What an open alert keeps from paging."""
    if not case.subject.key:
        return ""
    what = settings.alert_name or ("a step without ALERT_NAME" if case.subject.is_step else _spoken_of(case))
    until = " ".join(f"until then no failure of {what} {case.subject.scope} pages again".split())
    return f" {sentence}; {until}." if sentence else f"; {until}"


def _spoken_of(case: Case) -> str:
    return f"custom pipeline {case.subject.custom}" if case.subject.custom else "this pipeline"


def _sentences(*parts: str) -> str:
    first, why, advice = parts
    return f"{first}: {why}." + (f" {advice}." if advice else "")


def _quoted(names: tuple[str, ...]) -> str:
    *first, last = (f'"{name}"' for name in names[:3])
    return f"{', '.join(first)} and {last}" if first else last
