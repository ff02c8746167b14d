"""End to end: a real process of the pipe, a real sandbox, the bytes received, the exit status and the log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from pipe.__main__ import main
from pipe.settings import VARIABLES
from tests.conftest import KEY, MAIN, ONE_STEP, ROOT, STEP
from tests.unit.files import BOTH, DEFAULT, PLAIN, step
from tests.unit.test_definition import ANCHOR

FAILS, PASSES = {"EXIT_CODE": "2"}, {"EXIT_CODE": "0"}
BRANCH = "bitbucket:acme/shop:branch/main"
SAFE = f"{BRANCH}:step"


# --- One step: it breaks, it stays broken, it is fixed. ------------------------------------------------------------------


def test_a_failing_step_pages_whom_it_concerns(pipe, received):
    run = pipe({**MAIN, **FAILS})
    assert run.status == 0
    event = received.only
    assert event["event_action"] == "trigger"
    assert event["routing_key"] == KEY
    assert event["dedup_key"] == SAFE
    assert event["payload"]["summary"] == "acme/shop: build failed on main (#812, exit code 2)"
    assert received.details["step"] == "Build and test"
    assert received.details["resolves"] == "by a green run of this step"
    assert "Paging: exit code 2." in run.log
    assert f"dedup key {SAFE}, integration key …ee44" in run.log


def test_a_build_that_breaks_twice_and_is_fixed_is_one_incident_resolved(pipe, sandbox):
    for number, code in [("811", "0"), ("812", "1"), ("813", "1"), ("814", "0")]:
        assert pipe({**MAIN, "BITBUCKET_BUILD_NUMBER": number, "EXIT_CODE": code}).status == 0
    (incident,) = sandbox.incidents()
    assert incident["status"] == "resolved"
    assert [entry["action"] for entry in incident["timeline"]] == ["trigger", "trigger", "resolve"]


@pytest.mark.parametrize(
    ("code", "actions", "status"),
    [
        ("0", ["resolve"], 0), ("1", ["trigger"], 0), ("2", ["trigger"], 0), ("127", ["trigger"], 0), ("137", ["trigger"], 0),
        (" 1 ", ["trigger"], 0), ("-1", ["trigger"], 0), ("", ["trigger"], 1), ("abc", ["trigger"], 1),
        ("$BITBUCKET_EXIT_CODE", ["trigger"], 1), (None, ["trigger"], 1), ("00", ["trigger"], 1), ("0;", ["trigger"], 1),
    ],
)  # fmt: skip
def test_nothing_but_a_clean_0_resolves(pipe, received, code, actions, status):
    run = pipe(MAIN if code is None else {**MAIN, "EXIT_CODE": code})
    assert (received.actions, run.status) == (actions, status)
    unknown = status == 1
    assert received.only["dedup_key"] == (f"{BRANCH}:result unknown" if unknown else SAFE)
    assert received.only["payload"]["severity"] == ("warning" if unknown else "error")


def test_bitbucket_s_own_variable_is_read_where_it_arrives(pipe, received):
    assert pipe({**MAIN, "BITBUCKET_EXIT_CODE": "7", "EXIT_CODE": ""}).status == 0
    assert received.only["payload"]["summary"].endswith("exit code 7)")


def test_a_step_that_maps_a_zero_of_its_own_does_not_hide_a_failure(pipe, received):
    run = pipe({**MAIN, "EXIT_CODE": "0", "BITBUCKET_EXIT_CODE": "1"})
    assert received.actions == ["trigger"]
    assert "write `EXIT_CODE: $BITBUCKET_EXIT_CODE`" in run.log


def test_a_missing_exit_code_says_so_on_the_pager_with_the_way_to_tell_that_fits_the_place(pipe, received):
    run = pipe(MAIN)
    assert run.status == 1
    assert received.only["payload"]["summary"] == "acme/shop: cannot tell whether #812 on main passed"
    assert received.details["ways_to_tell"] == ["In the step's after-script, map `EXIT_CODE: $BITBUCKET_EXIT_CODE`."]
    assert received.details["reason"]
    assert received.details["resolves"] == "by the next known result of a pipeline on main"


def test_outside_of_ci_a_missing_exit_code_is_an_error_only(pipe, received):
    run = pipe({name: value for name, value in MAIN.items() if name != "CI"})
    assert (run.status, received.events) == (1, [])
    assert "and CI is not set" in run.log


# --- Who owns the key. ------------------------------------------------------------------------------------------------

NAMED = {"ALERT_NAME": "unit tests"}


@pytest.mark.parametrize(
    ("definition", "environ", "resolves"),
    [
        (ONE_STEP, {}, True),
        (None, {}, False),
        ("pipelines: [", {}, False),
        ("pipelines: [", NAMED, False),
        (None, NAMED, True),
        (ANCHOR, NAMED, False),
        (DEFAULT % f"{step()}, {step('lint')}", {}, False),
        (DEFAULT % f"{step('u', 'unit tests')}, {step('lint', 'lint')}", NAMED, True),
        (BOTH % (step(), step("nightly")), {}, False),
        (BOTH % (step("a", "unit tests"), step("b", "unit tests")), NAMED, True),
        (DEFAULT % PLAIN, NAMED, True),
    ],
)
def test_a_zero_resolves_only_for_the_owner(pipe, received, definition, environ, resolves):
    run = pipe({**MAIN, **PASSES, **environ}, definition)
    assert (run.status, received.actions) == (0, ["resolve"] if resolves else [])
    assert ("Resolving: exit code 0." in run.log) is resolves
    assert resolves or "WARNING: Not resolving: " in run.log


def test_eight_parallel_steps_of_one_anchor_one_failing_never_resolve_each_other(pipe, sandbox):
    definition = ANCHOR.replace("          - step: *test\n", "          - step: *test\n" * 7)
    for index in range(8):
        environ = {**MAIN, **NAMED, "BITBUCKET_PARALLEL_STEP": str(index), "EXIT_CODE": "1" if index == 3 else "0"}
        assert pipe(environ, definition).status == 0
    (incident,) = sandbox.incidents()
    assert incident["status"] == "triggered"
    details = incident["timeline"][0]["payload"]["custom_details"]
    assert details["resolves"].startswith(
        "by hand: 7 steps called a and b use the same key; until then no failure of unit tests on main pages again"
    )


DEPLOYMENT = {**MAIN, "BITBUCKET_DEPLOYMENT_ENVIRONMENT": "production"}
STAGE = DEFAULT % f"{{stage: {{deployment: production, steps: [{step('migrate')}, {step('roll out')}]}}}}"
ONE_DEPLOYMENT = DEFAULT % f"{step()}, {step('deploy', more=', deployment: production')}"


def test_a_deployment_stage_with_the_pipe_in_two_steps_pages_and_leaves_the_resolve_to_people(pipe, received):
    pipe({**DEPLOYMENT, **FAILS}, STAGE)
    pipe({**DEPLOYMENT, **PASSES}, STAGE)
    assert received.actions == ["trigger"]
    assert received.only["dedup_key"] == "bitbucket:acme/shop:deployment/production:step"
    assert "migrate and roll out use the same key" in received.details["resolves"]


def test_a_deployment_is_fixed_from_any_branch_or_tag(pipe, sandbox):
    pipe({**DEPLOYMENT, **FAILS}, ONE_DEPLOYMENT)
    pipe({**DEPLOYMENT, "BITBUCKET_BRANCH": "hotfix/1", **PASSES}, ONE_DEPLOYMENT)
    (incident,) = sandbox.incidents()
    assert incident["status"] == "resolved"
    assert incident["title"] == "acme/shop: deployment to production failed on main (#812, exit code 2)"


def test_a_nightly_pipeline_on_main_does_not_resolve_what_a_push_broke(pipe, sandbox):
    definition = BOTH % (step("push"), step("nightly"))
    pipe({**MAIN, **FAILS}, definition)
    run = pipe({**MAIN, **PASSES, "BITBUCKET_BUILD_NUMBER": "813"}, definition)
    assert sandbox.incidents()[0]["status"] == "triggered"
    assert "push (branches: main) and nightly (custom: nightly) use the same key" in run.log


def test_a_final_step_s_own_exit_code_says_nothing_of_the_build(pipe, received):
    run = pipe({**MAIN, **PASSES}, DEFAULT % f"{PLAIN}, {step(kind='final')}")
    assert run.status == 1
    assert (received.only["payload"]["severity"], received.only["dedup_key"]) == ("warning", f"{BRANCH}:result unknown")
    assert [way[:20] for way in received.details["ways_to_tell"]] == ["In a `final:` step, "] * 2


def test_tags_of_one_line_share_a_key_and_another_line_has_its_own(pipe, sandbox):
    definition = "pipelines: {tags: {'*': [%s]}}" % step(alert="publish")
    for tag, code in [("web-v2.0.0", "1"), ("v1.9.5", "0"), ("web-v2.0.1", "0")]:
        run = pipe({**STEP, "BITBUCKET_TAG": tag, "ALERT_NAME": "publish", "EXIT_CODE": code}, definition)
        assert run.status == 0
    (incident,) = sandbox.incidents()
    assert incident["dedup_key"] == "bitbucket:acme/shop:tag/web-v:step/publish"
    assert [entry["action"] for entry in incident["timeline"]] == ["trigger", "resolve"]


@pytest.mark.parametrize("strategy", ["ignore", "retry, max-retry-count: 2"])
def test_whoever_puts_a_pager_into_a_step_wants_the_page_whatever_on_fail_says(pipe, received, strategy):
    run = pipe({**MAIN, **FAILS}, DEFAULT % step(more=", on-fail: {strategy: %s}" % strategy))
    assert (run.status, received.actions) == (0, ["trigger"])


def test_a_green_feature_branch_does_not_resolve_main_s_alert_under_one_dedup_key(pipe, sandbox):
    definition = DEFAULT % step(dedup_key="$BITBUCKET_REPO_SLUG-build")
    key = {"DEDUP_KEY": "shop-build"}
    pipe({**MAIN, **FAILS, **key}, definition)
    run = pipe({**STEP, "BITBUCKET_BRANCH": "feature/x", **PASSES, **key}, definition)
    assert sandbox.incidents()[0]["status"] == "triggered"
    assert "Put $BITBUCKET_BRANCH into it" in run.log


def test_one_anchor_s_name_in_staging_and_production_is_two_alerts(pipe, sandbox):
    text = (
        DEFAULT
        % f"{step('a', 'deploy', more=', deployment: staging')}, {step('b', 'deploy', more=', deployment: production')}"
    )
    for environment, code in [("staging", "1"), ("production", "1"), ("staging", "0")]:
        pipe({**MAIN, "BITBUCKET_DEPLOYMENT_ENVIRONMENT": environment, "ALERT_NAME": "deploy", "EXIT_CODE": code}, text)
    assert {incident["dedup_key"]: incident["status"] for incident in sandbox.incidents()} == {
        "bitbucket:acme/shop:deployment/staging:step/deploy": "resolved",
        "bitbucket:acme/shop:deployment/production:step/deploy": "triggered",
    }


@pytest.mark.parametrize("token", ["", "ATCTT3-a-workspace-token"])
def test_a_plain_last_line_of_a_script_sends_nothing_waits_for_nothing_and_says_where_to_move_it(pipe, received, token):
    started = time.monotonic()
    run = pipe({**MAIN, "BITBUCKET_ACCESS_TOKEN": token, "EXIT_CODE": ""}, DEFAULT % f"{PLAIN}, {step(where='script')}")
    assert (run.status, received.events) == (0, [])
    assert "WARNING: Sending nothing: this pipe stands in `script` of an ordinary step" in run.log
    assert time.monotonic() - started < 5


def test_a_pipe_published_under_another_name_is_seen_with_and_without_variables(pipe, received):
    both = "pipelines: {default: [{step: {name: a, script: [a], after-script: [{pipe: 'acme/oncall:1', variables: {INTEGRATION_KEY: $K}}]}}, {step: {name: b, script: [a], after-script: [{pipe: 'acme/oncall:1'}]}}]}"
    pipe({**MAIN, **FAILS}, both)
    assert received.details["resolves"].startswith("by hand: a and b use the same key")


# --- What else decides. -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "keys"),
    [
        ("Successful", "", ["", ":result unknown"]), ("passed", "", ["", ":result unknown"]), ("FAILED", "", ["", ":result unknown"]),
        ("error", "", ["", ":result unknown"]), ("expired", "", ["", ":result unknown"]), ("stopped", "", []),
        ("successful", "1", [":step"]), ("failed", "0", [":step"]), ("successful", "abc", [":result unknown"]), ("fialed", "", [":result unknown"]),
    ],
)  # fmt: skip
def test_the_pipeline_s_status_where_the_user_knows_it(pipe, received, status, code, keys):
    definition = DEFAULT % f"{step()}, {step(kind='final', where='script', build_status='$S')}"
    run = pipe({**MAIN, "BUILD_STATUS": status, "EXIT_CODE": code}, definition)
    assert [event["dedup_key"] for event in received.events] == [BRANCH + key for key in keys]
    bad = status == "fialed" or code == "abc"
    assert run.status == int(bad)
    assert not bad or received.only["payload"]["severity"] == "warning"
    passed = status in ("Successful", "passed")
    assert not keys or received.actions[0] == ("resolve" if passed else "trigger")


def test_a_pipeline_s_success_does_not_resolve_what_another_pipeline_may_have_opened(pipe, received):
    final = step(kind="final", where="script", build_status="$S")
    run = pipe(
        {**MAIN, "BUILD_STATUS": "successful"}, BOTH % (final, step("nightly", where="script", build_status="$S"))
    )
    assert [event["dedup_key"] for event in received.events] == [f"{BRANCH}:result unknown"]
    assert "Give each pipeline an ALERT_NAME of its own." in run.log


def test_a_resolve_asked_for_in_a_failed_step_sends_nothing(pipe, received):
    run = pipe({**MAIN, **FAILS, "EVENT_ACTION": "resolve"})
    assert (run.status, received.events) == (0, [])
    assert "WARNING: Sending nothing: EVENT_ACTION is resolve, but exit code 2." in run.log


def test_a_plain_last_step_resolves_when_asked_to(pipe, received):
    definition = DEFAULT % f"{step()}, {step('done', where='script', event_action='resolve')}"
    pipe({**MAIN, **FAILS}, definition)
    assert pipe({**MAIN, "EVENT_ACTION": "resolve"}, definition).status == 0
    assert [event["dedup_key"] for event in received.events] == [SAFE, SAFE]
    assert received.actions == ["trigger", "resolve"]


def test_an_alert_is_closed_by_hand_from_anywhere_with_the_key_from_the_log(pipe, sandbox):
    pipe({**MAIN, **FAILS}, None)
    assert pipe({"EVENT_ACTION": "resolve", "DEDUP_KEY": SAFE}, None).status == 0
    assert sandbox.incidents()[0]["status"] == "resolved"


@pytest.mark.parametrize("action", ["trigger", "acknowledge", "resolve", "change"])
def test_an_explicit_action_sends_just_that(pipe, received, action):
    assert pipe({**MAIN, "EVENT_ACTION": action.upper()}).status == 0
    assert received.actions == [action]


PULL_REQUEST = {**STEP, "BITBUCKET_BRANCH": "fix", "BITBUCKET_PR_ID": "42", "BITBUCKET_PR_DESTINATION_BRANCH": "main"}


def test_a_pull_request_pages_only_when_asked_to_and_under_its_own_key(pipe, received):
    run = pipe({**PULL_REQUEST, **FAILS})
    assert (run.status, received.events) == (0, [])
    assert "PULL_REQUESTS is false" in run.log
    pipe({**PULL_REQUEST, **FAILS, "PULL_REQUESTS": "true", "BRANCHES": "main"})
    assert received.only["dedup_key"] == "bitbucket:acme/shop:pr/42:step"
    assert received.only["links"][-1]["href"] == "https://bitbucket.org/acme/shop/pull-requests/42"


@pytest.mark.parametrize(
    ("environ", "pages"),
    [
        ({"BRANCHES": "release/* main"}, True), ({"BRANCHES": "release/*"}, False),
        ({"BRANCHES_COUNT": "2", "BRANCHES_0": "dev", "BRANCHES_1": "{main,master}"}, True),
        ({"IGNORE_EXIT_CODES": "130 2"}, False), ({"IGNORE_EXIT_CODES": "130"}, True),
    ],
)  # fmt: skip
def test_filters(pipe, received, environ, pages):
    run = pipe({**MAIN, **FAILS, **environ})
    assert (run.status, bool(received.events)) == (0, pages)
    assert pages or "WARNING: Sending nothing:" in run.log


def test_a_change_event_follows_the_resolve_of_a_deployment_that_passed(pipe, sandbox, received):
    assert pipe({**DEPLOYMENT, **PASSES, "CHANGE_EVENT": "true"}, ONE_DEPLOYMENT).status == 0
    assert received.actions == ["resolve", "change"]
    assert sandbox.changes()[0]["payload"]["summary"] == "acme/shop: deployed to production on main (#812)"


def test_a_change_event_that_is_refused_only_warns(pipe, sandbox, received):
    key = "R0212P1QXGEIQPXV2X3PCR5ACZPPVFJ2"
    run = pipe({**DEPLOYMENT, **PASSES, "CHANGE_EVENT": "true", "INTEGRATION_KEY": key}, ONE_DEPLOYMENT)
    assert run.status == 0
    assert [call.status for call in sandbox.requests] == [202, 400]
    assert "The change event was not delivered" in run.log
    assert key not in run.log


# --- Bad input. -------------------------------------------------------------------------------------------------------


def test_all_variables_empty_is_the_same_as_absent(pipe, received):
    empty = {
        variable.name: "" for variable in VARIABLES if variable.name not in ("INTEGRATION_KEY", "EVENTS_URL", "TIMEOUT")
    }
    pipe({**MAIN, **FAILS})
    pipe({**MAIN, **empty, "BITBUCKET_EXIT_CODE": "2", "BITBUCKET_TAG": "", "BITBUCKET_PR_ID": ""})
    first, second = received.events
    assert first["payload"].pop("timestamp")
    assert second["payload"].pop("timestamp")
    assert first == second


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEVERITY", "eror"), ("TIMEOUT", "2m"), ("CUSTOM_DETAILS", '{"team": "pay'), ("LINKS_COUNT", "many"),
        ("EVENT_ACTION", "page"), ("PULL_REQUESTS", "maybe"), ("BRANCHES", "dev, release"), ("BRANCHES", '["dev"]'), ("BRANCHES", "[dev]"), ("TIMEOUT", "0.01"), ("BRANCHES_COUNT", "x"), ("IGNORE_EXIT_CODES", "two"),
        ("CHANGE_EVENT", "2"), ("ON_ERROR", "shrug"), ("DRY_RUN", "perhaps"), ("DEBUG", "yes"), ("LOG_LINES", "all"),
        ("LINKS", "no address"), ("BITBUCKET_API_URL", "nowhere"), ("SEVERITY_COUNT", "2"),
    ],
)  # fmt: skip
def test_a_bad_optional_variable_never_costs_the_page(pipe, received, name, value):
    run = pipe({**MAIN, **FAILS, name: value})
    assert run.status == 1
    assert received.only["event_action"] == "trigger"
    assert received.only["payload"]["severity"] == "error"
    variable = name.removesuffix("_COUNT")
    (warning,) = received.details["pipe_warnings"]
    assert warning.startswith(f"{variable}: ")
    assert f"WARNING: {warning}" in run.log


def test_a_pull_requests_variable_that_cannot_be_read_never_costs_the_page(pipe, received):
    assert pipe({**PULL_REQUEST, **FAILS, "PULL_REQUESTS": "yes"}).status == 1
    assert received.only["event_action"] == "trigger"


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"INTEGRATION_KEY": ""}, "INTEGRATION_KEY: it is missing"),
        ({"INTEGRATION_KEY": "y1A2b3C4d5E6f7G8h9I0"}, "probably a REST API key"),
        ({"INTEGRATION_KEY": "$PAGERDUTY_INTEGRATION_KEY"}, "INTEGRATION_KEY: it is missing"),
        ({"INTEGRATION_KEY": f"https://events.pagerduty.com/integration/{KEY}/enqueue"}, "it is an address, not a key"),
        ({"EVENTS_URL": f"https://events.pagerduty.com/integration/{KEY}/enqueue"}, "it is an integration URL"),
        ({"REGION": "mars", "EVENTS_URL": ""}, 'REGION: "mars" is not one of us, eu'),
    ],
)
def test_where_nothing_can_be_sent_one_line_says_so_and_the_event_is_printed(pipe, received, environ, says):
    run = pipe({**MAIN, **FAILS, **environ})
    assert (run.status, received.events) == (1, [])
    (line,) = [line for line in run.log.splitlines() if line.startswith("✖")]
    assert says in line
    assert '"summary": "acme/shop: build failed on main (#812, exit code 2)"' in run.log
    quiet = pipe({**MAIN, **FAILS, **environ, "ON_ERROR": "warn"})
    assert quiet.status == 0
    assert "\x1b[31m✖" in quiet.stderr


def test_a_wrong_key_on_a_green_build_is_one_red_line_without_any_json(pipe, received):
    run = pipe({**MAIN, **PASSES, "INTEGRATION_KEY": "short"})
    assert (run.status, received.events) == (1, [])
    assert "{" not in run.log


def test_a_key_with_spaces_around_it_still_pages_and_is_told(pipe, received):
    assert pipe({**MAIN, **FAILS, "INTEGRATION_KEY": f" {KEY} "}).status == 0
    assert received.only["routing_key"] == KEY
    assert "spaces around it" in received.details["pipe_warnings"][0]


def test_a_slip_in_a_name_is_told(pipe, received):
    run = pipe({**MAIN, **FAILS, "SEVERTY": "critical"})
    assert run.status == 0
    assert "SEVERTY is not a variable of this pipe; did you mean SEVERITY?" in run.log


@pytest.mark.parametrize(
    "environ", [{}, {"CI": "true"}, {"EXIT_CODE": "1"}, {"CI": "true", "EXIT_CODE": "0"}, dict.fromkeys(MAIN, "")]
)
def test_an_environment_with_next_to_nothing_ends_in_one_clear_line(pipe, received, environ):
    run = pipe({"INTEGRATION_KEY": "", **environ}, None)
    assert (run.status, received.events) == (1, [])
    assert len([line for line in run.log.splitlines() if line.startswith("✖")]) == 1


def test_values_that_are_not_utf8_are_made_so(pipe, received):
    broken = os.fsdecode(b"caf\xe9")
    assert pipe({**MAIN, **FAILS, "BITBUCKET_BRANCH": broken, "ALERT_NAME": broken, "SEVERITY": broken}).status == 1
    assert received.only["dedup_key"] == "bitbucket:acme/shop:branch/caf\ufffd:step/caf\ufffd"


def test_what_a_terminal_would_act_on_reaches_neither_log_nor_event(pipe, received):
    evil = "\x1b[2J\x1b]0;owned\x07a\u202eb\x07\nc"
    run = pipe({**MAIN, **FAILS, "ALERT_NAME": evil, "BITBUCKET_BRANCH": evil, "SUMMARY": evil, "SEVERITY": evil})
    body = json.dumps(received.only, ensure_ascii=False)
    assert not any(mark in body or mark in run.log for mark in ("\x1b", "\x07", "\u202e", "owned"))
    assert received.only["dedup_key"] == "bitbucket:acme/shop:branch/ab c:step/ab c"


@pytest.mark.parametrize("value", ["", "$HTTPS_PROXY", "'$HTTPS_PROXY'"])
def test_a_proxy_variable_that_is_empty_or_not_expanded_is_absent(pipe, received, value):
    assert pipe({**MAIN, **FAILS, "HTTP_PROXY": value, "HTTPS_PROXY": value, "REQUESTS_CA_BUNDLE": value}).status == 0
    assert received.actions == ["trigger"]


# --- Limits. ----------------------------------------------------------------------------------------------------------


def test_five_thousand_characters_of_emoji_are_delivered_as_1024(pipe, received):
    run = pipe({**MAIN, **FAILS, "SUMMARY": "😱" * 5000})
    assert run.status == 0
    assert len(received.only["payload"]["summary"]) == 1024
    assert "5000 characters" in run.log


def test_two_megabytes_of_details_are_delivered_as_a_note(sandbox, received, capsys, restore_signals):
    environ = {**MAIN, **FAILS, "INTEGRATION_KEY": KEY, "EVENTS_URL": sandbox.url}
    assert (
        main({**environ, "CUSTOM_DETAILS": json.dumps({"dump": "x" * 2_000_000})}) == 0
    )  # no process takes such a variable
    assert "left out" in received.details["note"]
    assert len(sandbox.requests[0].body) < 512_000


def test_a_long_branch_has_the_same_key_every_time(pipe, received):
    for _ in range(2):
        pipe({**MAIN, **FAILS, "BITBUCKET_BRANCH": "feature/" + "x" * 292})
    first, second = received.events
    assert first["dedup_key"] == second["dedup_key"]
    assert len(first["dedup_key"]) == 255


# --- Delivery. --------------------------------------------------------------------------------------------------------


def test_a_refused_event_is_quoted_advised_on_and_printed_whole(pipe, sandbox):
    sandbox.fail_next({"status": 400, "body": "Invalid routing key"})
    run = pipe({**MAIN, **FAILS})
    assert run.status == 1
    assert "400 Invalid routing key" in run.log
    assert "REGION" in run.log
    printed = json.loads(run.stderr.splitlines()[-1])
    assert run.stdout == ""
    assert printed["routing_key"] == "…ee44"
    assert printed["payload"]["summary"] == "acme/shop: build failed on main (#812, exit code 2)"


def test_a_throttled_event_is_tried_again(pipe, sandbox, received):
    sandbox.fail_next({"status": 429}, {"status": 503}, {"drop": True})
    run = pipe({**MAIN, **FAILS})
    assert run.status == 0
    assert [call.status for call in sandbox.requests] == [429, 503, None, 202]
    assert "attempt 4: 202 Event processed" in run.log


def test_an_unreachable_server_ends_in_advice_and_the_whole_event(pipe, sandbox):
    sandbox.close()
    run = pipe({**MAIN, **FAILS, "TIMEOUT": "1"})
    assert run.status == 1
    assert "gave up after" in run.log
    assert json.loads(run.stderr.splitlines()[-1])["event_action"] == "trigger"


def test_a_resolve_that_was_not_delivered_is_one_line(pipe, sandbox):
    sandbox.close()
    run = pipe({**MAIN, **PASSES, "TIMEOUT": "1"})
    assert run.status == 1
    assert "The resolve event was not delivered" in run.log
    assert "{" not in run.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_it_waits_ends_it_at_once_with_the_event_printed(pipe, sandbox, number):
    sandbox.fail_next({"status": 429, "headers": {"Retry-After": "60"}})
    process = pipe.start({**MAIN, **FAILS, "TIMEOUT": "90"})
    while not sandbox.requests:
        time.sleep(0.02)
    time.sleep(0.2)
    started = time.monotonic()
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=10)
    assert time.monotonic() - started < 1
    assert process.returncode == 128 + number
    assert json.loads(stderr.splitlines()[-1])["dedup_key"] == SAFE
    assert KEY not in stdout + stderr


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_both_signals_at_once_end_it_with_the_event_printed_once(pipe, sandbox, first):
    sandbox.fail_next({"status": 429, "headers": {"Retry-After": "60"}})
    process = pipe.start({**MAIN, **FAILS, "TIMEOUT": "90"})
    while not sandbox.requests:
        time.sleep(0.02)
    time.sleep(0.2)
    for number in (first, signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
    _, stderr = process.communicate(timeout=10)
    assert process.returncode in (128 + signal.SIGTERM, 128 + signal.SIGINT)
    assert json.loads(stderr.splitlines()[-1])["dedup_key"] == SAFE
    assert "Traceback" not in stderr


def test_a_dry_run_prints_the_event_and_needs_no_key(pipe, received):
    run = pipe({**MAIN, **FAILS, "DRY_RUN": "true", "INTEGRATION_KEY": ""})
    assert (run.status, received.events) == (0, [])
    assert json.loads(run.stdout.splitlines()[-1])["event_action"] == "trigger"


@pytest.mark.parametrize("region", ["us", "eu"])
def test_the_region_gives_the_address(pipe, region):
    run = pipe({**MAIN, **FAILS, "DRY_RUN": "true", "EVENTS_URL": "", "REGION": region})
    host = {"us": "events.pagerduty.com", "eu": "events.eu.pagerduty.com"}[region]
    assert f"https://{host}/v2/enqueue" in run.log


# --- Secrets. ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [None, {"status": 400, "body": f"bad key {KEY}"}, {"status": 500, "times": 99}, {"drop": True, "times": 99}],
)
def test_the_key_is_nowhere_in_the_log_with_debug_on(pipe, sandbox, fault):
    if fault:
        sandbox.fail_next(fault)
    run = pipe(
        {
            **MAIN,
            **FAILS,
            "DEBUG": "true",
            "TIMEOUT": "1",
            "SUMMARY": f"key {KEY}",
            "CUSTOM_DETAILS": json.dumps({"k": KEY}),
        }
    )
    assert "DEBUG: " in run.log
    assert KEY not in run.log


def test_debug_false_is_not_debug(pipe):
    assert "DEBUG: " not in pipe({**MAIN, **FAILS, "DEBUG": "false"}).log


def test_modules_in_the_clone_are_not_imported(pipe, received):
    for name in ("json.py", "requests.py", "pipe.py", "sitecustomize.py", "yaml.py"):
        (pipe.clone / name).write_text("raise SystemExit('imported from the clone')")
    assert pipe({**MAIN, **FAILS}).status == 0
    assert received.actions == ["trigger"]


# --- A fault of the pipe's own. ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "severity"),
    [(FAILS, ["error"]), (PASSES, []), ({}, ["warning"]), ({"EVENT_ACTION": "resolve"}, ["error"])],
)
def test_a_fault_in_the_pipe_itself_costs_no_page_and_resolves_nothing_by_itself(
    sandbox, received, monkeypatch, capsys, restore_signals, environ, severity
):
    monkeypatch.setattr("pipe.ownership.of_step", lambda *_: 1 / 0)
    monkeypatch.setattr("pipe.ownership.of_pipeline", lambda *_, **__: 1 / 0)
    assert main({**MAIN, **environ, "INTEGRATION_KEY": KEY, "EVENTS_URL": sandbox.url}) == 1
    assert [event["payload"]["severity"] for event in received.events] == severity
    assert "trigger" not in received.actions or "ZeroDivisionError" in str(received.details["pipe_warnings"])


def test_a_signal_before_it_has_decided_prints_what_the_variables_tell(
    sandbox, received, monkeypatch, capsys, restore_signals
):
    def slow(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr("pipe.definition_file.read", slow)
    assert main({**MAIN, **FAILS, "INTEGRATION_KEY": KEY, "EVENTS_URL": sandbox.url}) == 143
    assert received.events == []
    out = capsys.readouterr().err
    assert "SIGTERM ended the pipe before its event was delivered" in out
    assert json.loads(out.splitlines()[-1])["event_action"] == "trigger"


@pytest.mark.parametrize("redirect", [">&-", "2>&-", ">&- 2>&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>&1"])
def test_a_closed_or_full_output_costs_no_page(pipe, received, redirect):
    command = ["sh", "-c", f'exec "$0" -m pipe {redirect}', sys.executable]
    environ = {
        **MAIN,
        **FAILS,
        "INTEGRATION_KEY": KEY,
        "EVENTS_URL": pipe.url,
        "PYTHONPATH": str(ROOT),
        "PATH": os.environ["PATH"],
    }
    run = subprocess.run(command, cwd=pipe.clone, env=environ, capture_output=True, text=True, check=False)
    assert (run.returncode, received.actions) == (0, ["trigger"])
    assert "Traceback" not in run.stdout + run.stderr


def test_output_that_is_not_utf8_is_no_reason_to_fail(pipe, received):
    assert pipe({**MAIN, **FAILS, "PYTHONIOENCODING": "ascii"}).status == 0
    assert received.actions == ["trigger"]


@pytest.mark.parametrize(
    "environ",
    [{"BRANCHES": "**a" * 8 + " **b", "BITBUCKET_BRANCH": "a/" * 60 + "a"}, {"BITBUCKET_BRANCH": "a/" * 60 + "a"}],
)
def test_patterns_that_take_for_ever_do_not_hold_up_the_page(pipe, received, environ):
    definition = "pipelines: {branches: {'%s': [%s]}}" % ("**a" * 8 + "b", step())
    started = time.monotonic()
    assert pipe({**MAIN, **FAILS, **environ}, definition).status == 0
    assert time.monotonic() - started < 12
    assert received.actions == ["trigger"]


@pytest.fixture
def restore_signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
