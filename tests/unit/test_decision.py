"""The design's tables: every result from every origin, and what is sent for it."""

from __future__ import annotations

import pytest

from pipe.build import Build
from pipe.decision import decide
from pipe.definition import Step
from pipe.filters import kept_out
from pipe.outcome import Origin, Outcome, Result, from_variables
from pipe.ownership import Ownership
from pipe.variables import Settings

CI = Build(repository="acme/shop", branch="main", in_ci=True)
OWNER, OTHERS = Ownership(), Ownership(owns=False, why_not="two steps hold it")

F, S, T, N, X, U = Result.FAILED, Result.SUCCESSFUL, Result.STOPPED, Result.NOTHING_RAN, Result.IGNORED, Result.UNKNOWN


def sent(result: Result, owner=OWNER, origin=Origin.EXIT_CODE, build=CI, outcome=(), **settings) -> str:
    return decide(Settings(**settings), build, Outcome(result, origin, "so it went", **dict(outcome)), owner).action


@pytest.mark.parametrize("origin", list(Origin))
@pytest.mark.parametrize(
    ("result", "owner", "action"),
    [
        (F, OWNER, "trigger"), (F, OTHERS, "trigger"),
        (S, OWNER, "resolve"), (S, OTHERS, ""),
        (T, OWNER, ""), (N, OWNER, ""), (X, OWNER, ""),
        (U, OWNER, "trigger"), (U, OTHERS, "trigger"),
    ],
)  # fmt: skip
def test_auto_decides_by_result_and_owner(origin, result, owner, action):
    assert sent(result, owner, origin) == action


def test_an_unknown_result_is_a_warning_of_its_own_and_fails_the_pipe():
    decision = decide(Settings(), CI, Outcome(U, Origin.EXIT_CODE, "why"), OWNER)
    assert (decision.action, decision.result_unknown, decision.failed) == ("trigger", True, True)
    assert "why" in decision.reason


def test_without_ci_an_unknown_result_is_an_error_only():
    decision = decide(Settings(), Build(repository="acme/shop"), Outcome(U, Origin.EXIT_CODE, "why"), OWNER)
    assert (decision.action, decision.failed) == ("", True)


def test_a_doubtful_success_resolves_nothing_and_says_what_would_settle_it():
    decision = decide(Settings(), CI, Outcome(S, Origin.BITBUCKET, "all passed", doubt='"e2e" did not run'), OWNER)
    assert decision.action == ""
    assert '"e2e" did not run' in decision.reason


@pytest.mark.parametrize(
    ("action", "result", "code", "sends"),
    [
        ("trigger", F, 1, "trigger"), ("trigger", S, 0, "trigger"), ("trigger", U, None, "trigger"), ("trigger", X, 130, "trigger"),
        ("acknowledge", F, 1, "acknowledge"), ("acknowledge", S, 0, "acknowledge"), ("acknowledge", U, None, "acknowledge"),
        ("resolve", F, 1, ""), ("resolve", S, 0, "resolve"), ("resolve", U, None, "resolve"), ("resolve", T, None, ""),
        ("resolve", X, 130, ""), ("resolve", N, None, ""),
        ("change", F, 1, ""), ("change", S, 0, "change"), ("change", U, None, "change"), ("change", X, 130, ""),
    ],
)  # fmt: skip
def test_an_explicit_action_is_sent_unless_the_build_is_known_not_to_be_good(action, result, code, sends):
    assert sent(result, OTHERS, event_action=action, outcome={"exit_code": code}) == sends


def test_an_explicit_resolve_beside_an_unreadable_exit_code_sends_nothing():
    assert sent(U, event_action="resolve", unreadable_result="EXIT_CODE is abc") == ""
    assert sent(U, event_action="trigger", unreadable_result="EXIT_CODE is abc") == "trigger"


def test_an_explicit_trigger_for_a_step_that_passed_warns():
    decision = decide(Settings(event_action="trigger"), CI, Outcome(S, Origin.EXIT_CODE, "0", exit_code=0), OWNER)
    assert decision.warning
    assert decision.by_hand


PR = Build(repository="acme/shop", branch="fix", pull_request="42", destination="main", in_ci=True)
TAG = Build(repository="acme/shop", tag="v1.2", in_ci=True)


@pytest.mark.parametrize(
    ("build", "settings", "sends"),
    [
        (CI, {"branches": ("main",)}, True),
        (CI, {"branches": ("release/*", "ma*")}, True),
        (CI, {"branches": ("release/*",)}, False),
        (CI, {"tags": ("v*",)}, True),
        (PR, {}, False),
        (PR, {"pull_requests": True}, True),
        (PR, {"pull_requests": True, "branches": ("main",)}, True),
        (PR, {"pull_requests": True, "branches": ("fix",)}, False),
        (TAG, {"tags": ("v*",)}, True),
        (TAG, {"tags": ("release-*",)}, False),
        (TAG, {"branches": ("main",)}, True),
        (Build(in_ci=True), {"branches": ("main",), "tags": ("v*",)}, True),
    ],
)
def test_runs_outside_the_filters_are_kept_out(build, settings, sends):
    assert bool(kept_out(Settings(**settings), build)) is not sends


@pytest.mark.parametrize(
    ("origin", "on_fail", "action"),
    [
        (Origin.EXIT_CODE, "ignore", ""), (Origin.EXIT_CODE, "retry", "trigger"), (Origin.EXIT_CODE, "", "trigger"),
        (Origin.BUILD_STATUS, "ignore", "trigger"), (Origin.BITBUCKET, "ignore", "trigger"),
    ],
)  # fmt: skip
def test_the_failure_strategy_of_the_sole_holder_counts(origin, on_fail, action):
    assert sent(F, Ownership(sole=Step(on_fail=on_fail)), origin) == action
    assert sent(F, Ownership(sole=None), origin) == "trigger"


def test_a_trigger_whose_success_will_not_resolve_it_says_so():
    assert decide(Settings(), CI, Outcome(F, Origin.EXIT_CODE, "1"), OTHERS).by_hand == "two steps hold it"
    with_resolver = Ownership(owns=False, why_not="two steps hold it", resolver='"done" in default')
    assert not decide(Settings(), CI, Outcome(F, Origin.EXIT_CODE, "1"), with_resolver).by_hand


DEPLOYMENT = Build(repository="acme/shop", branch="main", environment="production", in_ci=True)


@pytest.mark.parametrize(
    ("build", "result", "owner", "more", "change"),
    [
        (DEPLOYMENT, S, OWNER, {}, True), (DEPLOYMENT, S, OTHERS, {}, True), (DEPLOYMENT, F, OWNER, {}, False),
        (CI, S, OWNER, {}, False), (DEPLOYMENT, U, OWNER, {}, False),
        (DEPLOYMENT, S, OWNER, {"event_action": "resolve"}, False), (DEPLOYMENT, S, OWNER, {"event_action": "change"}, False),
    ],
)  # fmt: skip
def test_a_change_event_follows_a_deployment_step_that_passed(build, result, owner, more, change):
    settings = Settings(change_event=True, **more)
    assert decide(settings, build, Outcome(result, Origin.EXIT_CODE, "so"), owner).change_too is change
    assert not decide(Settings(**more), build, Outcome(result, Origin.EXIT_CODE, "so"), owner).change_too


@pytest.mark.parametrize("action", ["resolve", "acknowledge"])
def test_without_a_repository_there_is_no_key_to_resolve(action):
    assert sent(U, build=Build(in_ci=True), event_action=action) == ""
    assert sent(U, build=Build(in_ci=True), event_action=action, dedup_key="mine") == action


@pytest.mark.parametrize(
    ("settings", "result", "origin"),
    [
        ({"exit_code": 0}, S, Origin.EXIT_CODE),
        ({"exit_code": 2}, F, Origin.EXIT_CODE),
        ({"exit_code": -1}, F, Origin.EXIT_CODE),
        ({"exit_code": 130, "ignore_exit_codes": (130,)}, X, Origin.EXIT_CODE),
        ({"unreadable_result": "EXIT_CODE: x"}, U, Origin.EXIT_CODE),
        ({"build_status": "successful"}, S, Origin.BUILD_STATUS),
        ({"build_status": "failed"}, F, Origin.BUILD_STATUS),
        ({"build_status": "error"}, F, Origin.BUILD_STATUS),
        ({"build_status": "expired"}, F, Origin.BUILD_STATUS),
        ({"build_status": "stopped"}, T, Origin.BUILD_STATUS),
        ({"build_status": "successful", "exit_code": 0}, S, Origin.BUILD_STATUS),
        ({"build_status": "successful", "exit_code": 1}, F, Origin.EXIT_CODE),
        ({"build_status": "failed", "exit_code": 0}, F, Origin.BUILD_STATUS),
        ({"build_status": "stopped", "exit_code": 143}, T, Origin.BUILD_STATUS),
        ({"build_status": "successful", "unreadable_result": "EXIT_CODE: x"}, U, Origin.EXIT_CODE),
        ({"build_status": "failed", "unreadable_result": "EXIT_CODE: x"}, F, Origin.BUILD_STATUS),
        ({"exit_code": 0, "unreadable_result": "BUILD_STATUS: x"}, U, Origin.EXIT_CODE),
        ({"exit_code": 1, "unreadable_result": "BUILD_STATUS: x"}, F, Origin.EXIT_CODE),
    ],
)
def test_the_variables_tell_the_result(settings, result, origin):
    outcome = from_variables(Settings(**settings))
    assert (outcome.result, outcome.origin) == (result, origin)


def test_where_the_variables_tell_nothing_bitbucket_has_to_be_asked():
    assert from_variables(Settings()) is None
