"""When does it page, and when does it resolve? One total function from settings, build, outcome and ownership.

A failure pages. A success resolves only where it proves that everything behind the alert is mended. What is not known
is said as a `warning` alert of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipe.build import Build
from pipe.outcome import Outcome, Result
from pipe.ownership import Ownership
from pipe.variables import Settings


@dataclass(frozen=True)
class Decision:
    """What to send and why."""

    action: str  # trigger, acknowledge, resolve, change, or "" for nothing
    reason: str  # one sentence for the log
    result_unknown: bool = False  # a `warning` alert that says just that
    by_hand: str = ""  # why the success of what is paged now will not resolve it
    warning: str = ""  # what the reader of the log should not miss
    failed: bool = False  # the pipe exits 1
    change_too: bool = False  # a change event follows


def decide(settings: Settings, build: Build, outcome: Outcome, owner: Ownership) -> Decision:
    """What to send, and why."""
    decision = _decide(settings, build, outcome, owner)
    if decision.action in ("resolve", "acknowledge") and not (build.repository or settings.dedup_key):
        reason = "Nothing is sent: without BITBUCKET_REPO_FULL_NAME or DEDUP_KEY there is no key."
        return Decision("", reason, failed=True)
    return decision


def _decide(settings: Settings, build: Build, outcome: Outcome, owner: Ownership) -> Decision:
    if settings.event_action != "auto":
        return _asked_for(settings, outcome, owner)
    if outcome.result is Result.FAILED:
        return _failure(outcome, owner)
    if outcome.result is Result.SUCCESSFUL:
        return _success(outcome, owner, change=settings.change_event and bool(build.environment))
    if outcome.result is not Result.UNKNOWN:
        return Decision("", f"Nothing is sent: {outcome.reason}.")
    if build.in_ci:
        reason, later = f"The result is unknown ({outcome.reason}), and the pager is told so.", "no later build tells"
        return Decision("trigger", reason, result_unknown=True, by_hand=f"{later} how this one went.", failed=True)
    return Decision("", f"The result is unknown ({outcome.reason}), and CI is not set: nothing is sent.", failed=True)


def _failure(outcome: Outcome, owner: Ownership) -> Decision:
    reason = f"A failure pages: {outcome.reason}."
    sole = owner.sole if outcome.of_one_step else None
    if sole and sole.on_fail == "ignore":
        return Decision("", f"Nothing is sent: {outcome.reason}, but the step says `on-fail: ignore`.")
    warning = "The step says `on-fail: retry`: a retry may mend it." if sole and sole.on_fail == "retry" else ""
    by_hand = owner.why_not if not owner.owns and not owner.resolver else ""
    return Decision("trigger", reason, by_hand=by_hand, warning=warning)


def _success(outcome: Outcome, owner: Ownership, *, change: bool) -> Decision:
    doubt = outcome.doubt or ("" if owner.owns else f"this run does not own the key. {owner.why_not}")
    if doubt:
        reason, warning = f"No resolve: {outcome.reason}, but {doubt}", "An alert that is open stays open."
        return Decision("", reason, change_too=change, warning=warning)
    return Decision("resolve", f"A success resolves: {outcome.reason}.", change_too=change)


def _asked_for(settings: Settings, outcome: Outcome, owner: Ownership) -> Decision:
    """An explicit EVENT_ACTION: just that, but never a resolve or a change where the result is known to be none."""
    action, asked = settings.event_action, f"EVENT_ACTION is {settings.event_action}"
    unproven = outcome.result not in (Result.SUCCESSFUL, Result.UNKNOWN) or bool(settings.unreadable_result)
    why = outcome.reason if unproven else outcome.doubt
    if why and action in ("resolve", "change"):
        warning = "The build is not known to be good."
        return Decision("", f"Nothing is sent: {asked}, but {why}.", warning=warning)
    if action != "trigger":
        return Decision(action, f"{asked}.")
    passed = "The exit code is 0: this pages for a step that passed." if outcome.exit_code == 0 else ""
    by_hand = "" if owner.resolver else "EVENT_ACTION: trigger never resolves."
    return Decision(action, f"{asked}.", by_hand=by_hand, warning=passed)
