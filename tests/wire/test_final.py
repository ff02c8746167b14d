"""A `final:` step, end to end: a real process of the pipe, a local Bitbucket API, and the sandbox."""

from __future__ import annotations

import time

import pytest

from sandbox import Sandbox
from tests.bitbucket_api import Log, step, uuid_of
from tests.conftest import API_TOKEN, MAIN, STEP, TOKEN, Pipe, Received, bitbucket_api

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
FINAL_AFTER_SCRIPT = FINAL.replace("script: [%s]" % PAGER, "script: [make], after-script: [%s]" % PAGER)
AFTER_SCRIPT = "pipelines: {branches: {main: [{step: {name: unit, script: [make], after-script: [%s]}}]}}" % PAGER

PAGES = ["trigger branch/main", "resolve branch/main:result unknown"]
RESOLVES = ["resolve branch/main", "resolve branch/main:result unknown"]
ONLY_SEES_AGAIN = ["resolve branch/main:result unknown"]
UNKNOWN = ["trigger branch/main:result unknown"]
PAGES_DEFAULT = ["trigger branch/main:default", "resolve branch/main:result unknown"]
EXPIRED = {"BITBUCKET_ACCESS_TOKEN": "ATCTT3-an-expired-token"}


def ok(name="unit"):
    return step(name, "SUCCESSFUL")


def in_final_step(pipe, api, *others, number=812, environ=MAIN, definition=FINAL, outcome="IN_PROGRESS", **more):
    """Starts the pipe in the final step of a pipeline with these other steps; `more` of the pipeline in lower case, of
    variables in upper case."""
    about = {name: value for name, value in more.items() if name.islower()}
    uuid = uuid_of("final", number)
    steps = [*others, step("[Final Step] page", "IN_PROGRESS", uuid=OWN)]
    made = api.pipeline(number, steps, uuid=uuid, outcome=outcome, **about)
    environ = {**environ, "BITBUCKET_BUILD_NUMBER": str(number), "BITBUCKET_PIPELINE_UUID": uuid}
    environ |= {"BITBUCKET_API_URL": api.url, "BITBUCKET_ACCESS_TOKEN": TOKEN}
    environ |= {name: value for name, value in more.items() if name.isupper()}
    return made, pipe.start(environ, definition)


@pytest.fixture
def final(pipe, api):
    """Runs the pipe there; afterwards the pipeline ends as its steps did."""

    def run(*others, **more):
        made, process = in_final_step(pipe, api, *others, **more)
        found = pipe.finish(process)
        if made.outcome == "IN_PROGRESS" and not any(one.stage for one in others):
            made.outcome = "FAILED" if any(one.outcome == "FAILED" for one in others) else "SUCCESSFUL"
        return found

    return run


@pytest.fixture(scope="module", autouse=True)
def slow(tmp_path_factory):
    """A run that waits out Bitbucket's budget for a step that does not end. It begins before the tests of this file and
    is looked at behind them, so that nobody waits for it."""
    clone = tmp_path_factory.mktemp("clone")
    with Sandbox() as sandbox, bitbucket_api() as api:
        pipe = Pipe(clone, sandbox)
        started = time.monotonic()
        _, process = in_final_step(pipe, api, ok(), step("e2e", "IN_PROGRESS"))
        yield pipe, process, Received(sandbox), started
        process.kill()


# --- The other steps decide. ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["$?", "$BITBUCKET_EXIT_CODE", ""])
@pytest.mark.parametrize("name", ["", "build"])
def test_an_exit_code_of_0_in_the_script_of_a_final_step_is_no_result(final, received, code, name):
    mapped = f"INTEGRATION_KEY: $K, EXIT_CODE: {code!r}, ALERT_NAME: {name!r}"
    definition = FINAL.replace("INTEGRATION_KEY: $K", mapped)
    assert mapped in definition
    about = {"EXIT_CODE": "0", "ALERT_NAME": name, "definition": definition}
    key = "branch/main:name/build" if name else "branch/main"
    final(step("unit", "FAILED"), ok("e2e"), **about)
    assert received.sent == [f"trigger {key}", "resolve branch/main:result unknown"]
    final(ok(), ok("e2e"), number=813, **about)
    assert received.sent[2:] == [f"resolve {key}", "resolve branch/main:result unknown"]


def test_an_exit_code_of_0_in_a_final_step_without_a_token_is_a_warning(final, received):
    run = final(step("unit", "FAILED"), EXIT_CODE="0", BITBUCKET_ACCESS_TOKEN="")
    assert (run.status, received.sent) == (1, UNKNOWN)
    assert "an exit code of 0 says nothing of the build here, and there is no token" in run.yellow


@pytest.mark.parametrize(
    ("others", "sent", "says"),
    [
        ([ok(), ok("e2e")], RESOLVES, "Resolving: Bitbucket says that every other step that ran passed."),
        ([step("unit", "FAILED"), step("e2e", "NOT_RUN")], PAGES, 'Paging: Bitbucket says that "unit" failed.'),
        ([ok(), step("e2e", "SYSTEM_ERROR")], PAGES, '"e2e" failed'),
        ([step("unit", "EXPIRED"), step("e2e", "IN_PROGRESS")], PAGES, '"unit" expired'),
        ([step("unit", "STOPPED"), step("e2e", "NOT_RUN")], [], 'Sending nothing: somebody stopped the pipeline at "unit".'),
        ([ok(), step("gate", "PENDING", stage="PAUSED"), step("behind", "PENDING")], RESOLVES, "passed"),
        ([ok(), step("style", "FAILED")], RESOLVES, "passed"),
        ([step("unit", "IN_PROGRESS", after=1, becomes="FAILED")], PAGES, '"unit" failed'),
        ([step("style", "STOPPED"), step("unit", "NOT_RUN")], [], 'Sending nothing: somebody stopped the pipeline at "style".'),
        ([step("style", "STOPPED", error="exceeded the time limit"), ok()], RESOLVES, "passed"),
        ([ok(), step("e2e", "EXPLODED")], UNKNOWN, "ended as EXPLODED, which the pipe does not know"),
    ],
)  # fmt: skip
def test_the_other_steps_decide(final, received, others, sent, says):
    run = final(*others)
    assert received.sent == sent, run.log
    assert says in run.log
    assert run.status == int(sent == UNKNOWN)
    assert {event["payload"]["severity"] for event in received.events} <= {
        "warning" if sent == UNKNOWN else "error",
        "warning",
    }


def test_the_page_names_the_failed_steps_links_the_first_and_quotes_bitbucket_s_error(final, api, received):
    broken = uuid_of("broken")
    error = "Container 'Build' exceeded memory limit."
    final(
        step("integration tests", "FAILED", uuid=broken, error=error),
        step("lint", "FAILED"),
        ok(),
        message="Use more memory\n\nx",
    )
    payload = received.page["payload"]
    assert (
        payload["summary"] == 'acme/shop: "integration tests" and 1 more failed on main (#812, exceeded memory limit)'
    )
    assert received.details["failed_steps"] == ["integration tests", "lint"]
    assert received.details["error"] == error
    assert received.details["commit_message"] == "Use more memory"
    assert "log_tail" not in received.details
    assert api.asked("/log") == []
    assert received.page["links"][0]["text"] == "Failed step"
    assert received.page["links"][0]["href"].endswith(f"/steps/%7B{broken.strip('{}')}%7D")


def test_a_stop_that_carries_an_error_is_a_failure(final, received):
    run = final(step("unit", "STOPPED", error="Step exceeded its time limit"))
    assert received.sent == PAGES
    assert "stopped by an error" in run.log


@pytest.mark.parametrize(("outcome", "sent"), [("FAILED", PAGES), ("PAUSED_FOR_EVER", UNKNOWN)])
def test_the_pipeline_s_own_result_is_never_contradicted(final, received, outcome, sent):
    final(ok(), outcome=outcome)
    assert received.sent == sent


def test_an_odd_step_does_not_hide_a_failed_one(final, received):
    final(step("unit", "FAILED"), step("odd", "FAILED", state=None))
    assert received.sent == PAGES
    assert received.details["failed_steps"] == ["unit"]


def test_nothing_unseen_in_bitbucket_s_names_reaches_the_log_or_the_event(final, received):
    final(step("un\x1b[31mit\u202e", "FAILED", error="no\x07 me\x9bmory"), selector=("custom", "nig\x1b[2Jht\u2066ly"))
    # what is checked of every run
    assert received.details["failed_steps"] == ["unit"]


# --- What Bitbucket does not tell. ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "more", "says"),
    [
        ({}, EXPIRED, "Renew BITBUCKET_ACCESS_TOKEN, with the scope Pipelines: Read"),
        ({}, {"BITBUCKET_ACCESS_TOKEN": "", **API_TOKEN, "ATLASSIAN_API_TOKEN": "ATATT3-wrong"}, "Renew ATLASSIAN_API_TOKEN, with the scope read:pipeline:bitbucket"),
        ({"status": 403}, {}, "the token may not read pipelines (403), it lacks the scope Pipelines: Read"),
        ({"status": 429, "headers": {"Retry-After": "600"}}, {}, "Bitbucket's rate limit is reached (429)"),
        ({"body": b"<html>"}, {}, "Bitbucket's answer could not be read"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_pages_a_warning_with_the_reason(final, api, received, fault, more, says):
    if fault:
        api.fault("pipelines/", times=1000, **fault)
    run = final(ok(), **more)
    assert (run.status, received.sent) == (1, UNKNOWN)
    assert received.only["payload"]["severity"] == "warning"
    assert says in received.details["reason"]
    assert says in run.yellow
    assert (
        received.details["resolves"]
        == "by hand, or by the next known result of a pipeline on main; a step's exit code does not close it; "
        "until then no other result that cannot be told on main pages"
    )


def test_an_api_token_is_as_good_as_an_access_token(final, received):
    final(ok(), BITBUCKET_ACCESS_TOKEN="", **API_TOKEN)
    assert received.sent == RESOLVES


@pytest.mark.parametrize(("definition", "environ"), [(FINAL, {}), (FINAL_AFTER_SCRIPT, {"EXIT_CODE": "0"})])
def test_without_a_token_a_final_step_is_not_silent_but_says_what_to_give(pipe, received, definition, environ):
    run = pipe({**MAIN, **environ}, definition)
    assert (run.status, received.sent) == (1, UNKNOWN)
    give_a_token, give_a_status = received.details["ways_to_tell"]
    assert "BITBUCKET_ACCESS_TOKEN" in give_a_token
    assert "BUILD_STATUS" in give_a_status


@pytest.mark.parametrize(("others", "sent"), [([step("unit", "FAILED")], PAGES), ([ok()], RESOLVES)])
def test_an_exit_code_of_0_in_a_final_step_s_after_script_is_not_the_pipeline_s(final, received, others, sent):
    run = final(*others, definition=FINAL_AFTER_SCRIPT, EXIT_CODE="0")
    assert (run.status, received.sent) == (0, sent)


def test_an_explicit_action_in_a_final_step_is_about_its_pipeline(final, api, received):
    final(step("unit", "FAILED"))
    assert received.sent == PAGES
    final(EVENT_ACTION="acknowledge", number=813)
    final(EVENT_ACTION="resolve", number=814)
    assert received.sent[2:] == ["acknowledge branch/main", "resolve branch/main"]


def test_the_user_s_word_and_the_api_where_it_did_not_arrive_are_about_one_alert(final, received):
    definition = FINAL.replace("branches:\n    main:", "default:").replace("$T}", "$T, BUILD_STATUS: $RESULT}")
    definition = definition.replace("\n      - ", "\n    - ")
    selector = ("default", "")
    final(step("unit", "FAILED"), definition=definition, selector=selector)
    final(ok(), definition=definition, selector=selector, number=813, BUILD_STATUS="successful")
    assert received.sent == PAGES + RESOLVES
    assert received.open == []


def test_a_custom_pipeline_keeps_its_key_beside_another_one_that_gives_a_status(final, received):
    final_step = "{final: {name: page, script: [%s]}}" % PAGER.replace("$T}", "$T, BUILD_STATUS: $RESULT}")
    definition = "pipelines: {default: [%s, %s], custom: {nightly: [%s]}}" % (
        "{step: {name: unit, script: [make]}}",
        final_step,
        "{step: {script: [%s]}}" % PAGER,
    )
    final(definition=definition, selector=("default", ""), BUILD_STATUS="failed")
    final(ok(), definition=definition, selector=("custom", "nightly"), number=813)
    assert received.sent[2:] == ["resolve branch/main:custom/nightly", "resolve branch/main:result unknown"]
    assert received.open == ["branch/main"]


def test_a_pipeline_that_is_imported_keeps_its_key_beside_another_one_that_gives_a_status(final, received):
    status = PAGER.replace("$T}", "$T, BUILD_STATUS: $RESULT}")
    definition = (
        "pipelines: {default: {import: 'a:b:c'}, custom: {nightly: [{final: {name: page, script: [%s]}}]}}" % status
    )
    final(definition=definition, selector=("custom", "nightly"), BUILD_STATUS="failed")
    final(ok(), definition=definition, selector=("default", ""), number=813)
    assert received.sent[2:] == ["resolve branch/main:default", "resolve branch/main:result unknown"]
    assert received.open == ["branch/main"]


def test_an_explicit_action_is_about_the_alert_that_the_api_s_answer_opened(final, received):
    definition = FINAL.replace("branches:\n    main:", "default:").replace("\n      - ", "\n    - ")
    final(step("unit", "FAILED"), definition=definition, selector=("default", ""))
    final(ok(), definition=definition, number=813, EVENT_ACTION="resolve")
    assert received.sent == [*PAGES_DEFAULT, "resolve branch/main:default"]


UNREADABLE = [{"EXIT_CODE": "one"}, {"EXIT_CODE": "0", "BUILD_STATUS": "fialed"}]


@pytest.mark.parametrize("bad", UNREADABLE)
@pytest.mark.parametrize(
    ("others", "sent"), [([step("unit", "FAILED")], PAGES), ([ok()], RESOLVES), ([step("unit", "ODD")], UNKNOWN)]
)
def test_a_bad_value_in_a_final_step_does_not_hide_what_bitbucket_says(final, received, bad, others, sent):
    run = final(*others, **bad)
    assert (run.status, received.sent) == (1, sent)
    if sent is UNKNOWN:
        assert "it tells nothing" in received.details["reason"]


IN_SCRIPT = AFTER_SCRIPT.replace("script: [make], after-script: [%s]" % PAGER, "script: [make, %s]" % PAGER)


@pytest.mark.parametrize("bad", UNREADABLE)
@pytest.mark.parametrize("definition", [AFTER_SCRIPT, IN_SCRIPT, IN_SCRIPT.replace("name: unit", "name: page"), None])
def test_a_bad_value_elsewhere_is_not_made_good_by_the_other_steps(final, received, bad, definition):
    run = final(ok("build"), definition=definition, **bad)
    assert (run.status, received.sent) == (1, UNKNOWN)
    assert "it tells nothing" in received.details["reason"]


def test_a_build_status_spares_bitbucket(final, api, received):
    final(step("unit", "FAILED"), BUILD_STATUS="successful")
    assert (received.sent, api.requests) == (RESOLVES, [])


@pytest.mark.parametrize(("code", "sent"), [("1", "trigger"), ("0", "resolve")])
def test_in_an_after_script_bitbucket_is_not_asked(final, api, received, code, sent):
    run = final(step("other", "FAILED"), definition=AFTER_SCRIPT, EXIT_CODE=code)
    assert (run.status, received.sent) == (0, [f"{sent} branch/main:step"])
    assert api.requests == []


def test_an_after_script_whose_exit_code_is_missing_does_not_take_the_other_steps_for_its_own(final, received):
    run = final(ok("build"), definition=AFTER_SCRIPT)
    assert (run.status, received.sent) == (1, UNKNOWN)
    assert "this step's own exit code is missing" in received.details["reason"]


@pytest.mark.parametrize("code", ["", "abc"])
def test_a_failure_of_another_step_beside_it_is_resolved_by_hand_since_no_success_will_be_told(final, received, code):
    run = final(step("build", "FAILED"), definition=AFTER_SCRIPT, EXIT_CODE=code)
    assert (run.status, received.sent) == (1 if code else 0, PAGES)
    why = 'EXIT_CODE: "abc" is not an integer; it tells nothing' if code else "this step's own exit code is missing"
    assert received.details["resolves"].startswith(f"by hand: {why}")
    assert "; until then no failure of this pipeline on main pages again" in received.details["resolves"]
    assert "This alert will not resolve by itself: " in run.yellow


# --- Out of order. ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("newer", "environ", "doubt"),
    [
        ({"outcome": "FAILED"}, {}, "the newer build #813 did not pass"),
        ({"outcome": "FAILED"}, {"BITBUCKET_STEP_RUN_NUMBER": "2"}, "the newer build #813 did not pass"),
        ({"outcome": "FAILED", "selector": ("custom", "nightly")}, {}, ""),
    ],
)
def test_an_old_build_s_success_or_its_rerun_does_not_close_a_newer_failure(
    final, api, received, newer, environ, doubt
):
    api.pipeline(813, [step("unit", "FAILED")], **newer)
    run = final(ok(), **environ)
    assert received.sent == (ONLY_SEES_AGAIN if doubt else RESOLVES)
    assert (f"Not resolving: {doubt}." in run.yellow) is bool(doubt)


def test_a_failed_build_that_a_newer_one_has_overtaken_pages_and_says_so_in_its_title(final, api, received):
    api.pipeline(813, [ok()], outcome="SUCCESSFUL")
    final(step("unit", "FAILED"))
    assert received.page["payload"]["summary"] == 'acme/shop: "unit" failed on main (#812; newer #813 passed)'
    assert received.details["newer_build"] == "#813 SUCCESSFUL https://bitbucket.org/acme/shop/pipelines/results/813"


def test_where_the_other_builds_cannot_be_seen_a_failure_pages_and_a_success_resolves_nothing(final, api, received):
    api.fault(r"sort=", times=1000, status=403)
    run = final(ok())
    assert (run.status, received.sent) == (0, ONLY_SEES_AGAIN)
    assert "Not resolving: the other builds could not be seen" in run.yellow
    final(step("unit", "FAILED"), number=814)
    assert received.sent == [*ONLY_SEES_AGAIN, *PAGES]


def test_a_run_in_which_no_step_was_skipped_costs_three_requests(final, api):
    for number in (809, 810, 811):
        api.pipeline(number, [step("unit", "FAILED")], outcome="FAILED")
    final(ok())
    assert [request.path.rpartition("/")[2][:9] for request in api.requests] == [
        "%7B" + uuid_of("final", 812)[1:7],
        "steps",
        "pipelines",
    ]


# --- Cases that went wrong once. --------------------------------------------------------------------------------------


def test_where_every_build_skips_something_a_failure_is_resolved_and_the_next_one_pages_anew(final, sandbox, received):
    final(step("API tests", "FAILED"), step("Web tests", "SKIPPED"), number=1)
    assert received.details["resolves"].startswith(
        'by a green run of this pipeline on main in which "API tests" ran; until then no failure'
    )
    final(ok("API tests"), step("Web tests", "SKIPPED"), number=2)
    assert received.open == []
    run = final(step("API tests", "SKIPPED"), step("Web tests", "FAILED"), number=3)
    assert received.open == ["branch/main"]
    final(ok("API tests"), step("Web tests", "SKIPPED"), number=4)
    run = final(ok("API tests"), step("Web tests", "SKIPPED"), number=5)
    assert received.open == ["branch/main"]
    assert 'Not resolving: "Web tests" did not run, and failed when it last ran (#3)' in run.yellow
    assert len([one for one in sandbox.incidents() if one["dedup_key"].endswith("branch/main")]) == 2


@pytest.mark.parametrize(("name", "shown"), [("Deploy", '"Deploy"'), (None, "an unnamed step")])
def test_a_manual_step_that_failed_is_not_resolved_by_a_push_that_waits_at_its_gate(final, received, name, shown):
    final(ok("build"), step(name, "FAILED"), number=811)
    run = final(ok("build"), step(name, "PENDING", stage="PAUSED"), number=812)
    assert received.open == ["branch/main"]
    assert f"Not resolving: {shown} did not run, and failed when it last ran (#811)" in run.yellow
    final(ok("build"), ok(name), number=813)
    assert received.open == []


def test_a_manual_publish_of_a_release_that_failed_is_not_resolved_by_the_next_one_that_waits_at_its_gate(
    final, received
):
    definition = FINAL.replace("branches:", "tags:").replace("main:", "'v*':")
    for number, tag, publish in [
        (1, "v2.0.1", step("Publish", "FAILED")),
        (2, "v2.0.2", step("Publish", "PENDING", stage="PAUSED")),
        (3, "v2.0.3", ok("Publish")),
    ]:
        about = {"ref": tag, "ref_type": "tag", "selector": ("tags", "v*")}
        run = final(
            ok("build"), publish, number=number, environ={**STEP, "BITBUCKET_TAG": tag}, definition=definition, **about
        )
        assert received.open == ([] if number == 3 else ["tag/v"]), run.log


def test_a_token_that_expires_is_one_warning_and_renewed_it_leaves_no_alert_open_so_that_the_next_one_is_new(
    final, sandbox, received
):
    assert final(ok(), number=1, **EXPIRED).status == 1
    final(step("unit", "FAILED"), number=2, **EXPIRED)
    final(step("unit", "FAILED"), number=3, **EXPIRED)
    assert received.open == ["branch/main:result unknown"]
    final(ok(), number=4)
    assert received.open == []
    final(ok(), number=5, **EXPIRED)
    assert received.open == ["branch/main:result unknown"]
    assert len(sandbox.incidents()) == 2


# --- The log's tail. --------------------------------------------------------------------------------------------------


def test_the_log_s_tail_is_fetched_by_range_cleaned_and_masked(final, api, received):
    end = b"start\r\n\x1b[31m10%\r50%\r100%\x1b[0m\nsecret " + TOKEN.encode() + b"\nassert 3 == 4\n"
    final(step("unit", "FAILED", log=Log(500_000_000, end)), LOG_LINES="3")
    assert received.details["log_tail"].splitlines() == ["100%", "secret ****", "assert 3 == 4"]
    assert [request.headers["range"] for request in api.storage.requests] == ["bytes=-65536"]
    assert api.storage.requests[0].authorization is None


def test_a_log_that_cannot_be_read_costs_a_warning_not_the_page(final, api, received):
    api.fault("/log", times=1000, status=404)
    run = final(step("unit", "FAILED", log=b"x\n"), LOG_LINES="3")
    assert (run.status, received.sent) == (0, PAGES)
    assert "The log's tail could not be read" in received.details["pipe_warnings"][0]


# --- Last, the run that was begun first. ------------------------------------------------------------------------------


def test_a_step_that_never_ends_is_unknown_after_the_budget(slow):
    pipe, process, received, started = slow
    run = pipe.finish(process)
    assert run.status == 1
    assert received.sent == UNKNOWN
    assert '"e2e" had not finished when the time to wait was over' in received.details["reason"]
    waits = [
        float(line.split(" in ")[1].removesuffix(" s.")) for line in run.log.splitlines() if "looking again in" in line
    ]
    assert 5 < sum(waits) < 15
    assert time.monotonic() - started > sum(waits)
