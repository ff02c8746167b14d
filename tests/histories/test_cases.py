"""Stories that went wrong once, or could: each is a few events in the model, and what must be open in the end.

The first part is the list of issue 7, the second `cases/pipelines/`, the third what the histories found.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.histories.bitbucket import MAIN, Ref, Run, World
from tests.histories.history import History
from tests.histories.pager import without_evidence
from tests.histories.pipelines_file import Element, File, Pager, Parallel, Pipeline, Step, Trigger

FEATURE = Ref("branch", "feature/x")
UNNAMED, TOKEN = Pager(), Pager(token=True)
TOLD = Pipeline("custom", "pagerduty", (Step("PagerDuty", inside=TOKEN),))
OF_EVERYTHING = (
    Trigger("pagerduty", ("FAILED", "STOPPED", "ERROR")),
    Trigger("pagerduty", ("SUCCESSFUL",), but=("pagerduty",)),
)
RECIPE = (Trigger("pagerduty"), Trigger("pagerduty", ("SUCCESSFUL",), ("branches", "default")))


@pytest.fixture(autouse=True)
def _no_evidence() -> Iterator[None]:
    with without_evidence():
        yield


def named(name: str, **more: str) -> Pager:
    return Pager(alert_name=name, **more)  # type: ignore[arg-type]


def main_branch(*elements: Element, final: Step | None = None) -> Pipeline:
    return Pipeline("branches", "main", elements, final)


def told(*pipelines: Pipeline, triggers: tuple[Trigger, ...] = OF_EVERYTHING, pager: Pager = TOKEN) -> File:
    return File((*pipelines, Pipeline("custom", "pagerduty", (Step("PagerDuty", inside=pager),))), triggers)


def fail(*indices: int) -> dict[int, str]:
    return dict.fromkeys(indices, "fail")


def skip(*indices: int) -> dict[int, str]:
    return dict.fromkeys(indices, "skip")


# Cases of issue 7


def test_steps_with_conditions_every_build_skips_something() -> None:
    steps = (Step("API tests", condition=True), Step("Web tests", condition=True))
    push = main_branch(Parallel(steps), final=Step("Page", inside=TOKEN))
    history = History(File((push,)))
    history.start(push, troubles={0: "fail", 1: "skip"})
    assert history.open_keys == ["branch/main"]
    history.start(push, troubles=skip(1))
    assert history.open_keys == []
    history.start(push, troubles={0: "skip", 1: "fail"})
    assert len(history.last.opened) == 1
    history.start(push, troubles=skip(1))
    assert history.open_keys == ["branch/main"]


@pytest.mark.parametrize("final_runs_at_gates", [False, True])
def test_a_manual_deploy_failed_and_the_next_push_waits_at_the_gate(final_runs_at_gates: bool) -> None:
    push = main_branch(Step("Build"), Step("Deploy", manual=True), final=Step("Page", inside=TOKEN))
    history = History(File((push,)), World(final_runs_at_gates=final_runs_at_gates))
    history.start(push, troubles=fail(1))
    waiting = history.start(push, gates=0)
    assert history.open_keys == ["branch/main"]
    history.go_on(waiting)
    assert history.open_keys == []


def test_a_rerun_or_redeploy_of_an_old_green_build_does_not_close_a_newer_failure() -> None:
    push = main_branch(Step("Build"), Step("Deploy", deployment="production"), final=Step("Page", inside=TOKEN))
    history = History(File((push,)))
    old = history.start(push)
    history.start(push, troubles=fail(0))
    history.redeploy(old)
    assert history.open_keys == ["branch/main"]
    assert "newer build #2" in " ".join(history.last.said.log)


def test_one_dedup_key_for_all_branches_is_not_resolved_by_another_branch() -> None:
    every = Pipeline("default", "", (Step("Build", after=Pager(dedup_key="$BITBUCKET_REPO_SLUG-build")),))
    history = History(File((every,)))
    history.start(every, MAIN, fail(0))
    history.start(every, FEATURE)
    assert history.open_keys == ["shop-build"]


def test_one_dedup_key_in_staging_and_production_resolves_neither_by_the_other() -> None:
    pager = Pager(dedup_key="$BITBUCKET_REPO_SLUG-build")
    push = main_branch(
        Step("Stage", deployment="staging", after=pager), Step("Live", deployment="production", after=pager)
    )
    history = History(File((push,)))
    history.start(push, troubles=fail(1))
    history.start(push, troubles=fail(1))
    assert history.open_keys == ["shop-build"]


def test_two_services_deployed_unnamed_to_one_environment() -> None:
    api, web = (
        Pipeline("custom", f"deploy-{name}", (Step(f"Deploy {name}", deployment="production", after=UNNAMED),))
        for name in ("api", "web")
    )
    history = History(File((api, web)))
    history.start(api, troubles=fail(0))
    history.start(web)
    assert history.open_keys == ["deployment/production:step"]
    assert "by hand" in history.sightings[0].opened[0].resolves


def test_a_release_does_not_resolve_the_alert_of_another_line_of_tags() -> None:
    tags = Pipeline("tags", "**", (Step("Release", after=named("release")),))
    history = History(File((tags,)))
    history.start(tags, Ref("tag", "web-v2.0.0"), fail(0))
    history.start(tags, Ref("tag", "v1.9.5"))
    assert history.open_keys == ["tag/web-v:step/release"]
    history.start(tags, Ref("tag", "web-v2.0.1"))
    assert history.open_keys == []


def test_a_token_expires_and_is_renewed() -> None:
    push = main_branch(Step("Build"), final=Step("Page", inside=TOKEN))
    history = History(File((push,)))
    history.start(push, troubles=fail(0))
    history.api("expired")
    history.start(push)
    assert history.open_keys == ["branch/main", "branch/main:result unknown"]
    history.start(push, troubles=fail(0))
    assert history.last.merged_into and not history.last.opened
    history.api("")
    history.start(push)
    assert history.open_keys == []
    history.api("expired")
    history.start(push)
    assert len(history.last.opened) == 1


def test_the_pipe_in_the_after_script_of_a_final_step_without_a_token_warns() -> None:
    push = main_branch(Step("Build"), final=Step("Page", after=UNNAMED))
    history = History(File((push,)))
    history.start(push, troubles=fail(0))
    assert history.open_keys == ["branch/main:result unknown"]


def test_a_step_that_calls_the_image_itself_pages_beside_an_ignored_one() -> None:
    ignored = main_branch(Step("Lint", on_fail="ignore", after=UNNAMED), Step("Unit"))
    history = History(File((ignored,)))
    run = history.start(ignored)
    history.run_pager(run, run.steps[1], "after-script", UNNAMED, 1)  # by `docker run …`
    assert len(history.last.opened) == 1


def test_a_pipe_published_under_another_name_is_seen_with_and_without_variables() -> None:
    push = main_branch(
        Step("Lint", after=Pager(pipe="acme/oncall:1.0.0", bare=True)),
        Step("Unit", after=Pager(pipe="acme/oncall:1.0.0")),
    )
    history = History(File((push,)))
    history.start(push, troubles=fail(1))
    assert "Lint and Unit use the same key" in history.last.opened[0].resolves


@pytest.mark.parametrize("place", ["final", "told"])
def test_nobody_is_paged_when_a_person_presses_stop(place: str) -> None:
    push = main_branch(Step("Build"), Step("Test"), final=Step("Page", inside=TOKEN) if place == "final" else None)
    history = History(told(push) if place == "told" else File((push,)))
    history.start(push, troubles={1: "stop"})
    assert history.open_keys == []
    assert len(history.sightings) == 1


@pytest.mark.parametrize("name", ["", "ci"])
def test_a_nightly_and_a_push_build_of_main_have_two_alerts(name: str) -> None:
    push, nightly = main_branch(Step("Build")), Pipeline("custom", "nightly", (Step("All"),))
    history = History(told(push, nightly, pager=Pager(token=True, alert_name=name)))
    history.start(nightly, troubles=fail(0))
    history.start(push, troubles=fail(0))
    assert len(history.open_keys) == 2
    history.start(push)
    assert [key.split(":")[1] for key in history.open_keys] == ["custom/nightly"]
    history.start(nightly)
    assert history.open_keys == []


def test_build_status_beside_an_exit_code_pages_and_resolves_under_one_key() -> None:
    push = main_branch(Step("Build", after=Pager(alert_name="build", build_status="$STATUS")))
    history = History(File((push,)))
    history.start(push, troubles=fail(0))
    assert history.open_keys == ["branch/main:step/build"]
    history.start(push)
    assert history.open_keys == []


def test_a_chained_deploy_goes_by_its_own_exit_code() -> None:
    push = main_branch(Step("Build"))
    deploy = Pipeline("custom", "deploy", (Step("Deploy", deployment="production", after=named("deploy")),))
    history = History(File((push, deploy), (Trigger("deploy", ("SUCCESSFUL",), ("branches",)),)))
    history.start(deploy, troubles=fail(0))
    assert history.open_keys == ["deployment/production:step/deploy"]
    history.start(push)
    assert history.last.of_step
    assert history.open_keys == []


@pytest.mark.parametrize("trouble", ["expired", "silent"])
def test_a_told_failure_pages_as_a_failure_without_an_answer(trouble: str) -> None:
    push = main_branch(Step("Build"))
    history = History(told(push, triggers=RECIPE, pager=Pager(token=True, branches="develop")))
    history.api(trouble)
    history.start(push, troubles=fail(0))
    told_run = next(one for one in history.sightings if one.about.pipeline is push)
    assert told_run.opened
    assert not told_run.said.is_unknown
    assert "by hand" in told_run.opened[0].resolves


def test_a_told_run_without_a_token_loses_no_page_to_branches() -> None:
    push = main_branch(Step("Build"))
    history = History(told(push, pager=Pager(branches="develop")))
    history.start(push, troubles=fail(0))
    assert len(history.last.opened) == 1
    history.start(push)
    assert len(history.open_keys) == 1


def test_a_plain_last_line_of_a_deploys_script_sends_nothing_and_stays_green() -> None:
    push = main_branch(Step("Build"), Step("Deploy", deployment="production", inside=TOKEN))
    history = History(File((push,)))
    run = history.start(push)
    assert run.result == "SUCCESSFUL"
    assert (history.last.said.bodies, history.last.said.requests, history.last.said.status) == ((), 0, 0)
    assert "(yellow)" in " ".join(history.last.said.log)


def test_deploys_by_branch_and_by_tag_into_one_environment_unnamed() -> None:
    push = main_branch(Step("Deploy API", deployment="production", after=UNNAMED))
    tags = Pipeline("tags", "**", (Step("Deploy web", deployment="production", after=UNNAMED),))
    history = History(File((push, tags)))
    history.start(push, troubles=fail(0))
    history.start(tags, Ref("tag", "v1.0.0"))
    assert history.open_keys == ["deployment/production:step"]
    history.start(push)
    assert history.open_keys == ["deployment/production:step"]


def test_one_anchor_in_staging_and_production_has_two_keys() -> None:
    pager = named("deploy")
    push = main_branch(
        Step("Stage", deployment="staging", after=pager), Step("Live", deployment="production", after=pager)
    )
    history = History(File((push,)))
    history.start(push, troubles=fail(0))
    history.start(push, troubles=fail(1))
    assert history.open_keys == ["deployment/production:step/deploy"]


@pytest.mark.parametrize("final_runs_at_gates", [False, True])
def test_a_manual_publish_failed_and_the_next_release_waits_at_its_gate(final_runs_at_gates: bool) -> None:
    tags = Pipeline("tags", "v*", (Step("Build"), Step("Publish", manual=True)), Step("Page", inside=TOKEN))
    history = History(File((tags,)), World(final_runs_at_gates=final_runs_at_gates))
    history.start(tags, Ref("tag", "v2.0.1"), fail(1))
    waiting = history.start(tags, Ref("tag", "v2.0.2"), gates=0)
    assert history.open_keys == ["tag/v"]
    history.go_on(waiting)
    assert history.open_keys == []


def test_a_pager_that_cannot_deliver_comes_to_an_end() -> None:
    push = main_branch(Step("Build"))
    history = History(told(push))
    history.undelivered = True
    history.start(push, troubles=fail(0))  # the model raises Endless where it does not end
    assert len(history.sightings) <= 2


# Cases of cases/pipelines


def test_default_beside_a_branch_both_unnamed() -> None:
    every = Pipeline("default", "", (Step("quick check", after=UNNAMED),))
    push = main_branch(Step("full build", after=UNNAMED))
    history = History(File((every, push)))
    history.start(push, troubles=fail(0))
    history.start(push)
    assert history.open_keys == ["branch/main:step"]


def test_an_exact_branch_beside_a_brace_pattern_unnamed() -> None:
    exact = Pipeline("branches", "dev/pagespeed", (Step("exact", after=UNNAMED),))
    pattern = Pipeline(
        "branches", "{feature/*,fix/*,dev/*}", (Parallel((Step("unit", after=UNNAMED), Step("lint", after=UNNAMED))),)
    )
    history = History(File((exact, pattern)))
    history.start(exact, Ref("branch", "dev/pagespeed"), fail(0))
    history.start(exact, Ref("branch", "dev/pagespeed"))
    assert history.open_keys == ["branch/dev/pagespeed:step"]


@pytest.mark.parametrize(("clone", "still_open"), [(True, 1), (False, 0)])
def test_one_name_in_two_steps(clone: bool, still_open: int) -> None:
    """Without a clone the second step cannot see the first: a limit."""
    push = main_branch(Step("build", on_fail="ignore", after=named("ci")), Step("e2e", clone=clone, after=named("ci")))
    history = History(File((push,)))
    history.start(push, troubles=fail(0))
    assert len(history.open_keys) == still_open
    assert history.figures.excepted["a_step_without_a_clone"] == 1 - still_open


def test_shards_are_told_apart_by_their_index() -> None:
    shard = Step("unit tests", after=named("unit tests $BITBUCKET_PARALLEL_STEP"))
    push = main_branch(Parallel((shard, shard, shard)))
    history = History(File((push,)))
    history.start(push, troubles=fail(0, 1))
    assert history.open_keys == ["branch/main:step/unit tests 0", "branch/main:step/unit tests 1"]
    history.start(push, troubles=fail(0))
    assert history.open_keys == ["branch/main:step/unit tests 0"]


@pytest.mark.parametrize("deployment", ["", "production"])
def test_a_plain_last_step_sends_nothing(deployment: str) -> None:
    push = main_branch(Step("Build"), Step("Notify Success", deployment=deployment, inside=UNNAMED))
    history = History(File((push,)))
    history.start(push)
    assert history.last.said.bodies == ()
    assert history.last.said.status == 0


def test_a_build_status_taken_from_the_trigger_is_a_told_run() -> None:
    push, nightly = main_branch(Step("Build")), Pipeline("custom", "nightly", (Step("All"),))
    history = History(told(push, nightly, pager=Pager(build_status="$BITBUCKET_TRIGGER_PIPELINE_STATUS")))
    history.start(push, troubles=fail(0))
    assert len(history.open_keys) == 1
    history.start(nightly)
    assert len(history.open_keys) == 1


def test_the_told_recipe_pages_and_resolves_and_never_starts_itself_for_ever() -> None:
    push = main_branch(Step("Build and test"))
    history = History(told(push, triggers=RECIPE, pager=Pager(token=True, branches="main")))
    history.start(push, troubles=fail(0))
    assert history.open_keys == ["branch/main"]
    history.start(push)
    assert history.open_keys == []
    history.api("expired")
    run: Run = history.start(push, troubles=fail(0))
    assert run.result == "FAILED"
    assert len(history.bitbucket.runs) <= 8


def test_a_feature_branch_pages_under_default_as_written() -> None:
    every = Pipeline("default", "", (Step("Build and Test", after=UNNAMED),))
    history = History(File((every,)))
    history.start(every, FEATURE, fail(0))
    assert history.open_keys == ["branch/feature/x:step"]
    history.start(every, FEATURE)
    assert history.open_keys == []


# What the histories found


def test_a_swallowed_failure_of_a_skipped_step_keeps_the_alert_open() -> None:
    push = main_branch(Step("Unit"), Step("Web", condition=True), final=Step("Page", inside=TOKEN))
    history = History(File((push,)))
    history.start(push, troubles=fail(0))
    history.start(push, troubles=fail(1))
    history.start(push, troubles=skip(1))
    assert history.open_keys == ["branch/main"]
    history.start(push)
    assert history.open_keys == []


def test_two_pipelines_of_one_branch_are_resolved_when_both_are_green() -> None:
    exact, pattern = main_branch(Step("Build")), Pipeline("branches", "{main,release/*}", (Step("Build"),))
    history = History(told(exact, pattern))
    history.start(exact, troubles=fail(0))
    history.start(pattern, troubles=fail(0))
    history.start(exact)
    assert history.open_keys == ["branch/main"]
    history.start(pattern)
    assert history.open_keys == []


def test_a_final_after_script_beside_a_told_pager_warns() -> None:
    push = main_branch(Step("Unit"), final=Step("Page", after=UNNAMED))
    history = History(told(push, triggers=()))
    history.start(push, troubles=fail(0))
    assert history.open_keys == ["branch/main:result unknown"]


def test_a_final_step_with_a_token_beside_an_after_script_of_no_name_resolves() -> None:
    push = main_branch(Step("Unit", after=UNNAMED), final=Step("Page", inside=TOKEN))
    history = History(File((push,)))
    history.start(push, troubles=fail(0))
    history.start(push)
    assert history.open_keys == []


def test_one_dedup_key_by_branch_in_a_step_and_a_deployment() -> None:
    pager = Pager(dedup_key="build-$BITBUCKET_BRANCH")
    push = main_branch(Step("Unit", after=pager), Step("Deploy", deployment="production", after=pager))
    history = History(File((push,)))
    history.start(push, troubles=fail(1))
    history.start(push, troubles=fail(1))
    assert history.open_keys == ["build-main"]
    assert history.last.merged_into


def test_one_dedup_key_by_branch_on_a_branch_and_in_its_pull_request() -> None:
    pager = Pager(dedup_key="build-$BITBUCKET_BRANCH")
    push, request = (
        Pipeline("branches", "feature/x", (Step("Unit", after=pager),)),
        Pipeline("pull-requests", "**", (Step("Unit", after=pager),)),
    )
    history = History(File((push, request)))
    history.start(request, Ref("pull-request", "feature/x", 7, "main"), fail(0))
    resolves = history.last.opened[0].resolves
    history.start(push, FEATURE)
    assert history.open_keys == ["build-feature/x"], resolves


def test_one_dedup_key_in_the_finals_of_default_and_main() -> None:
    final = Step("Page", inside=Pager(token=True, dedup_key="build-$BITBUCKET_BRANCH"))
    every, push = Pipeline("default", "", (Step("Unit"),), final), main_branch(Step("Build"), final=final)
    history = History(File((every, push)))
    history.start(push, troubles=fail(0))
    history.start(every)
    assert history.open_keys == ["build-main"]
