"""The design's tables: every result, whom it speaks for, and what is sent for it."""

from __future__ import annotations

import pytest

from pipe import subject
from pipe.build import Build, Told
from pipe.decision import Decision, decide
from pipe.filters import kept_out
from pipe.outcome import Outcome, Result
from pipe.ownership import Ownership
from pipe.settings import Settings
from pipe.wording import Case
from tests.unit.files import MAIN, NOWHERE, PR, TAG

F, S, T, N, X, M, U = (
    Result.FAILED, Result.SUCCESSFUL, Result.STOPPED, Result.NOTHING_RAN, Result.IGNORED, Result.MISPLACED, Result.UNKNOWN,
)  # fmt: skip
OWNER, OTHERS = Ownership(), Ownership("Lint and Unit tests use the same key", "Give each an ALERT_NAME")
AUTO = Settings()


def case(
    result: Result,
    of_step: bool = True,
    owner: Ownership = OWNER,
    build: Build = MAIN,
    name: str = "",
    key: str = "",
    **more,
) -> Case:
    about = {
        field: more.pop(field)
        for field in ("exit_code", "failed_steps", "skipped", "doubt", "told", "selector")
        if field in more
    }
    outcome = Outcome(result, "so it went", of_step=of_step, **about)
    what = subject.of_step(build, name, key) if of_step else subject.of_pipeline(build, name, key, outcome.selector)
    return Case(outcome, what, owner, **more)


GREEN_STEP, GREEN_PIPELINE = "by a green run of this step", "by a green run of this pipeline on main"
STEP_UNTIL = "until then no failure of a step without ALERT_NAME on main pages again"
PIPELINE_UNTIL = "until then no failure of this pipeline on main pages again"
SHARED = "Lint and Unit tests use the same key"
OPEN_FOR_EVER = f"This alert will not resolve by itself: {SHARED}. Give each an ALERT_NAME."
NOT_RESOLVING = f"Not resolving: {SHARED}. Give each an ALERT_NAME. An open alert stays open"
NO_KEY = "without BITBUCKET_REPO_FULL_NAME or DEDUP_KEY there is no dedup key"
NOT_KNOWN = "Paging a warning: whether it passed cannot be told: so it went."


def nothing(line: str = "Sending nothing: so it went.", **more) -> Decision:
    return Decision(line, **more)


def paging(resolves: str, **more) -> Decision:
    return Decision("Paging: so it went.", "trigger", resolves=resolves, **more)


CLOSED_BY_A_PIPELINE = (
    "by hand, or by the next known result of a pipeline on main; a step's exit code does not close it; "
    "until then no other result that cannot be told on main pages"
)


def paging_unknown(resolves: str) -> Decision:
    return Decision(NOT_KNOWN, "trigger", NOT_KNOWN, result_unknown=True, resolves=resolves, failed=True)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (case(F), paging(GREEN_STEP)),
        (case(F, owner=OTHERS), paging(f"by hand: {SHARED}; {STEP_UNTIL}", warning=OPEN_FOR_EVER, why_not_resolved=SHARED)),
        (case(F, False), paging(GREEN_PIPELINE, closes_unknown=True)),
        (case(F, False, OTHERS), paging(f"by hand: {SHARED}; {PIPELINE_UNTIL}", warning=OPEN_FOR_EVER, why_not_resolved=SHARED, closes_unknown=True)),
        (case(S), Decision("Resolving: so it went.", "resolve")),
        (case(S, owner=OTHERS), Decision("It passed: so it went.", warning=f"{NOT_RESOLVING}; {STEP_UNTIL}.", why_not_resolved=SHARED)),
        (case(S, False), Decision("Resolving: so it went.", "resolve", closes_unknown=True)),
        (case(S, False, OTHERS), Decision("It passed: so it went.", warning=f"{NOT_RESOLVING}; {PIPELINE_UNTIL}.", why_not_resolved=SHARED, closes_unknown=True)),
        (case(T), nothing()), (case(T, False), nothing()), (case(N, False), nothing()), (case(X, exit_code=0), nothing()),
        (case(X, exit_code=130), nothing(warning="Sending nothing: so it went.")),
        (case(M), nothing(warning="Sending nothing: so it went.")),
        (case(U), paging_unknown(CLOSED_BY_A_PIPELINE)),
        (case(U, False), paging_unknown(CLOSED_BY_A_PIPELINE)),
        (case(U, False, OTHERS), paging_unknown(CLOSED_BY_A_PIPELINE)),
        (case(U, in_ci=False), nothing("Sending nothing: so it went, and CI is not set.", failed=True)),
    ],
)  # fmt: skip
def test_auto_decides_by_result_and_owner(given, expected):
    assert decide(AUTO, given) == expected


def test_a_doubtful_success_resolves_nothing_but_the_unknown_and_says_why_in_yellow():
    decision = decide(AUTO, case(S, False, doubt='"e2e" did not run, and failed when it last ran (#9)'))
    assert (decision.action, decision.closes_unknown) == ("", True)
    assert decision.warning == (
        'Not resolving: "e2e" did not run, and failed when it last ran (#9). '
        "An open alert stays open; until then no failure of this pipeline on main pages again."
    )


@pytest.mark.parametrize(
    ("given", "resolves"),
    [
        (case(F, told=True), f"by hand: this step failed beside the pipeline that it is told of, and may only run after failures; {STEP_UNTIL}"),
        (case(F, build=NOWHERE), f"by hand: {NO_KEY}"),
        (case(F, False, told=True, may_be_own=True, selector=("custom", "x")), "by hand: it is about a pipeline that may be the pager's own; until then no failure of custom pipeline x on main pages again"),
    ],
)  # fmt: skip
def test_a_page_that_no_success_can_resolve_says_so_in_the_page_and_in_yellow(given, resolves):
    decision = decide(AUTO, given)
    assert decision.resolves == resolves
    assert decision.warning.startswith("This alert will not resolve by itself: ")


def test_an_ignored_success_never_resolves_and_the_page_says_so():
    decision = decide(Settings(ignore_exit_codes=(0,)), case(F))
    assert decision.resolves.startswith("by hand: 0 is among IGNORE_EXIT_CODES;")


@pytest.mark.parametrize(
    ("given", "resolves"),
    [
        (case(U, False, OTHERS._replace(elsewhere=True), key="shop-main"), "by hand; until then no other result that cannot be told with the same DEDUP_KEY pages"),
        (case(U, False, key="shop"), "by hand; until then no other result that cannot be told with the same DEDUP_KEY pages"),
        (case(U, False, OTHERS, key="shop-main"), CLOSED_BY_A_PIPELINE.replace("on main", "with the same DEDUP_KEY")),
        (case(U, False, build=NOWHERE), "by hand"),
        (case(U, False, build=MAIN.told_of(), told=True), "by hand; until then no other result that cannot be told pages"),
        (case(U, False, told=True, may_be_own=True), "by hand; until then no other result that cannot be told on main pages"),
    ],
)  # fmt: skip
def test_an_unknown_result_says_what_closes_it(given, resolves):
    assert decide(AUTO, given).resolves == resolves


@pytest.mark.parametrize("result", [F, S])
@pytest.mark.parametrize(
    "more",
    [
        {"build": MAIN.told_of(), "told": True},
        {"may_be_own": True, "told": True},
        {"key": "shop"},
        {"build": NOWHERE},
    ],
)
def test_what_may_be_about_another_ref_closes_no_alert_about_the_pipe_s_sight(result, more):
    assert not decide(AUTO, case(result, False, owner=OTHERS if "key" in more else OWNER, **more)).closes_unknown


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"build": MAIN.told_of(), "told": True}, "on which ref that pipeline ran is only known with a token."),
        ({"may_be_own": True, "told": True}, "may be the pager's own"),
    ],
)
def test_a_told_success_that_may_be_another_s_resolves_nothing(more, why):
    decision = decide(AUTO, case(S, False, **more))
    assert decision.action == ""
    assert why in decision.warning


def test_where_a_token_was_given_nobody_is_told_to_give_one():
    given = Settings(bitbucket_access_token="refused")
    decision = decide(given, case(F, False, build=MAIN.told_of(), told=True))
    assert decision.resolves.startswith("by hand: Bitbucket's API did not say on which ref that pipeline ran;")


BY_HAND = f"by hand: EVENT_ACTION: trigger never resolves; {STEP_UNTIL}"
FOR_A_PASSED = "EVENT_ACTION is trigger, and the exit code is 0: this pages for a step that passed."


def withheld(action: str, but: str = "so it went") -> Decision:
    line = f"Sending nothing: EVENT_ACTION is {action}, but {but}."
    return Decision(line, warning=line)


def asked(action: str) -> Decision:
    return Decision(f"Sending {action}: EVENT_ACTION is {action}.", action)


NOT_BY_ITSELF = "This alert will not resolve by itself: EVENT_ACTION: trigger never resolves."


def paging_asked(before: str = "") -> Decision:
    warning = f"{before} {NOT_BY_ITSELF}".strip()
    return Decision("Paging: EVENT_ACTION is trigger.", "trigger", warning, resolves=BY_HAND)


@pytest.mark.parametrize(
    ("action", "result", "code", "expected"),
    [
        ("trigger", F, 1, paging_asked()), ("trigger", S, 0, paging_asked(FOR_A_PASSED)), ("trigger", S, None, paging_asked()),
        ("trigger", U, None, paging_asked()), ("trigger", T, None, paging_asked()), ("trigger", M, None, paging_asked()),
        ("trigger", X, 130, nothing(warning="Sending nothing: so it went.")), ("trigger", X, 0, nothing()),
        ("acknowledge", F, 1, asked("acknowledge")), ("acknowledge", S, 0, asked("acknowledge")), ("acknowledge", U, None, asked("acknowledge")),
        ("resolve", F, 1, withheld("resolve", "it failed: so it went")), ("resolve", S, 0, asked("resolve")), ("resolve", U, None, asked("resolve")),
        ("resolve", T, None, withheld("resolve")), ("resolve", X, 130, nothing(warning="Sending nothing: so it went.")),
        ("resolve", M, None, asked("resolve")),
        ("change", F, 1, withheld("change", "it failed: so it went")), ("change", T, None, withheld("change")), ("change", S, 0, asked("change")),
        ("change", U, None, asked("change")), ("change", X, 130, nothing(warning="Sending nothing: so it went.")),
    ],
)  # fmt: skip
def test_an_explicit_action_is_sent_unless_the_result_is_known_to_be_no_success(action, result, code, expected):
    assert decide(Settings(event_action=action), case(result, exit_code=code)) == expected


MAY_BE_OWN = "it is about a pipeline that may be the pager's own"


@pytest.mark.parametrize(
    ("given", "but"),
    [
        (case(U, False, told=True), "so it went"),
        (case(S, False, told=True, may_be_own=True), MAY_BE_OWN),
        (case(U, False, told=True, may_be_own=True), "so it went"),
    ],
)
def test_what_a_told_run_cannot_know_to_have_passed_is_not_resolved_by_hand_either(given, but):
    for action in ("resolve", "change"):
        assert decide(Settings(event_action=action), given) == withheld(action, but)
    assert decide(Settings(event_action="acknowledge"), given) == asked("acknowledge")


def test_who_else_uses_the_key_is_no_matter_to_an_explicit_action():
    assert decide(Settings(event_action="resolve"), case(S, owner=OTHERS, exit_code=0)) == asked("resolve")


@pytest.mark.parametrize("bad", [{"bad_exit_code": "EXIT_CODE is abc"}, {"bad_build_status": "BUILD_STATUS is x"}])
def test_beside_a_value_that_cannot_be_read_only_what_claims_no_success_is_sent(bad):
    sent = {
        action: decide(Settings(event_action=action, **bad), case(U))
        for action in ("resolve", "change", "acknowledge", "trigger")
    }
    assert sent == {
        "resolve": withheld("resolve"), "change": withheld("change"), "acknowledge": asked("acknowledge"), "trigger": paging_asked(),
    }  # fmt: skip


@pytest.mark.parametrize("action", ["resolve", "acknowledge"])
def test_without_a_key_neither_a_resolve_nor_an_acknowledgement_is_sent(action):
    given = Settings(event_action=action)
    assert decide(given, case(S, build=NOWHERE)) == nothing(f"Sending nothing: {NO_KEY}.", failed=True)
    assert decide(given, case(S, build=NOWHERE, key="mine")) == asked(action)


@pytest.mark.parametrize("action", ["trigger", "change"])
def test_without_a_key_a_page_and_a_change_are_sent(action):
    assert decide(Settings(event_action=action), case(F if action == "trigger" else S, build=NOWHERE)).action == action


def test_without_a_key_a_success_resolves_nothing_and_swallows_nothing():
    assert decide(AUTO, case(S, build=NOWHERE)) == Decision(
        "It passed: so it went.", warning=f"Not resolving: {NO_KEY}.", why_not_resolved=NO_KEY
    )


@pytest.mark.parametrize(
    ("given", "follows"),
    [(case(S, environment="production"), True), (case(S, owner=OTHERS, environment="production"), True), (case(F, environment="production"), False),
     (case(S, doubt="so", environment="production"), True), (case(S), False), (case(S, False), False), (case(X, environment="production"), False)],
)  # fmt: skip
def test_a_change_event_follows_a_deployment_step_that_passed(given, follows):
    assert decide(Settings(change_event=True), given).change_too is follows
    assert not decide(AUTO, given).change_too


TOLD = MAIN._replace(told=Told("FAILED", "{1}"))


@pytest.mark.parametrize(
    ("build", "settings", "sends"),
    [
        (MAIN, {"branches": ("main",)}, True), (MAIN, {"branches": ("release/*", "ma*")}, True), (MAIN, {"branches": ("dev",)}, False),
        (MAIN, {}, True), (MAIN, {"tags": ("x",)}, True),
        (PR, {}, False), (PR, {"pull_requests": True}, True), (PR, {"pull_requests": True, "branches": ("main",)}, True),
        (PR, {"pull_requests": True, "branches": ("fix",)}, False),
        (TAG, {"tags": ("v*",)}, True), (TAG, {"tags": ("release-*",)}, False), (TAG, {"branches": ("main",)}, True),
        (TOLD.told_of(), {"branches": ("dev",), "tags": ("x",)}, True),
        (TOLD._replace(told=Told("FAILED", "{1}", "pull-requests")).told_of(), {}, False),
    ],
)  # fmt: skip
def test_the_filters_keep_back_only_what_is_known_to_be_outside(build, settings, sends):
    assert bool(kept_out(Settings(**settings), build)) is not sends
