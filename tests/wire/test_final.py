"""A `final:` step with a token, end to end: a real process of the pipe, a local Bitbucket API, and the sandbox."""

from __future__ import annotations

import time

import pytest

from tests.bitbucket_api import BitbucketApi, Log, step, uuid_of
from tests.conftest import MAIN, STEP

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
        ([step("unit", "ERROR")], ["trigger"], '"unit" ended in an error'),
        ([step("unit", "EXPIRED")], ["trigger"], '"unit" expired'),
        ([step("unit", "STOPPED", stopped_by="Ada"), step("e2e", "NOT_RUN")], [], "Ada stopped the pipeline"),
        ([step("unit", "STOPPED"), step("e2e", "NOT_RUN")], ["trigger"], "names nobody who stopped it"),
        ([step("unit", "FAILED"), step("e2e", "STOPPED", stopped_by="Ada")], ["trigger"], '"unit" failed'),
        ([step("unit", "NOT_RUN"), step("e2e", "NOT_RUN")], [], "no other step of the pipeline ran"),
        ([ok(), step("e2e", "NOT_RUN")], [], '"e2e" did not run'),
        ([ok(), step("gate", "NOT_RUN")], ["resolve"], "passed"),
        ([ok(), step("other", "PENDING", trigger="manual")], ["resolve"], "passed"),
        ([ok(), step("style", "FAILED")], ["resolve"], "passed"),
        ([step("unit", "FAILED", run=1, uuid=uuid_of(7)), step("unit", "SUCCESSFUL", run=2, uuid=uuid_of(7))], ["resolve"], "passed"),
        ([ok(), step("[Final Step] page", "FAILED", uuid=OWN, run=1)], ["resolve"], "passed"),
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
        ({"delay": 60}, "no whole answer"),
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
    more = {"BITBUCKET_ACCESS_TOKEN": "", "ATLASSIAN_ACCOUNT_EMAIL": "ada@example.org", "ATLASSIAN_API_TOKEN": "ATATT3-api-token"}
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
        ({"outcome": "FAILED"}, {"BITBUCKET_STEP_RUN_NUMBER": "2"}, ["resolve"]),
    ],
)
def test_a_resolve_is_withheld_when_a_newer_build_of_the_same_ref_and_selector_failed(final, api, received, newer, environ, actions):
    api.pipeline(813, [step("unit", "FAILED")], **newer)
    run = final(ok(), **environ)
    assert received.actions == actions, run.log
    assert actions or "#813" in run.log


def test_a_trigger_is_never_withheld_and_carries_the_newer_build(final, api, received):
    api.pipeline(813, [ok()], outcome="SUCCESSFUL")
    final(step("unit", "FAILED"))
    assert received.only["event_action"] == "trigger"
    assert received.details["newer_build"].startswith("#813 SUCCESSFUL https://bitbucket.org/acme/shop/pipelines/results/813")


def test_when_newer_builds_cannot_be_seen_a_failure_pages_and_a_success_resolves_nothing(final, api, received):
    api.fault(r"sort=", times=1000, status=403)
    run = final(ok())
    assert (run.status, received.events) == (0, [])
    assert "it could not be seen whether a newer build failed" in run.log
    final(step("unit", "FAILED"))
    assert received.actions == ["trigger"]


# --- Where the API has no say. ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "actions"), [("1", ["trigger"]), ("0", ["resolve"])])
def test_in_an_after_script_the_api_neither_delays_nor_changes_what_the_exit_code_decided(final, api, received, code, actions):
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


def test_a_resolve_asked_for_in_a_final_step_of_a_failed_pipeline_sends_nothing(final, received):
    run = final(step("unit", "FAILED"), EVENT_ACTION="resolve")
    assert (run.status, received.events) == (0, [])
    assert "EVENT_ACTION is resolve, but Bitbucket says" in run.log


def test_another_pipeline_s_holder_withholds_the_resolve(final, received):
    definition = FINAL + "  custom:\n    nightly:\n      - step: {name: n, script: [make], after-script: [%s]}\n" % PAGER
    run = final(ok(), definition=definition, pipeline={"selector": ("branches", "main")})
    assert received.events == []
    assert '"n" in custom: nightly' in run.log


@pytest.mark.parametrize(
    ("environ", "pipeline"),
    [({**STEP, "BITBUCKET_TAG": "v1"}, {"ref": "v1", "ref_type": "tag", "selector": ("tags", "v*")}),
     ({**MAIN, "BITBUCKET_DEPLOYMENT_ENVIRONMENT": "production"}, {})],
)  # fmt: skip
def test_tags_and_deployments_do_not_look_for_newer_builds(final, api, received, environ, pipeline):
    api.pipeline(813, [step("unit", "FAILED")], outcome="FAILED", **pipeline)
    final(ok(), environ=environ, definition=None, pipeline=pipeline)
    assert received.actions == ["resolve"]


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


def test_of_two_namesakes_it_is_not_known_which_one_was_run_again(final, received):
    twins = FINAL.replace("name: e2e", "name: unit")
    run = final(step("unit", "FAILED", run=1), step("unit", "SUCCESSFUL", run=2), definition=twins)
    assert run.status == 1
    assert received.only["payload"]["severity"] == "warning"
    assert '"unit" failed and passed' in received.details["reason"]


def test_a_failed_step_beyond_the_first_page_is_seen_without_a_next_link(final, api, received):
    api.next_origin, api.page_length = None, 50
    final(*(ok(f"s{n}") for n in range(51)), step("last", "FAILED"))
    assert received.details["failed_steps"] == ["last"]


def test_an_odd_step_does_not_hide_a_failed_one(final, received):
    odd = step("odd")
    odd.override["state"] = None
    final(step("unit", "FAILED"), odd)
    assert received.only["payload"]["severity"] == "error"


@pytest.mark.parametrize(("outcome", "severity"), [("FAILED", ["error"]), ("ERROR", ["error"]), ("PAUSED_FOR_EVER", ["warning"])])
def test_the_pipeline_s_own_result_is_never_contradicted(final, received, outcome, severity):
    final(ok(), pipeline={"outcome": outcome})
    assert [event["payload"]["severity"] for event in received.events] == severity


@pytest.mark.parametrize(("others", "actions"), [([step("unit", "FAILED")], ["trigger"]), ([ok()], ["resolve"])])
def test_an_exit_code_of_0_from_a_final_step_s_after_script_is_not_the_pipeline_s(final, received, others, actions):
    definition = FINAL.replace("script: [%s]" % PAGER, "script: [make], after-script: [%s]" % PAGER)
    run = final(*others, definition=definition, EXIT_CODE="0")
    assert received.actions == actions
    assert "Bitbucket is asked instead" in run.log


def test_a_resolve_asked_for_is_withheld_where_a_step_did_not_run(final, received):
    final(ok(), step("e2e", "NOT_RUN"), EVENT_ACTION="resolve")
    assert received.events == []


def test_who_stopped_an_earlier_run_did_not_stop_this_one(final, received):
    uuid = uuid_of("again")
    final(step("unit", "STOPPED", run=1, stopped_by="Ada", uuid=uuid), step("unit", "STOPPED", run=2, uuid=uuid))
    assert received.actions == ["trigger"]
