"""A run that `triggers: pipeline-completed` started, end to end: it is told how another pipeline ended.

The pager runs in the custom pipeline `pagerduty`; every pipeline that ends is told to it.
"""

from __future__ import annotations

import time

import pytest

from sandbox import Sandbox
from tests.bitbucket_api import step, uuid_of
from tests.conftest import MAIN, ROOT, TOKEN, Pipe, Received, bitbucket_api, short

RECIPE = (ROOT / "tests/pipelines/told-recipe.yml").read_text()
OWN = uuid_of("the pager's own pipeline")
PAGES = ["trigger branch/main", "resolve branch/main:result unknown"]
RESOLVES = ["resolve branch/main", "resolve branch/main:result unknown"]
NO_TOKEN = {"BITBUCKET_ACCESS_TOKEN": ""}
EXPIRED = {"BITBUCKET_ACCESS_TOKEN": "ATCTT3-an-expired-token"}
REFUSED = {"status": 400, "body": "no"}


def ok(name="unit"):
    return step(name, "SUCCESSFUL")


def told_of(api, ended, status="", environ=MAIN, **more):
    """The environment of a pager that is told of this pipeline."""
    selector = ended.target["selector"]
    trigger = {
        "STATUS": status or ended.outcome,
        "UUID": ended.uuid,
        "SELECTOR_TYPE": selector["type"],
        "SELECTOR_PATTERN": selector.get("pattern", ""),
    }
    environ = {**environ, "BITBUCKET_BUILD_NUMBER": "900", "BITBUCKET_PIPELINE_UUID": OWN}
    environ |= {f"BITBUCKET_TRIGGER_PIPELINE_{name}": value for name, value in trigger.items()}
    return {**environ, "BITBUCKET_API_URL": api.url, "BITBUCKET_ACCESS_TOKEN": TOKEN, **more}


@pytest.fixture
def told(pipe, api):
    """Tells a pager of a pipeline that ended."""
    api.pipeline(900, [step("PagerDuty", "IN_PROGRESS")], uuid=OWN, selector=("custom", "pagerduty"))

    def run(ended, status="", definition=RECIPE, **more):
        return pipe(told_of(api, ended, status, **more), definition)

    return run


@pytest.fixture(scope="module", autouse=True)
def slow(tmp_path_factory):
    """Two runs of which Bitbucket's API is silent until the budget is over: told of a failure, and of a success. They
    begin before the tests of this file and are looked at behind them, so that nobody waits for them."""
    running = {}
    with bitbucket_api() as api:
        api.fault("", times=1000, delay=60)
        with Sandbox() as of_failure, Sandbox() as of_success:
            for outcome, sandbox in (("FAILED", of_failure), ("SUCCESSFUL", of_success)):
                pipe = Pipe(tmp_path_factory.mktemp("clone"), sandbox)
                environ = told_of(api, api.pipeline(812, [], outcome=outcome), BRANCHES="release/*")
                running[outcome] = (pipe, pipe.start(environ, RECIPE), Received(sandbox), time.monotonic())
            yield running
            for _, process, _, _ in running.values():
                process.kill()


# --- With a token. ----------------------------------------------------------------------------------------------------


def test_a_failure_pages_about_the_pipeline_that_ended_and_links_to_it_not_to_the_pager_s_own_run(told, api, received):
    ended = api.pipeline(
        812, [ok("build"), step("unit", "FAILED", uuid=uuid_of("unit"))], outcome="FAILED", message="Break it"
    )
    run = told(ended)
    assert (run.status, received.sent) == (0, PAGES)
    assert received.page["payload"]["summary"] == 'acme/shop: "unit" failed on main (#812)'
    page = "https://bitbucket.org/acme/shop/pipelines/results/%7B" + ended.uuid.strip("{}") + "%7D"
    assert received.page["client_url"] == page
    assert [link["href"] for link in received.page["links"]][:2] == [
        f"{page}/steps/%7B{uuid_of('unit').strip('{}')}%7D",
        page,
    ]
    assert received.details["resolves"] == (
        "by a green run of this pipeline on main, if a condition under triggers is met by it; "
        "until then no failure of this pipeline on main pages again"
    )
    assert (received.details["build_number"], received.details["commit_message"]) == (812, "Break it")
    for own in ("900", OWN.strip("{}"), MAIN["BITBUCKET_COMMIT"], MAIN["BITBUCKET_STEP_UUID"].strip("{}")):
        assert own not in str(received.events)


@pytest.mark.parametrize("word", ["SUCCESSFUL", "passed"])
def test_a_success_resolves_whatever_bitbucket_calls_it(told, api, received, word):
    run = told(api.pipeline(812, [ok()], outcome="SUCCESSFUL"), word)
    assert (run.status, received.sent) == (0, RESOLVES)


@pytest.mark.parametrize(
    ("ended", "status", "sent", "says"),
    [
        ({"outcome": "STOPPED", "stopped_by": "Ada"}, "", [], "Sending nothing: Bitbucket says that the pipeline ended as STOPPED."),
        ({"outcome": "STOPPED"}, "", PAGES, "Bitbucket names nobody who stopped it"),
        ({"outcome": "FAILED", "error": "Container 'Build' exceeded memory limit."}, "SUCCESSFUL", PAGES, "the pipeline ended as FAILED"),
        ({"outcome": "FAILED"}, "PAUSED", PAGES, "the pipeline ended as FAILED"),
        ({"outcome": "SUCCESSFUL"}, "PAUSED", ["trigger branch/main:result unknown"], "ended as PAUSED, which the pipe does not know"),
    ],
)  # fmt: skip
def test_what_bitbucket_s_api_makes_of_the_status(told, api, received, ended, status, sent, says):
    run = told(api.pipeline(812, [ok()], **ended), status)
    assert (run.status, received.sent) == (0, sent)
    assert says in run.log


@pytest.mark.parametrize(
    ("status", "sent", "title"),
    [
        ("SUCCESSFUL", RESOLVES, "acme/shop: build passed on main (#812)"),
        ("FAILED", PAGES, 'acme/shop: "unit" failed on main (#812)'),
    ],
)
def test_bitbucket_s_lists_may_say_a_moment_later_that_it_ended(told, api, received, status, sent, title):
    ended = api.pipeline(812, [step("unit", "IN_PROGRESS", after=2, becomes=status)])
    run = told(ended, status)
    assert (run.status, received.sent) == (0, sent)
    assert received.events[0]["payload"]["summary"] == title
    assert "Steps that have not finished: 1; looking again in 1.0 s." in run.log


@pytest.mark.parametrize(
    ("ended", "status", "sent", "says"),
    [
        ({"outcome": "STOPPED"}, "", PAGES, "Bitbucket names nobody who stopped it"),
        ({"outcome": "FAILED"}, "SUCCESSFUL", PAGES, "the pipeline ended as FAILED"),
        ({"outcome": "FAILED"}, "PAUSED", PAGES, "the pipeline ended as FAILED"),
        ({"outcome": "SUCCESSFUL"}, "", ["resolve branch/main:result unknown"], "Not resolving: "),
    ],
)
@pytest.mark.parametrize("trouble", [404, 403])
def test_where_the_steps_cannot_be_read_what_the_pipeline_says_counts(
    told, api, received, trouble, ended, status, sent, says
):
    made = api.pipeline(812, [ok()], **ended)
    api.fault("/steps", status=trouble, times=9)
    run = told(made, status)
    assert (run.status, received.sent) == (int(trouble == 403), sent)
    assert says in run.log
    assert str(trouble) in run.log


def test_a_told_run_that_a_filter_keeps_out_does_not_fail_for_a_bad_value(told, api, received):
    own = api.pipeline(
        812, [step("PagerDuty", "FAILED")], outcome="FAILED", selector=("custom", "pagerduty"), ref="dev"
    )
    run = told(own, BRANCHES="main", SEVERITY="x")
    assert (run.status, received.sent) == (0, [])
    assert "branch dev is not among BRANCHES" in run.yellow


def test_where_the_file_shows_no_triggers_the_pager_s_own_pipeline_is_known_by_the_api(told, api, received):
    own = api.pipeline(812, [step("PagerDuty", "FAILED")], outcome="FAILED", selector=("custom", "pagerduty"))
    run = told(own, definition=RECIPE[RECIPE.index("\npipelines:") :])
    assert run.status == 0
    assert "by hand: it is about a pipeline that may be the pager's own" in received.details["resolves"]


def test_a_success_that_was_overtaken_or_left_a_failed_step_out_resolves_nothing(told, api, received):
    api.pipeline(811, [ok(), step("e2e", "FAILED")], outcome="FAILED")
    ended = api.pipeline(812, [ok(), step("e2e", "SKIPPED")], outcome="SUCCESSFUL")
    assert 'Not resolving: "e2e" did not run, and failed when it last ran (#811)' in told(ended).yellow
    api.pipeline(813, [step("e2e", "FAILED")], outcome="FAILED")
    assert "Not resolving: the newer build #813 did not pass" in told(ended).yellow
    assert received.actions == ["resolve", "resolve"]
    assert {short(event) for event in received.events} == {"branch/main:result unknown"}


@pytest.mark.parametrize("name", ["", "build"])
def test_a_nightly_and_a_push_build_of_main_are_two_alerts_and_each_is_resolved_by_its_own(told, api, received, name):
    definition = RECIPE + "    nightly: [{step: {name: Nightly, script: [make]}}]\n"
    behind = f":name/{name}" if name else ""
    push, nightly = {"selector": ("branches", "main")}, {"selector": ("custom", "nightly")}
    story = [
        (nightly, "FAILED", ["branch/main:custom/nightly"]),
        (push, "FAILED", ["branch/main:custom/nightly", "branch/main"]),
        (push, "SUCCESSFUL", ["branch/main:custom/nightly"]),
        (nightly, "SUCCESSFUL", []),
    ]
    for number, (which, outcome, open_then) in enumerate(story, 812):
        ended = api.pipeline(number, [step("unit", outcome)], outcome=outcome, **which)
        assert told(ended, definition=definition, ALERT_NAME=name).status == 0
        assert received.open == [key + behind for key in open_then]


@pytest.mark.parametrize(
    ("ended", "environ", "kept_back"),
    [
        ({"ref": "dev", "selector": ("default", "")}, {}, "branch dev is not among BRANCHES (main)"),
        ({"ref": "fix", "pull_request": 42, "selector": ("pull-requests", "**")}, {}, "this is a pull-request run, and PULL_REQUESTS is false"),
        ({"ref": "fix", "pull_request": None, "selector": ("pull-requests", "**")}, {}, "this is a pull-request run, and PULL_REQUESTS is false"),
        ({"ref": "v1.0", "ref_type": "tag", "selector": ("tags", "v*")}, {"TAGS": "web-*"}, "tag v1.0 is not among TAGS (web-*)"),
    ],
)  # fmt: skip
def test_the_filters_are_about_the_pipeline_that_ended_not_about_the_pager(
    told, api, received, ended, environ, kept_back
):
    run = told(api.pipeline(812, [step("unit", "FAILED")], outcome="FAILED", **ended), BRANCHES="main", **environ)
    assert (run.status, received.events) == (0, [])
    assert f"Sending nothing: {kept_back}. But it failed: " in run.yellow


def test_nothing_unseen_in_a_branch_reaches_the_log_or_the_event(told, api, received):
    told(api.pipeline(812, [step("unit", "FAILED")], outcome="FAILED", ref="fix\u202e", selector=("branches", "**")))
    # what is checked of every run
    assert received.sent[0] == "trigger branch/fix"


# --- Without a token, or with an API that does not answer. ------------------------------------------------------------


def test_a_secret_in_a_branch_s_or_a_pipeline_s_name_reaches_no_key(told, api, received):
    told(api.pipeline(812, [ok()], outcome="FAILED", ref=f"x-{TOKEN}", selector=("custom", f"n-{TOKEN}")))
    assert received.sent == ["trigger branch/x-****:custom/n-****", "resolve branch/x-****:result unknown"]


def test_a_failure_without_a_token_pages_by_hand_and_no_filter_keeps_it_back(told, api, received):
    run = told(api.pipeline(812, outcome="FAILED"), BRANCHES="release/*", TAGS="v*", **NO_TOKEN)
    assert (run.status, api.requests) == (0, [])
    assert received.only["payload"]["severity"] == "error"
    assert received.details["resolves"].startswith("by hand: on which ref that pipeline ran is only known with a token")
    assert "This alert will not resolve by itself: on which ref that pipeline ran" in run.yellow
    assert received.only["client_url"].endswith("/pipelines/results/%7B" + uuid_of("pipeline", 812).strip("{}") + "%7D")


@pytest.mark.parametrize("status", ["SUCCESSFUL", "STOPPED"])
def test_a_success_or_a_stop_without_a_token_sends_nothing(told, api, received, status):
    run = told(api.pipeline(812, outcome=status), **NO_TOKEN)
    assert (run.status, received.events) == (0, [])
    assert ("Not resolving: on which ref that pipeline ran is only known with a token" in run.yellow) is (
        status == "SUCCESSFUL"
    )


def test_a_failure_with_an_expired_token_pages_as_a_failure_and_exits_1(told, api, received):
    run = told(api.pipeline(812, outcome="FAILED"), BRANCHES="release/*", **EXPIRED)
    assert run.status == 1
    assert received.only["payload"]["severity"] == "error"
    assert "failed" in received.only["payload"]["summary"]
    assert received.details["resolves"].startswith("by hand: ")
    (said,) = received.details["pipe_warnings"]
    assert said.startswith("Bitbucket refused the token (401): ")
    assert "Renew BITBUCKET_ACCESS_TOKEN" in said
    assert said.rstrip(".") in run.log


@pytest.mark.parametrize(
    ("where", "fault", "status"),
    [
        ("/steps", {"status": 404}, 0),
        ("sort=", {"status": 403}, 1),
    ],
)
def test_a_success_of_which_something_cannot_be_seen_resolves_nothing(told, api, received, where, fault, status):
    api.fault(where, times=1000, **fault)
    run = told(api.pipeline(812, [ok()], outcome="SUCCESSFUL"))
    assert run.status == status
    assert "resolve branch/main" not in received.sent
    assert "Not resolving: " in run.yellow


# --- When it exits 1, and where it ends. ------------------------------------------------------------------------------


def test_what_is_wrong_beside_the_page_is_said_but_does_not_fail_the_pager_s_own_pipeline(told, api, received):
    run = told(api.pipeline(812, outcome="FAILED"), SEVERITY="eror")
    assert (run.status, received.sent) == (0, PAGES)
    assert "SEVERITY" in received.details["pipe_warnings"][0]


@pytest.mark.parametrize(("more", "status"), [({}, 1), ({"ON_ERROR": "warn"}, 0), ({"INTEGRATION_KEY": "x"}, 1)])
def test_a_page_that_is_not_delivered_is_printed_and_fails_the_pager(told, api, sandbox, more, status):
    sandbox.fail_next(REFUSED, REFUSED)
    run = told(api.pipeline(812, outcome="FAILED"), **more)
    assert run.status == status
    assert "trigger branch/main" in [f"{event['event_action']} {short(event)}" for event in run.printed]


@pytest.mark.parametrize("selector", [("branches", "main"), ("custom", "nightly")])
def test_without_a_token_too_a_page_that_is_not_delivered_fails_the_pager_unless_it_is_about_itself(
    told, api, sandbox, selector
):
    sandbox.fail_next(REFUSED, REFUSED)
    definition = RECIPE + "    nightly: [{step: {name: Nightly, script: [make]}}]\n"
    run = told(api.pipeline(812, outcome="FAILED", selector=selector), definition=definition, **NO_TOKEN)
    assert (run.status, len(run.printed)) == (1, 1)


@pytest.mark.parametrize(
    ("outcome", "more"),
    [("FAILED", {}), ("FAILED", EXPIRED), ("FAILED", NO_TOKEN), ("SUCCESSFUL", {}), ("FAILED", {"definition": None})],
)
def test_what_is_about_the_pager_itself_pages_by_hand_never_resolves_and_exits_0(told, api, received, outcome, more):
    run = told(
        api.pipeline(899, [step("PagerDuty", outcome)], outcome=outcome, selector=("custom", "pagerduty")), **more
    )
    assert run.status == 0
    assert "resolve" not in received.actions
    assert received.actions == (["trigger"] if outcome == "FAILED" else [])
    if received.events:
        assert received.details["resolves"].startswith("by hand: ")


def test_a_pager_that_cannot_deliver_and_is_told_of_its_own_failure_makes_one_more_run_and_an_end(told, api, sandbox):
    sandbox.fail_next(*[REFUSED] * 9)
    assert told(api.pipeline(812, outcome="FAILED")).status == 1
    itself = api.pipeline(899, [step("PagerDuty", "FAILED")], outcome="FAILED", selector=("custom", "pagerduty"))
    run = told(itself)
    assert run.status == 0
    assert [event["event_action"] for event in run.printed] == ["trigger"]


# --- A step of a chained pipeline. ------------------------------------------------------------------------------------

CHAIN = """
triggers:
  pipeline-completed:
    - condition: BITBUCKET_TRIGGER_PIPELINE_STATUS == "SUCCESSFUL"
      pipelines: [deploy]
pipelines:
  default: [{step: {name: Build, script: [make]}}]
  custom:
    deploy:
      - step: {name: Deploy, deployment: production, script: [make], after-script: [
          {pipe: 'acme/pagerduty-events:1.0.0', variables: {INTEGRATION_KEY: $K, EXIT_CODE: $BITBUCKET_EXIT_CODE}}]}
"""
PRODUCTION = {"BITBUCKET_DEPLOYMENT_ENVIRONMENT": "production"}


def test_a_deploy_that_a_build_s_success_started_goes_by_its_own_exit_code(told, api, received):
    build = api.pipeline(812, [ok()], outcome="SUCCESSFUL")
    for code in ("1", "0"):
        assert told(build, definition=CHAIN, EXIT_CODE=code, **PRODUCTION).status == 0
    assert received.sent == ["trigger deployment/production:step", "resolve deployment/production:step"]
    assert api.requests == []


def test_a_step_that_fails_beside_a_failure_it_is_told_of_pages_by_hand(told, api, received):
    told(api.pipeline(812, outcome="FAILED"), definition=CHAIN, EXIT_CODE="1", **PRODUCTION)
    assert received.sent == ["trigger deployment/production:step"]
    assert received.details["resolves"].startswith("by hand: this step failed beside the pipeline that it is told of")


# --- Last, the runs that were begun first. ----------------------------------------------------------------------------


def test_a_silent_api_costs_no_page_and_resolves_nothing(slow):
    pipe, process, received, _ = slow["FAILED"]
    run = pipe.finish(process)
    assert run.status == 0
    assert received.only["payload"]["severity"] == "error"
    assert received.details["resolves"].startswith("by hand: Bitbucket's API did not say on which ref that")
    assert "Bitbucket's API: no" in run.log
    pipe, process, received, started = slow["SUCCESSFUL"]
    run = pipe.finish(process)
    assert (run.status, received.events) == (0, [])
    assert "Not resolving: Bitbucket's API did not say on which ref" in run.yellow
    assert time.monotonic() - started > 10
