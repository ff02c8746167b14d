"""A step's result, end to end: a real process of the pipe, the bytes that the sandbox received, the exit status and the log."""

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
from tests.conftest import KEY, MAIN, ONE_STEP, ROOT, STEP, TOKEN, short
from tests.unit.files import BOTH, DEFAULT, PLAIN, pager, step

FAILS, PASSES = {"EXIT_CODE": "2"}, {"EXIT_CODE": "0"}
NAMED = {"ALERT_NAME": "unit tests"}
SUMMARY = 'acme/shop: "Build and test" failed on main (#812, exit code 2)'
TWO_STEPS = DEFAULT % f"{step('Lint')}, {step('Unit tests')}"
NEVER_PAGES_AGAIN = "An open alert stays open; until then no failure of a step without ALERT_NAME on main pages again."


# --- One step: it breaks, it stays broken, it is fixed. ---------------------------------------------------------------


def test_a_failing_step_pages_whom_it_concerns(pipe, received):
    run = pipe({**MAIN, **FAILS})
    assert run.status == 0
    event = received.only
    assert event["event_action"] == "trigger"
    assert event["routing_key"] == KEY
    assert event["dedup_key"] == "bitbucket:acme/shop:branch/main:step"
    assert event["payload"]["summary"] == SUMMARY
    assert event["payload"]["severity"] == "error"
    assert received.details["step"] == "Build and test"
    assert received.details["resolves"] == "by a green run of this step"
    assert "Paging: exit code 2." in run.log
    assert "dedup key bitbucket:acme/shop:branch/main:step, integration key …ee44" in run.log


def test_a_build_that_breaks_twice_and_is_fixed_is_one_incident_resolved(pipe, sandbox):
    for number, code in [("812", "1"), ("813", "1"), ("814", "0")]:
        run = pipe({**MAIN, "BITBUCKET_BUILD_NUMBER": number, "EXIT_CODE": code})
        assert run.status == 0
    assert "Resolving: exit code 0." in run.log
    (incident,) = sandbox.incidents()
    assert incident["status"] == "resolved"
    assert [entry["action"] for entry in incident["timeline"]] == ["trigger", "trigger", "resolve"]


@pytest.mark.parametrize(
    ("environ", "sent", "severity"),
    [
        ({"EXIT_CODE": " 0 "}, "resolve branch/main:step", "error"),
        ({"EXIT_CODE": "", "BITBUCKET_EXIT_CODE": "7"}, "trigger branch/main:step", "error"),
        ({"EXIT_CODE": "abc"}, "trigger branch/main:result unknown", "warning"),
    ],
)
def test_nothing_but_a_clean_0_resolves(pipe, received, environ, sent, severity):
    run = pipe({**MAIN, **environ})
    assert received.sent == [sent]
    assert received.only["payload"]["severity"] == severity
    assert run.status == int(severity == "warning")


def test_a_zero_that_hides_bitbucket_s_own_code_is_a_failure_and_the_page_says_what_to_write(pipe, received):
    run = pipe({**MAIN, "EXIT_CODE": "0", "BITBUCKET_EXIT_CODE": "1"})
    assert received.sent == ["trigger branch/main:step"]
    assert "write `EXIT_CODE: $BITBUCKET_EXIT_CODE`" in run.yellow
    assert "write `EXIT_CODE: $BITBUCKET_EXIT_CODE`" in received.details["pipe_warnings"][0]


def test_a_missing_exit_code_says_so_on_the_pager_with_the_way_to_tell_that_fits_the_place(pipe, received):
    run = pipe(MAIN)
    assert run.status == 1
    assert received.only["payload"]["summary"] == "acme/shop: cannot tell whether #812 on main passed"
    assert received.details["ways_to_tell"] == ["In the step's after-script, map `EXIT_CODE: $BITBUCKET_EXIT_CODE`."]
    assert "there is no exit code" in received.details["reason"]
    assert (
        received.details["resolves"]
        == "by hand, or by the next known result of a pipeline on main; a step's exit code does not close it; "
        "until then no other result that cannot be told on main pages"
    )
    assert "Paging a warning: whether it passed cannot be told" in run.yellow


def test_outside_of_ci_a_missing_exit_code_is_an_error_only(pipe, received):
    run = pipe({name: value for name, value in MAIN.items() if name != "CI"})
    assert (run.status, received.events) == (1, [])
    assert "CI is not set" in run.red[0]


def test_the_lines_of_a_run_are_on_one_stream_in_the_order_in_which_things_happened(pipe, sandbox):
    sandbox.fail_next({"status": 503}, {"status": 400, "body": "no", "times": 9})
    (pipe.clone / "bitbucket-pipelines.yml").write_text(TWO_STEPS)
    environ = {**MAIN, **FAILS, "INTEGRATION_KEY": KEY, "EVENTS_URL": pipe.url, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pipe"]
    run = subprocess.run(
        command,
        cwd=pipe.clone,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    expected = [
        "INFO: Build #812", "INFO: Paging", "WARNING: This alert will not resolve by itself", "INFO: POST", "INFO: Waiting",
        "INFO: POST", "INFO: Sending it again in its smallest form", "INFO: POST", "✖ The trigger event was not delivered",
        "INFO: Send it by hand", "{",
    ]  # fmt: skip
    lines = [line.split("m", 1)[-1] if line.startswith("\x1b") else line for line in run.stdout.splitlines()]
    assert len(lines) == len(expected)
    assert [line for line, start in zip(lines, expected, strict=True) if not line.startswith(start)] == []


# --- Who owns the key. ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("definition", "environ", "yellow"),
    [
        (None, {}, "Not resolving: no bitbucket-pipelines.yml shows who else uses its key. Set ALERT_NAME. " + NEVER_PAGES_AGAIN),
        (None, NAMED, ""),
        ("pipelines: [", NAMED, "Not resolving: bitbucket-pipelines.yml is not valid YAML in line 1. An open alert stays open"),
        (TWO_STEPS, {}, "Not resolving: Lint and Unit tests use the same key. Give each step an ALERT_NAME of its own"),
        (BOTH % (step("push"), step("nightly")), {}, "Not resolving: push (branches: main) and nightly (custom: nightly) use the same key. Give them one ALERT_NAME"),
        (DEFAULT % f"{step('a', 'unit tests')}, {step('b', 'unit tests')}", NAMED, "Not resolving: a and b use the same key. Give each step an ALERT_NAME"),
    ],
)  # fmt: skip
def test_a_zero_resolves_only_for_the_owner_and_else_says_why_in_yellow(pipe, received, definition, environ, yellow):
    run = pipe({**MAIN, **PASSES, **environ}, definition)
    assert (run.status, received.actions) == (0, [] if yellow else ["resolve"])
    assert run.yellow.startswith(yellow)
    assert bool(run.yellow) is bool(yellow)


def test_a_page_by_hand_says_who_else_uses_its_key_and_what_it_swallows(pipe, received):
    run = pipe({**MAIN, **FAILS}, TWO_STEPS)
    assert received.details["resolves"] == (
        "by hand: Lint and Unit tests use the same key; "
        "until then no failure of a step without ALERT_NAME on main pages again"
    )
    assert "This alert will not resolve by itself: Lint and Unit tests use the same key" in run.yellow


DEPLOYMENT = {**MAIN, "BITBUCKET_DEPLOYMENT_ENVIRONMENT": "production"}
ONE_DEPLOYMENT = DEFAULT % f"{step()}, {step('deploy', more=', deployment: production')}"


def test_a_deployment_is_fixed_from_any_branch(pipe, sandbox):
    pipe({**DEPLOYMENT, **FAILS}, ONE_DEPLOYMENT)
    pipe({**DEPLOYMENT, "BITBUCKET_BRANCH": "hotfix/1", **PASSES}, ONE_DEPLOYMENT)
    (incident,) = sandbox.incidents()
    assert incident["status"] == "resolved"
    assert incident["title"] == "acme/shop: deployment to production failed on main (#812, exit code 2)"


# --- Cases that went wrong once. --------------------------------------------------------------------------------------


def test_a_green_feature_branch_does_not_resolve_main_s_alert_by_one_dedup_key_for_all(pipe, received):
    definition = DEFAULT % step(dedup_key="$BITBUCKET_REPO_SLUG-build")
    pipe({**MAIN, **FAILS, "DEDUP_KEY": "shop-build"}, definition)
    assert received.details["resolves"].startswith(
        "by hand: a build of another ref can have the same DEDUP_KEY; until then"
    )
    for branch in ("feature/x", "main"):
        run = pipe({**MAIN, **PASSES, "BITBUCKET_BRANCH": branch, "DEDUP_KEY": "shop-build"}, definition)
        assert "Put $BITBUCKET_BRANCH into it" in run.yellow
    assert received.sent == ["trigger shop-build"]


def test_one_dedup_key_in_staging_and_production_resolves_neither(pipe, received):
    deploy = [
        step(f"to {where}", more=f", deployment: {where}", dedup_key="deploy") for where in ("staging", "production")
    ]
    staging = {**MAIN, "BITBUCKET_DEPLOYMENT_ENVIRONMENT": "staging", "DEDUP_KEY": "deploy"}
    pipe({**DEPLOYMENT, **FAILS, "DEDUP_KEY": "deploy"}, DEFAULT % ", ".join(deploy))
    assert received.details["resolves"].startswith("by hand: ")
    run = pipe({**staging, **PASSES}, None)
    assert received.open == ["deploy"]
    assert "Put $BITBUCKET_BRANCH into it (or $BITBUCKET_DEPLOYMENT_ENVIRONMENT, _TAG or _PR_ID)" in run.yellow


def test_a_dedup_key_that_names_the_place_resolves(pipe, received):
    definition = DEFAULT % step(dedup_key="$BITBUCKET_REPO_SLUG-$BITBUCKET_BRANCH")
    for code in (FAILS, PASSES):
        pipe({**MAIN, **code, "DEDUP_KEY": "shop-main"}, definition)
    assert received.sent == ["trigger shop-main", "resolve shop-main"]


def test_an_older_line_s_release_does_not_resolve_another_line_s_alert(pipe, received):
    definition = "pipelines: {tags: {'*': [%s]}}" % step()
    pipe({**STEP, **FAILS, "BITBUCKET_TAG": "web-v2.0.0"}, definition)
    pipe({**STEP, **PASSES, "BITBUCKET_TAG": "v1.9.5"}, None)
    assert received.sent == ["trigger tag/web-v:step", "resolve tag/v:step"]
    assert received.open == ["tag/web-v:step"]
    pipe({**STEP, **PASSES, "BITBUCKET_TAG": "web-v2.0.1"}, None)
    assert received.open == []


def test_services_that_deploy_to_one_environment_from_a_branch_and_from_a_tag_do_not_resolve_each_other(pipe, received):
    api, web = (step(f"Deploy {one}", more=", deployment: production") for one in ("API", "web"))
    definition = f"pipelines: {{branches: {{main: [{api}]}}, tags: {{'v*': [{web}]}}}}"
    pipe({**DEPLOYMENT, **FAILS}, definition)
    run = pipe({**STEP, **PASSES, "BITBUCKET_TAG": "v1.2", "BITBUCKET_DEPLOYMENT_ENVIRONMENT": "production"}, None)
    assert received.sent == ["trigger deployment/production:step"]
    assert "Not resolving: Deploy API (branches: main) and Deploy web (tags: v*) use the same key" in run.yellow


def test_one_anchor_with_a_name_in_staging_and_production_has_two_keys(pipe, received):
    both = [step(f"to {where}", "deploy", more=f", deployment: {where}") for where in ("staging", "production")]
    definition = DEFAULT % ", ".join(both)
    pipe({**DEPLOYMENT, **FAILS, "ALERT_NAME": "deploy"}, definition)
    pipe({**MAIN, **PASSES, "ALERT_NAME": "deploy", "BITBUCKET_DEPLOYMENT_ENVIRONMENT": "staging"}, None)
    assert received.sent == ["trigger deployment/production:step/deploy", "resolve deployment/staging:step/deploy"]
    pipe({**DEPLOYMENT, **PASSES, "ALERT_NAME": "deploy"}, None)
    assert received.open == []


def test_a_step_that_is_not_in_the_file_pages_while_the_only_visible_one_is_ignored(pipe, received):
    definition = DEFAULT % f"{PLAIN}, {step('style', more=', on-fail: {strategy: ignore}')}"
    run = pipe({**MAIN, **FAILS}, definition)
    assert (run.status, received.sent) == (0, ["trigger branch/main:step"])


def test_an_item_without_variables_beside_one_with_is_this_pipe_too(pipe, received):
    oncall = [
        "{step: {name: with, script: [a], after-script: [{pipe: acme/oncall:1.2.0, variables: {INTEGRATION_KEY: $K}}]}}",
        "{step: {name: without, script: [b], after-script: [{pipe: acme/oncall:1.1.9}]}}",
    ]
    run = pipe({**MAIN, **PASSES}, DEFAULT % ", ".join(oncall))
    assert received.events == []
    assert "with and without use the same key" in run.yellow


@pytest.mark.parametrize("code", ["1", "0"])
def test_a_build_status_beside_an_exit_code_pages_and_resolves_under_the_step_s_key(pipe, received, code):
    definition = DEFAULT % step(build_status="$BUILD_STATUS")
    pipe({**MAIN, "EXIT_CODE": code, "BUILD_STATUS": "failed"}, definition)
    pipe({**MAIN, **PASSES, "BUILD_STATUS": "successful"}, None)
    assert received.sent == ["trigger branch/main:step", "resolve branch/main:step"]


def test_the_last_line_of_a_deploy_s_script_neither_waits_nor_pages_nor_fails_the_deploy(pipe, api, received):
    definition = DEFAULT % step("Deploy", where="script", more=", deployment: production")
    run = pipe({**DEPLOYMENT, "BITBUCKET_ACCESS_TOKEN": TOKEN, "BITBUCKET_API_URL": api.url}, definition)
    assert (run.status, received.events, api.requests) == (0, [], [])
    assert "move it to the step's `after-script`" in run.yellow


# --- What else decides. -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (" Successful ", ["resolve branch/main", "resolve branch/main:result unknown"]),
        ("EXPIRED", ["trigger branch/main", "resolve branch/main:result unknown"]),
        ("fialed", ["trigger branch/main:result unknown"]),
    ],
)
def test_a_pipeline_s_status_where_the_user_knows_it(pipe, received, status, sent):
    definition = DEFAULT % f"{step()}, {step('page', kind='final', where='script', build_status='$S')}"
    run = pipe({**MAIN, "BUILD_STATUS": status}, definition)
    assert (received.sent, run.status) == (sent, int(status == "fialed"))


def test_a_status_that_two_pipelines_can_give_pages_by_hand_and_resolves_nothing_but_the_unknown(pipe, received):
    page = step("page", kind="final", where="script", build_status="$S")
    pipe({**MAIN, "BUILD_STATUS": "failed"}, BOTH % (page, page))
    run = pipe({**MAIN, "BUILD_STATUS": "successful"}, None)
    assert received.sent == ["trigger branch/main", *["resolve branch/main:result unknown"] * 2]
    assert received.details["resolves"].startswith(
        "by hand: page (branches: main) and page (custom: nightly) use the same"
    )
    assert "Give each pipeline an ALERT_NAME of its own" in run.yellow


PULL_REQUEST = {**STEP, "BITBUCKET_BRANCH": "fix", "BITBUCKET_PR_ID": "42", "BITBUCKET_PR_DESTINATION_BRANCH": "main"}


def test_a_pull_request_pages_when_asked_to_and_under_its_own_key(pipe, received):
    run = pipe({**PULL_REQUEST, **FAILS, "PULL_REQUESTS": "true", "BRANCHES": "main"})
    assert (run.status, received.sent) == (0, ["trigger pr/42:step"])
    assert received.only["links"][-1]["href"] == "https://bitbucket.org/acme/shop/pull-requests/42"


@pytest.mark.parametrize(
    ("environ", "keeps_back"),
    [
        (PULL_REQUEST, "this is a pull-request run, and PULL_REQUESTS is false"),
        ({**MAIN, "BRANCHES": "release/*"}, "branch main is not among BRANCHES (release/*)"),
        ({**MAIN, "BRANCHES_COUNT": "2", "BRANCHES_0": "dev", "BRANCHES_1": "ma{in,ster}"}, ""),
        ({**MAIN, "IGNORE_EXIT_CODES": "130 2"}, "exit code 2 is among IGNORE_EXIT_CODES"),
    ],
)
def test_a_failure_that_is_kept_back_is_a_yellow_line(pipe, received, environ, keeps_back):
    run = pipe({**environ, **FAILS})
    assert (run.status, bool(received.events)) == (0, not keeps_back)
    assert (f"Sending nothing: {keeps_back}" in run.yellow) is bool(keeps_back)


def test_where_0_is_ignored_nothing_resolves_and_pages_say_by_hand(pipe, received):
    pipe({**MAIN, **FAILS, "IGNORE_EXIT_CODES": "0"})
    pipe({**MAIN, **PASSES, "IGNORE_EXIT_CODES": "0"})
    assert received.sent == ["trigger branch/main:step"]
    assert received.details["resolves"].startswith("by hand: 0 is among IGNORE_EXIT_CODES; until then")


@pytest.mark.parametrize(
    ("action", "code", "sent", "says"),
    [
        ("TRIGGER", "0", "trigger branch/main:step", "this pages for a step that passed"),
        ("trigger", "", "trigger branch/main:step", ""),
        ("acknowledge", "2", "acknowledge branch/main:step", ""),
        ("resolve", "", "resolve branch/main:step", ""),
        ("resolve", "2", None, "Sending nothing: EVENT_ACTION is resolve, but it failed: exit code 2"),
        ("change", "0", "change", ""),
    ],
)
def test_an_explicit_action_sends_just_that_but_no_success_where_there_is_none(
    pipe, api, received, action, code, sent, says
):
    token = {"BITBUCKET_ACCESS_TOKEN": TOKEN, "BITBUCKET_API_URL": api.url}
    run = pipe({**MAIN, "EXIT_CODE": code, "EVENT_ACTION": action, **token}, TWO_STEPS)
    assert received.sent == ([sent] if sent else [])
    assert run.status == int(code == "abc")
    assert says in run.yellow
    assert api.requests == []
    assert "trigger" not in received.actions or received.details["resolves"].startswith(
        "by hand: EVENT_ACTION: trigger never resolves"
    )


def test_behind_a_page_that_is_not_delivered_nothing_is_dropped_without_a_line(pipe, sandbox):
    sandbox.fail_next({"status": 403, "times": 9})
    run = pipe({**MAIN, "BUILD_STATUS": "failed"}, None)
    assert (run.status, [short(event) for event in run.printed]) == (1, ["branch/main"])
    key = "bitbucket:acme/shop:branch/main:result unknown"
    assert (
        f'Not sent: the resolve event "acme/shop: the result of #812 on main is known", dedup key {key}.' in run.yellow
    )


def test_a_resolve_behind_the_page_that_is_not_delivered_names_its_key(pipe, sandbox, received):
    sandbox.fail_next({"delay": 0.01}, {"status": 403})
    run = pipe({**MAIN, "BUILD_STATUS": "failed"}, None)
    assert (run.status, received.open, run.printed) == (0, ["branch/main"], [])
    assert "Its dedup key is bitbucket:acme/shop:branch/main:result unknown." in run.yellow


def test_an_alert_is_closed_by_hand_from_anywhere(pipe, received):
    pipe({**MAIN, **FAILS})
    key = received.only["dedup_key"]
    assert pipe({"EVENT_ACTION": "resolve", "DEDUP_KEY": key}, None).status == 0
    assert received.open == []


def test_a_change_event_follows_the_resolve_of_a_deployment_that_passed_and_its_failure_only_warns(
    pipe, sandbox, received
):
    assert pipe({**DEPLOYMENT, **PASSES, "CHANGE_EVENT": "true"}, ONE_DEPLOYMENT).status == 0
    assert received.sent == ["resolve deployment/production:step", "change"]
    assert sandbox.changes()[0]["payload"]["summary"] == "acme/shop: deployed to production on main (#812)"
    sandbox.fail_next({"delay": 0.01}, {"status": 400, "body": "no"})
    run = pipe({**DEPLOYMENT, **PASSES, "CHANGE_EVENT": "true"}, None)
    assert run.status == 0
    assert "The change event was not delivered: 400 no" in run.yellow


def test_a_change_event_alone_fails_no_step_unless_it_was_asked_for(pipe, sandbox, received):
    sandbox.fail_next({"status": 400, "body": "no", "times": 2})
    passed = {**DEPLOYMENT, **PASSES, "CHANGE_EVENT": "true"}
    run = pipe(passed)  # no file shows whose the alert is, so nothing resolves
    assert (run.status, run.red) == (0, [])
    assert "The change event was not delivered: 400 no" in run.yellow
    assert pipe({**passed, "EVENT_ACTION": "change"}).status == 1


# --- Bad input. -------------------------------------------------------------------------------------------------------


def test_all_variables_empty_is_the_same_as_absent(pipe, received):
    names = {variable.name for variable in VARIABLES} - {"INTEGRATION_KEY", "EVENTS_URL", "TIMEOUT"}
    empty = dict.fromkeys(
        [*names, "BITBUCKET_TAG", "BITBUCKET_PR_ID", "HTTPS_PROXY", "http_proxy", "REQUESTS_CA_BUNDLE"], ""
    )
    pipe({**MAIN, **FAILS})
    run = pipe({**MAIN, **empty, "BITBUCKET_EXIT_CODE": "2"})
    first, second = received.events
    assert {**first["payload"], "timestamp": ""} == {**second["payload"], "timestamp": ""}
    assert {**first, "payload": ""} == {**second, "payload": ""}
    assert run.yellow == ""


def test_variables_that_nobody_expanded_are_absent_and_told(pipe, received):
    unexpanded = {
        "SEVERITY": "$SEVERITY", "ALERT_NAME": "${NAME}", "BITBUCKET_BRANCH": "$BITBUCKET_BRANCH", "BITBUCKET_TAG": "$BITBUCKET_TAG",
        "BITBUCKET_ACCESS_TOKEN": "$BITBUCKET_ACCESS_TOKEN",
    }  # fmt: skip
    run = pipe({**MAIN, **FAILS, **unexpanded})
    assert (run.status, received.sent) == (0, ["trigger detached:step"])
    assert received.only["payload"]["severity"] == "error"
    assert unexpanded_ones(run) == ["ALERT_NAME", "SEVERITY"]  # of the token it is pipe.yml's own default


PROXIES = {name: f"${name}" for name in ("HTTPS_PROXY", "REQUESTS_CA_BUNDLE", "http_proxy")}


def test_a_proxy_variable_that_nobody_expanded_is_absent(pipe, received):
    run = pipe({**MAIN, **FAILS, **PROXIES})
    assert (run.status, received.sent) == (0, ["trigger branch/main:step"])


def test_a_proxy_variable_that_nobody_expanded_is_told(pipe):
    assert unexpanded_ones(pipe({**MAIN, **FAILS, **PROXIES})) == list(PROXIES)


def unexpanded_ones(run):
    return [line.split(" ")[0] for line in run.yellow.splitlines() if "is the unexpanded variable" in line]


def test_quotes_of_an_env_file_are_taken_off_with_a_warning(pipe, received):
    run = pipe({**MAIN, "EXIT_CODE": '"2"', "INTEGRATION_KEY": f"'{KEY}'", "ALERT_NAME": '"unit tests"'})
    assert (run.status, received.sent) == (0, ["trigger branch/main:step/unit tests"])
    assert run.yellow.count("has quotes around its value; they were taken off") == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEVERITY", "eror"), ("CUSTOM_DETAILS", '{"team": "pay'),
        ("BRANCHES", "[dev]"),
        ("LINKS", "no address"), ("REGION", "mars"),
    ],
)  # fmt: skip
def test_a_bad_optional_variable_never_costs_the_page(pipe, received, name, value):
    run = pipe({**MAIN, **FAILS, name: value})
    assert run.status == 1
    assert received.sent == ["trigger branch/main:step"]
    assert received.only["payload"]["severity"] == "error"
    (warning,) = received.details["pipe_warnings"]
    assert warning.startswith(f"{name.removesuffix('_COUNT')}: ")
    assert warning in run.yellow


def test_an_error_with_on_error_warn_says_so_and_exits_0(pipe, received):
    run = pipe({**MAIN, **FAILS, "SEVERITY": "eror", "ON_ERROR": "warn"})
    assert (run.status, received.actions) == (0, ["trigger"])
    assert 'SEVERITY: "eror" is not one of' in run.yellow
    run = pipe({**MAIN, "ON_ERROR": "warn", "INTEGRATION_KEY": "x"})
    assert (run.status, len(run.red)) == (0, 1)


WRONG_KEYS = [
    ({"INTEGRATION_KEY": ""}, "INTEGRATION_KEY: it is missing"),
    ({"INTEGRATION_KEY": f"https://events.pagerduty.com/integration/{KEY}/enqueue"}, "it is an address, not a key"),
    ({"EVENTS_URL": f"https://events.pagerduty.com/integration/{KEY}/enqueue"}, "it is an integration URL"),
    ({"EVENTS_URL": "", "REGION": "mars"}, 'REGION: "mars" is not one of us, eu'),
]


@pytest.mark.parametrize(("environ", "says"), WRONG_KEYS)
def test_where_a_page_cannot_be_sent_one_red_line_says_why_and_the_event_is_printed(pipe, received, environ, says):
    run = pipe({**MAIN, **FAILS, **environ})
    assert (run.status, received.events) == (1, [])
    (line,) = run.red
    assert says in line
    assert line.endswith("Nothing was sent.")
    (event,) = run.printed
    assert event["payload"]["summary"] == SUMMARY
    if "REGION" in environ:  # a guess would send data elsewhere
        assert "/v2/enqueue of your region, https://events.pagerduty.com or https://events.eu.pagerduty.com:" in run.log


def test_a_wrong_key_in_a_green_build_is_one_red_line_without_an_event(pipe):
    run = pipe({**MAIN, **PASSES, "INTEGRATION_KEY": "x"})
    assert (run.status, run.printed, len(run.red)) == (1, [], 1)
    assert "{" not in run.log


def test_a_key_with_spaces_around_it_pages_and_is_told(pipe, received):
    assert pipe({**MAIN, **FAILS, "INTEGRATION_KEY": f" {KEY} "}).status == 0
    assert received.only["routing_key"] == KEY
    assert "INTEGRATION_KEY has spaces around it" in received.details["pipe_warnings"][0]


def test_a_slip_in_a_name_is_told(pipe, received):
    run = pipe({**MAIN, **FAILS, "SEVERTY": "critical"})
    assert run.status == 0
    assert "SEVERTY is not a variable of this pipe; did you mean SEVERITY?" in run.yellow


@pytest.mark.parametrize("environ", [{}, {**dict.fromkeys(MAIN, ""), "EXIT_CODE": "0"}])
def test_an_environment_with_next_to_nothing_ends_in_one_red_line(pipe, received, environ):
    run = pipe({"INTEGRATION_KEY": "", **environ}, None)
    assert (run.status, received.events, len(run.red)) == (1, [], 1)


def test_without_a_repository_s_name_a_page_goes_out_without_a_key_and_a_resolve_does_not(pipe, received):
    nameless = {"CI": "true", "BITBUCKET_BRANCH": "main", **NAMED}
    pipe({**nameless, **FAILS})
    assert "dedup_key" not in received.only
    assert (
        received.details["resolves"] == "by hand: without BITBUCKET_REPO_FULL_NAME or DEDUP_KEY there is no dedup key"
    )
    run = pipe({**nameless, **PASSES})
    assert (run.status, received.actions) == (0, ["trigger"])
    assert "Not resolving: without BITBUCKET_REPO_FULL_NAME" in run.yellow


def test_values_that_are_not_utf8_page_all_the_same(pipe, received):
    broken = os.fsdecode(b"caf\xe9")
    assert pipe({**MAIN, **FAILS, "BITBUCKET_BRANCH": broken, "ALERT_NAME": broken, "SEVERITY": broken}).status == 1
    assert received.sent == ["trigger branch/caf\ufffd:step/caf\ufffd"]


NASTY = "\x1b[31mre\u202ed\x07\x9b"  # a colour, a mark that turns the reading order, a bell, half a sequence


def test_nothing_unseen_in_a_name_reaches_the_log_or_the_event(pipe, received):
    definition = (
        r"""pipelines: {default: [{step: {name: "Bu\e[31mild\u202e", script: [make], after-script: [%s]}}, %s]}"""
        % (pager(), step())
    )
    (pipe.clone / "bitbucket-pipelines.yml").write_text(definition)
    environ = {**MAIN, **FAILS, "ALERT_NAME": NASTY, "BITBUCKET_BRANCH": NASTY, "COMPONENT": NASTY, "SUMMARY": NASTY}
    pipe(environ, None)  # what is checked of every run
    assert received.sent == ["trigger branch/red:step/red"]
    run = pipe({**MAIN, **FAILS, "BRANCHES": "dev\u202e\x07"}, None)
    assert "branch main is not among BRANCHES (dev)" in run.yellow


def test_nothing_unseen_in_the_running_step_s_name_reaches_the_event(pipe, received):
    definition = (
        r"""pipelines: {default: [{step: {name: "Bu\e[31mild\u202e", script: [make], after-script: [%s]}}]}""" % pager()
    )
    pipe({**MAIN, **FAILS}, definition)
    assert received.details["step"] == "Build"


def test_where_the_file_does_not_show_the_step_the_page_names_none(pipe, received):
    imported = "pipelines: {default: [%s], custom: {nightly: {import: 'a:b:c'}}}" % step("Lint")
    in_a_script = "pipelines: {default: [{final: {name: Page, script: [%s]}}]}" % pager()
    for definition in (imported, in_a_script):
        received.sandbox.reset()
        pipe({**MAIN, **FAILS}, definition)
        assert received.page["payload"]["summary"] == "acme/shop: build failed on main (#812, exit code 2)"
        assert "step" not in received.details


def test_nothing_unseen_in_links_and_details_reaches_the_log_or_the_event(pipe, received):
    pipe(
        {
            **MAIN,
            **FAILS,
            "LINKS": f"Run{NASTY}book https://wiki/x{NASTY}",
            "CUSTOM_DETAILS": json.dumps({"a": [NASTY, "b\nc"]}),
        }
    )
    assert received.details["a"][1] == "b\nc"


# --- Limits. ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def restore_signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_two_megabytes_of_details_are_delivered_as_a_note(sandbox, received, capsys, restore_signals):
    environ = {**MAIN, **FAILS, "INTEGRATION_KEY": KEY, "EVENTS_URL": sandbox.url}
    details = json.dumps({"dump": "x" * 2_000_000})  # no process takes such a variable
    assert main({**environ, "CUSTOM_DETAILS": details}) == 0
    assert "left out" in received.details["note"]
    assert len(sandbox.requests[0].body) < 512_000


def test_patterns_that_take_for_ever_do_not_hold_up_the_page(pipe, received):
    definition = "pipelines: {branches: {'%s': [%s]}}" % ("**a" * 8 + "b", step())
    started = time.monotonic()
    run = pipe({**MAIN, **FAILS, "BRANCHES": "**a" * 8 + "b a/**", "BITBUCKET_BRANCH": "a/" * 60 + "a"}, definition)
    assert (run.status, received.actions) == (0, ["trigger"])
    assert time.monotonic() - started < 20


# --- Delivery. --------------------------------------------------------------------------------------------------------


def test_a_refused_page_is_quoted_advised_on_and_printed_whole(pipe, sandbox):
    sandbox.fail_next({"status": 400, "body": "Invalid routing key"})
    run = pipe({**MAIN, **FAILS})
    assert run.status == 1
    (line,) = run.red
    assert "The trigger event was not delivered: 400 Invalid routing key" in line
    assert "REGION" in line
    assert f"POST this as JSON to {pipe.url}/v2/enqueue" in run.log
    (event,) = run.printed
    assert event["routing_key"] == "…ee44"
    assert event["payload"]["summary"] == SUMMARY
    assert event["dedup_key"] == "bitbucket:acme/shop:branch/main:step"


def test_a_refused_resolve_is_one_line(pipe, sandbox):
    sandbox.fail_next({"status": 400, "body": "Invalid routing key"})
    run = pipe({**MAIN, **PASSES})
    assert (run.status, run.printed) == (1, [])
    (line,) = run.red
    assert line.startswith("✖ The resolve event was not delivered: 400 Invalid routing key")
    assert line.endswith("Its dedup key is bitbucket:acme/shop:branch/main:step.")
    assert "{" not in run.log


def test_a_throttled_event_is_tried_again(pipe, sandbox):
    sandbox.fail_next({"status": 429}, {"drop": True})
    run = pipe({**MAIN, **FAILS})
    assert run.status == 0
    assert [call.status for call in sandbox.requests] == [429, None, 202]
    assert "attempt 3: 202 Event processed" in run.log


def test_an_unreachable_server_ends_in_advice_and_the_whole_event(pipe, sandbox):
    sandbox.close()
    run = pipe({**MAIN, **FAILS, "TIMEOUT": "1"})
    assert run.status == 1
    assert "gave up after" in run.red[0]
    assert [event["event_action"] for event in run.printed] == ["trigger"]


def test_a_dry_run_prints_the_events_on_stdout_and_needs_no_key(pipe, received):
    run = pipe(
        {**MAIN, "BUILD_STATUS": "failed", "DRY_RUN": "true", "INTEGRATION_KEY": "", "REGION": "eu", "EVENTS_URL": ""}
    )
    assert (run.status, received.events, run.printed) == (0, [], [])
    events = [json.loads(line) for line in run.stdout.splitlines()]
    assert [(event["event_action"], short(event)) for event in events] == [
        ("trigger", "branch/main"),
        ("resolve", "branch/main:result unknown"),
    ]
    assert "https://events.eu.pagerduty.com/v2/enqueue" in run.log


# --- Secrets. ---------------------------------------------------------------------------------------------------------


def test_the_key_is_nowhere_with_debug_on(pipe, sandbox):
    sandbox.fail_next({"drop": True}, {"status": 400, "body": f"bad key {KEY}", "times": 9})
    run = pipe(
        {
            **MAIN,
            **FAILS,
            "DEBUG": "true",
            "TIMEOUT": "1",
            "SUMMARY": f"key {KEY}",
            "CUSTOM_DETAILS": json.dumps({KEY: KEY}),
        }
    )
    assert "DEBUG: " in run.log
    assert run.log.count("…ee44") > 3


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("BITBUCKET_BRANCH", f"x-{TOKEN}", "branch/x-****:step"),
        ("BITBUCKET_BRANCH", "-" * 990 + TOKEN, "branch/" + "-" * 160),
        ("BITBUCKET_TAG", f"x-{KEY}-y", "tag/x-…ee44-y:step"),
        ("BITBUCKET_BUILD_NUMBER", "https://u:hunter2hunter2@example.org/", "branch/main:step"),
    ],
)
def test_a_secret_in_a_build_s_variable_reaches_neither_a_key_nor_an_address(pipe, received, name, value, shown):
    run = pipe({**MAIN, **FAILS, "BITBUCKET_ACCESS_TOKEN": TOKEN, name: value})
    assert short(received.only).startswith(shown)
    assert f"dedup key {received.only['dedup_key']}, " in run.log
    text = json.dumps(received.only)
    assert "hunter2" not in text and TOKEN[:10] not in text


def test_modules_in_the_clone_are_not_imported(pipe, received):
    for name in ("json.py", "requests.py", "pipe.py", "sitecustomize.py", "yaml.py"):
        (pipe.clone / name).write_text("raise SystemExit('imported from the clone')")
    assert pipe({**MAIN, **FAILS}).status == 0
    assert received.actions == ["trigger"]


@pytest.mark.parametrize("redirect", [">&- 2>&-", ">/dev/full 2>&1"])
def test_a_closed_or_full_output_costs_no_page(pipe, received, redirect):
    command = ["sh", "-c", f'exec "$0" -m pipe {redirect}', sys.executable]
    environ = {**MAIN, **FAILS, "INTEGRATION_KEY": KEY, "EVENTS_URL": pipe.url, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=pipe.clone, env=environ, check=False)
    assert (run.returncode, received.actions) == (0, ["trigger"])


def test_where_whoever_starts_it_ignores_the_end_of_children_the_file_is_read_all_the_same(pipe, received):
    command = ["bash", "-c", 'trap "" CHLD; exec "$0" -m pipe', sys.executable]
    (pipe.clone / "bitbucket-pipelines.yml").write_text(ONE_STEP)
    environ = {**MAIN, "EXIT_CODE": "0", "INTEGRATION_KEY": KEY, "EVENTS_URL": pipe.url, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=pipe.clone, env=environ, check=False)
    assert (run.returncode, received.actions) == (0, ["resolve"])


def test_output_that_is_not_utf8_is_no_reason_to_fail(pipe, received):
    assert pipe({**MAIN, **FAILS, "PYTHONIOENCODING": "ascii", "ALERT_NAME": "prüfen"}).status == 0
    assert received.actions == ["trigger"]
