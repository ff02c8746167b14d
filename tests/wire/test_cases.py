"""Small pipeline files on which the pipe once went wrong, each run end to end as its row in tests/pipelines/README.md says."""

from __future__ import annotations

import time

import pytest

from tests.bitbucket_api import step, uuid_of
from tests.conftest import MAIN, ROOT, STEP, TOKEN

PIPELINES = ROOT / "tests/pipelines"
PASSES, FAILS = {"EXIT_CODE": "0"}, {"EXIT_CODE": "1"}
PRODUCTION = {**MAIN, "BITBUCKET_DEPLOYMENT_ENVIRONMENT": "production"}


def on(branch):
    return {**STEP, "BITBUCKET_BRANCH": branch}


@pytest.fixture
def case(pipe):
    """Runs the pipe in a clone with that file."""

    def run(name, environ, **more):
        return pipe(environ, (PIPELINES / f"{name}.yml").read_text(), **more)

    return run


@pytest.mark.parametrize(
    ("name", "environ", "yellow"),
    [
        ("default-beside-branch", on("main"), "quick check (default) and full build (branches: main) use the same key"),
        ("exact-beside-brace", on("dev/pagespeed"), "unit and lint use the same key"),
        ("two-services-one-environment", PRODUCTION, "Deploy API (custom: deploy-api) and Deploy web (custom: deploy-web) use the same key"),
        ("one-name-one-step-without-clone", {**MAIN, "ALERT_NAME": "ci"}, "build and e2e use the same key"),
    ],
)  # fmt: skip
def test_a_green_step_that_does_not_own_its_key_resolves_nothing_and_its_failure_says_by_hand(
    case, received, name, environ, yellow
):
    run = case(name, environ, **PASSES)
    assert (run.status, received.events) == (0, [])
    assert f"Not resolving: {yellow}" in run.yellow
    case(name, environ, **FAILS)
    assert received.details["resolves"].startswith(f"by hand: {yellow}; until then no failure of ")


def test_a_step_without_a_clone_does_not_see_that_another_has_its_name(pipe, received):
    pipe({**MAIN, "ALERT_NAME": "ci", **PASSES}, None)
    assert received.sent == ["resolve branch/main:step/ci"]


def test_shards_that_their_index_tells_apart_resolve_their_own_alerts(case, received):
    for shard in ("1", "2"):
        case("shards", MAIN, ALERT_NAME=f"unit tests {shard}", **FAILS)
    assert received.events[0]["payload"]["custom_details"]["resolves"] == "by a green run of this step"
    case("shards", MAIN, ALERT_NAME="unit tests 1", **PASSES)
    assert received.open == ["branch/main:step/unit tests 2"]


def test_an_action_that_the_shell_chose_is_the_user_s_word(case, received):
    case("event-action-by-shell-test", MAIN, EVENT_ACTION="trigger", **FAILS)
    case("event-action-by-shell-test", MAIN, EVENT_ACTION="resolve", **PASSES)
    assert received.sent == ["trigger branch/main:step", "resolve branch/main:step"]


@pytest.mark.parametrize(("name", "branch"), [("plain-last-step", "develop"), ("end-of-script", "master")])
def test_a_pipe_that_runs_only_after_a_success_sends_nothing_and_says_where_to_put_it(
    case, api, received, name, branch
):
    token = {"BITBUCKET_ACCESS_TOKEN": TOKEN, "BITBUCKET_API_URL": api.url}
    run = case(name, {**on(branch), **token}, EXIT_CODE="")
    assert (run.status, received.events, api.requests) == (0, [], [])
    assert "Sending nothing: this pipe stands in `script` of an ordinary step" in run.yellow
    assert "move it to the step's `after-script`" in run.yellow


def test_a_file_with_the_default_pipeline_only_pages_for_every_branch_unless_it_says_branches(case, received):
    case("default-only", on("feature/x"), **FAILS)
    assert received.sent == ["trigger branch/feature/x:step"]
    case("default-only", on("feature/x"), BRANCHES="main", **FAILS)
    assert len(received.events) == 1


def test_a_file_that_grows_beyond_all_limits_costs_no_page_and_resolves_nothing(case, received):
    started = time.monotonic()
    run = case("merge-bomb", MAIN, **FAILS)
    assert (run.status, received.sent) == (0, ["trigger branch/main:step"])
    assert received.details["resolves"].startswith("by hand: bitbucket-pipelines.yml could not be read")
    assert time.monotonic() - started < 20


# --- Told of any pipeline. --------------------------------------------------------------------------------------------


def test_a_status_that_the_file_takes_from_the_trigger_resolves_nothing_without_a_token(case, received):
    case("told-of-any-pipeline", MAIN, BUILD_STATUS="FAILED")
    assert received.actions == ["trigger"]
    assert received.details["resolves"].startswith("by hand: on which ref that pipeline ran is only known with a token")
    run = case("told-of-any-pipeline", MAIN, BUILD_STATUS="SUCCESSFUL")
    assert received.actions == ["trigger"]
    assert "Not resolving: on which ref that pipeline ran is only known with a token" in run.yellow


def test_the_recipe_for_a_whole_repository_pages_and_resolves_and_ends_with_itself(case, api, received):
    own = uuid_of("own")
    api.pipeline(900, [step("PagerDuty", "IN_PROGRESS")], uuid=own, selector=("custom", "pagerduty"))
    environ = {
        **MAIN,
        "BITBUCKET_PIPELINE_UUID": own,
        "BITBUCKET_ACCESS_TOKEN": TOKEN,
        "BITBUCKET_API_URL": api.url,
        "BRANCHES": "main",
    }
    story = [
        ("FAILED", ("branches", "main")),
        ("SUCCESSFUL", ("branches", "main")),
        ("FAILED", ("custom", "pagerduty")),
    ]
    for number, (outcome, selector) in enumerate(story, 812):
        ended = api.pipeline(number, [step("Build and test", outcome)], outcome=outcome, selector=selector)
        kind, pattern = selector
        run = case(
            "told-recipe",
            environ,
            BITBUCKET_TRIGGER_PIPELINE_STATUS=outcome,
            BITBUCKET_TRIGGER_PIPELINE_UUID=ended.uuid,
            BITBUCKET_TRIGGER_PIPELINE_SELECTOR_TYPE=kind,
            BITBUCKET_TRIGGER_PIPELINE_SELECTOR_PATTERN=pattern,
        )
        assert run.status == 0
    assert [one for one in received.sent if "unknown" not in one] == [
        "trigger branch/main",
        "resolve branch/main",
        "trigger branch/main:custom/pagerduty",
    ]
    assert received.events[-1]["payload"]["custom_details"]["resolves"].startswith("by hand: ")
