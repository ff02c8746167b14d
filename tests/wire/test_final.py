"""A `final:` step with a token, end to end: a real process of the pipe, a local Bitbucket API, and the sandbox."""

from __future__ import annotations

import json
import time

import pytest

from tests.bitbucket_api import BitbucketApi, Log, step, uuid_of
from tests.conftest import MAIN, Received

TOKEN = "ATCTT3xFfGN0-a-token-of-the-repository"
OWN = MAIN["BITBUCKET_STEP_UUID"]

PAGER = "{pipe: acme/pagerduty-events:1.0.0, variables: {INTEGRATION_KEY: $K, BITBUCKET_ACCESS_TOKEN: $T}}"
FINAL = """
pipelines:
  branches:
    main:
      - step: {name: unit, script: [make]}
      - step: {name: e2e, script: [make]}
      - step: {name: style, on-fail: {strategy: ignore}, script: [make]}
      - step: {name: gate, trigger: manual, script: [make]}
      - final: {name: page, script: [%s]}
""" % PAGER  # fmt: skip
AFTER_SCRIPT = "pipelines: {branches: {main: [{step: {name: unit, script: [make], after-script: [%s]}}]}}" % PAGER


UNKNOWN = "bitbucket:acme/shop:branch/main:result unknown"


class Spoken:
    """The events about the build; the resolve of `:result unknown` that follows each known result is apart."""

    def __init__(self, received):
        self.received = received

    @property
    def events(self):
        return [
            e
            for e in self.received.events
            if (e["event_action"], e["dedup_key"][-15:]) != ("resolve", ":result unknown")
        ]

    @property
    def closing(self):
        return [event["dedup_key"] for event in self.received.events if event not in self.events]

    @property
    def actions(self):
        return [event["event_action"] for event in self.events]

    @property
    def only(self):
        assert len(self.events) == 1, self.actions
        return self.events[0]

    @property
    def details(self):
        return self.only["payload"]["custom_details"]


@pytest.fixture
def received(sandbox):
    return Spoken(Received(sandbox))


@pytest.fixture
def api():
    with BitbucketApi(token=TOKEN, email="ada@example.org", api_token="ATATT3-api-token") as running:
        yield running


@pytest.fixture
def final(pipe, api):
    """Runs the pipe in the final step of a pipeline with these other steps."""

    def run(*others, environ=MAIN, definition=FINAL, own="IN_PROGRESS", pipeline=None, **more):
        api.pipelines[:] = [kept for kept in api.pipelines if kept.number != 812]
        steps = [*others, step("[Final Step] page", own, uuid=OWN)]
        api.pipeline(812, steps, uuid=MAIN["BITBUCKET_PIPELINE_UUID"], **(pipeline or {}))
        environ = {**environ, "BITBUCKET_API_URL": api.url, "BITBUCKET_ACCESS_TOKEN": TOKEN, **more}
        found = pipe(environ, definition)
        assert TOKEN not in found.log
        return found

    return run


def ok(name="unit"):
    return step(name, "SUCCESSFUL")


@pytest.mark.parametrize(
    ("others", "actions", "says"),
    [
        ([ok(), ok("e2e")], ["resolve"], "every other step that ran passed"),
        ([step("unit", "FAILED"), step("e2e", "NOT_RUN")], ["trigger"], '"unit" failed'),
        ([step("unit", "ERROR")], ["trigger"], '"unit" failed'),
        ([step("unit", "SYSTEM_ERROR")], ["trigger"], '"unit" failed'),
        ([step("unit", "USER_ERROR")], ["trigger"], '"unit" failed'),
        ([step("unit", "EXPIRED")], ["trigger"], '"unit" expired'),
        ([step("unit", "STOPPED"), step("e2e", "NOT_RUN")], [], 'stopped the pipeline at "unit"'),
        ([step("unit", "STOPPED", error="Step exceeded its time limit")], ["trigger"], "stopped by an error"),
        ([step("unit", "FAILED"), step("e2e", "STOPPED", stopped_by="Ada")], ["trigger"], '"unit" failed'),
        ([step("unit", "NOT_RUN"), step("e2e", "NOT_RUN")], [], "no other step of the pipeline ran"),
        ([ok(), step("e2e", "NOT_RUN")], ["resolve"], "passed"),
        ([ok(), step("e2e", "SKIPPED")], ["resolve"], "passed"),
        ([ok(), step("gate", "PENDING", stage="PAUSED"), step("behind", "PENDING")], ["resolve"], "passed"),
        ([ok(), step("gate", "PENDING", stage="HALTED")], ["resolve"], "passed"),
        ([ok(), step("style", "FAILED")], ["resolve"], "passed"),
        ([step(None, "SUCCESSFUL", run=None)], ["resolve"], "passed"),
        ([step(None, "FAILED", run=None)], ["trigger"], "an unnamed step"),
        ([step("unit", "IN_PROGRESS", after=1, becomes="FAILED")], ["trigger"], '"unit" failed'),
        ([ok(), step("e2e", "IN_PROGRESS", after=1, becomes="SUCCESSFUL")], ["resolve"], "passed"),
        ([ok(), step("e2e", "EXPLODED")], ["trigger"], "which the pipe does not know"),
    ],
)  # fmt: skip
def test_the_other_steps_decide(final, received, others, actions, says):
    run = final(*others)
    assert received.actions == actions, run.log
    assert says in run.log
    unknown = "does not know" in says
    assert run.status == int(unknown)
    if actions == ["trigger"]:
        assert (received.only["payload"]["severity"] == "warning") is unknown


def test_the_failing_steps_are_named_and_the_first_is_linked(final, received):
    broken = uuid_of("broken")
    final(step("integration tests", "FAILED", uuid=broken), step("lint", "FAILED"), ok())
    assert received.only["payload"]["summary"] == 'acme/shop: "integration tests" and 1 more failed on main (#812)'
    assert received.details["failed_steps"] == ["integration tests", "lint"]
    assert received.only["links"][0]["text"] == "Failed step"
    assert received.only["links"][0]["href"].endswith(f"/steps/%7B{broken.strip('{}')}%7D")


def test_a_step_that_never_ends_is_unknown_after_the_budget(final, received):
    started = time.monotonic()
    run = final(ok(), step("e2e", "IN_PROGRESS"))
    assert 8 < time.monotonic() - started < 18
    assert run.status == 1
    assert received.only["payload"]["severity"] == "warning"
    assert '"e2e" had not finished' in received.details["reason"]


def test_a_failure_does_not_wait_for_the_rest(final, received):
    started = time.monotonic()
    final(step("unit", "FAILED"), step("e2e", "IN_PROGRESS"))
    assert received.actions == ["trigger"]
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"status": 401}, "401"),
        ({"status": 403}, "Pipelines: Read"),
        ({"status": 404}, "404"),
        ({"status": 429, "headers": {"Retry-After": "600"}}, "429"),
        ({"status": 503}, "503"),
        ({"delay": 60}, "no answer in time"),
        ({"body": b"<html>"}, ""),
        ({"body": b"[]"}, ""),
        ({"drop": "before"}, ""),
    ],
)
def test_what_cannot_be_read_pages_a_warning_with_the_reason(final, api, received, fault, says):
    api.fault("pipelines/", times=1000, **fault)
    started = time.monotonic()
    run = final(ok())
    assert time.monotonic() - started < 20
    assert run.status == 1
    assert received.only["dedup_key"].endswith(":result unknown")
    assert says in received.details["reason"]
    assert received.details["reason"].split(". ")[0] in run.log


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"BITBUCKET_ACCESS_TOKEN": "ATCTT3-an-expired-token"}, "Renew BITBUCKET_ACCESS_TOKEN, with the scope Pipelines: Read"),
        ({"BITBUCKET_ACCESS_TOKEN": "", "ATLASSIAN_ACCOUNT_EMAIL": "ada@example.org", "ATLASSIAN_API_TOKEN": "ATATT3-wrong"},
         "Renew ATLASSIAN_API_TOKEN, with the scope read:pipeline:bitbucket"),
    ],
)  # fmt: skip
def test_an_expired_token_is_told_with_what_to_renew(final, received, more, says):
    run = final(ok(), **more)
    assert run.status == 1
    assert says in received.details["reason"]
    assert says in run.log


def test_an_api_token_is_as_good_as_an_access_token(final, received):
    more = {
        "BITBUCKET_ACCESS_TOKEN": "",
        "ATLASSIAN_ACCOUNT_EMAIL": "ada@example.org",
        "ATLASSIAN_API_TOKEN": "ATATT3-api-token",
    }
    final(ok(), **more)
    assert received.actions == ["resolve"]


# --- Out of order. ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("newer", "environ", "actions"),
    [
        ({"outcome": "FAILED"}, {}, []),
        ({"outcome": "SUCCESSFUL"}, {}, ["resolve"]),
        ({"outcome": "IN_PROGRESS"}, {}, ["resolve"]),
        ({"outcome": "FAILED", "ref": "dev"}, {}, ["resolve"]),
        ({"outcome": "FAILED", "selector": ("custom", "nightly")}, {}, ["resolve"]),
        ({"outcome": "FAILED"}, {"BITBUCKET_STEP_RUN_NUMBER": "2"}, []),
    ],
)
def test_a_resolve_is_withheld_when_a_newer_build_of_the_same_ref_and_selector_failed(
    final, api, received, newer, environ, actions
):
    api.pipeline(813, [step("unit", "FAILED")], **newer)
    run = final(ok(), **environ)
    assert received.actions == actions, run.log
    assert actions or "#813" in run.log


def test_a_trigger_is_never_withheld_and_carries_the_newer_build(final, api, received):
    api.pipeline(813, [ok()], outcome="SUCCESSFUL")
    final(step("unit", "FAILED"))
    assert received.only["event_action"] == "trigger"
    assert received.details["newer_build"].startswith(
        "#813 SUCCESSFUL https://bitbucket.org/acme/shop/pipelines/results/813"
    )


def test_when_newer_builds_cannot_be_seen_a_failure_pages_and_a_success_resolves_nothing(final, api, received):
    api.fault(r"sort=", times=1000, status=403)
    run = final(ok())
    assert (run.status, received.events) == (0, [])
    assert "the other builds could not be seen" in run.log
    final(step("unit", "FAILED"))
    assert received.actions == ["trigger"]


# --- Where the API has no say. ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "actions"), [("1", ["trigger"]), ("0", ["resolve"])])
def test_in_an_after_script_the_api_neither_delays_nor_changes_what_the_exit_code_decided(
    final, api, received, code, actions
):
    api.fault("", times=1000, delay=60)
    started = time.monotonic()
    run = final(ok(), definition=AFTER_SCRIPT, EXIT_CODE=code)
    assert (run.status, received.actions) == (0, actions)
    assert api.requests == []
    assert time.monotonic() - started < 5


def test_an_after_script_whose_exit_code_is_missing_does_not_take_the_other_steps_for_its_own(final, received):
    run = final(ok("build"), definition=AFTER_SCRIPT)
    assert run.status == 1
    assert received.only["payload"]["severity"] == "warning"
    assert "this step's own exit code is missing" in received.details["reason"]


def test_a_step_that_is_alone_cannot_judge_itself(final, received):
    assert final().status == 1
    assert received.only["payload"]["severity"] == "warning"


def test_an_explicit_action_is_the_user_s_word_and_asks_bitbucket_nothing(final, api, received):
    run = final(step("unit", "FAILED"), EVENT_ACTION="resolve")
    assert (run.status, received.actions, api.requests) == (0, ["resolve"], [])


# --- The log's tail. --------------------------------------------------------------------------------------------------


def test_the_log_s_tail_is_fetched_by_range_cleaned_and_masked(final, api, received):
    end = b"start\r\n\x1b[31m10%\r50%\r100%\x1b[0m\nsecret " + TOKEN.encode() + b"\nassert 3 == 4\n"
    run = final(step("unit", "FAILED", log=Log(500_000_000, end)), LOG_LINES="3")
    assert received.details["log_tail"].splitlines() == ["100%", "secret ****", "assert 3 == 4"]
    assert [request.headers["range"] for request in api.storage.requests] == ["bytes=-65536"]
    assert api.storage.requests[0].authorization is None
    assert run.status == 0


def test_without_log_lines_no_log_is_fetched(final, api, received):
    final(step("unit", "FAILED", log=b"x\n"))
    assert "log_tail" not in received.details
    assert api.storage.requests == []


def test_a_log_that_cannot_be_read_costs_a_warning_not_the_page(final, api, received):
    api.fault("/log", times=1000, delay=60)
    started = time.monotonic()
    run = final(step("unit", "FAILED", log=b"x\n"), LOG_LINES="3")
    assert run.status == 0
    assert "The log's tail could not be read" in received.details["pipe_warnings"][0]
    assert time.monotonic() - started < 6


def test_a_failed_step_beyond_the_first_page_is_seen_without_a_next_link(final, api, received):
    api.next_origin, api.page_length = None, 50
    final(*(ok(f"s{n}") for n in range(51)), step("last", "FAILED"))
    assert received.details["failed_steps"] == ["last"]


def test_an_odd_step_does_not_hide_a_failed_one(final, received):
    odd = step("odd")
    odd.override["state"] = None
    final(step("unit", "FAILED"), odd)
    assert received.only["payload"]["severity"] == "error"


@pytest.mark.parametrize(
    ("outcome", "severity"), [("FAILED", ["error"]), ("ERROR", ["error"]), ("PAUSED_FOR_EVER", ["warning"])]
)
def test_the_pipeline_s_own_result_is_never_contradicted(final, received, outcome, severity):
    final(ok(), pipeline={"outcome": outcome})
    assert [event["payload"]["severity"] for event in received.events] == severity


@pytest.mark.parametrize(("others", "actions"), [([step("unit", "FAILED")], ["trigger"]), ([ok()], ["resolve"])])
def test_an_exit_code_of_0_from_a_final_step_s_after_script_is_not_the_pipeline_s(final, received, others, actions):
    definition = FINAL.replace("script: [%s]" % PAGER, "script: [make], after-script: [%s]" % PAGER)
    run = final(*others, definition=definition, EXIT_CODE="0")
    assert received.actions == actions
    assert run.status == 0


# --- Cases that must come out right. ----------------------------------------------------------------------------------


def statuses(sandbox):
    return {
        incident["dedup_key"].removeprefix("bitbucket:acme/shop:"): incident["status"]
        for incident in sandbox.incidents()
    }


def test_with_conditions_every_build_skips_something_and_a_failure_is_resolved_and_the_next_one_pages(
    final, api, sandbox
):
    run = final(step("API tests", "FAILED"), step("Web tests", "SKIPPED"))
    resolves = json.loads(sandbox.requests[0].body)["payload"]["custom_details"]["resolves"]
    assert resolves.startswith(
        'by a green run of this pipeline on main in which "API tests" ran; until then no failure'
    )
    assert run.status == 0
    api.pipeline(811, [step("API tests", "FAILED"), step("Web tests", "SKIPPED")], outcome="FAILED")
    final(step("API tests", "SUCCESSFUL"), step("Web tests", "SKIPPED"))
    assert statuses(sandbox)["branch/main"] == "resolved"
    final(step("API tests", "SKIPPED"), step("Web tests", "FAILED"))
    assert [incident["status"] for incident in sandbox.incidents() if incident["dedup_key"].endswith("main")] in (
        ["triggered", "resolved"],
        ["resolved", "triggered"],
    )


def test_a_failed_manual_deploy_is_not_resolved_by_a_push_that_waits_at_its_gate(final, api, received):
    api.pipeline(811, [step("build", "SUCCESSFUL"), step("deploy", "FAILED")], outcome="FAILED")
    run = final(step("build", "SUCCESSFUL"), step("deploy", "PENDING", stage="PAUSED"))
    assert received.events == []
    assert 'WARNING: Not resolving: "deploy" did not run, and failed when it last ran (#811).' in run.log
    final(step("build", "SUCCESSFUL"), step("deploy", "SUCCESSFUL"))
    assert received.actions == ["resolve"]


def test_a_token_that_expires_and_is_renewed_leaves_no_alert_open(final, sandbox):
    expired = {"BITBUCKET_ACCESS_TOKEN": "ATCTT3-expired-long-ago"}
    assert final(ok(), **expired).status == 1
    assert final(step("unit", "FAILED"), **expired).status == 1
    assert statuses(sandbox) == {"branch/main:result unknown": "triggered"}
    assert final(ok()).status == 0
    assert set(statuses(sandbox).values()) == {"resolved"}
    final(ok(), **expired)
    assert [incident["status"] for incident in sandbox.incidents()].count("triggered") == 1


def test_every_known_result_closes_the_alert_about_the_pipe_s_sight(final, received):
    final(step("unit", "FAILED"))
    assert received.closing == [UNKNOWN]


def test_a_failed_build_that_a_newer_one_has_overtaken_says_so_in_its_title(final, api, received):
    api.pipeline(813, [ok()], outcome="SUCCESSFUL")
    final(step("unit", "FAILED"))
    assert received.only["payload"]["summary"] == 'acme/shop: "unit" failed on main (#812; newer #813 passed)'
