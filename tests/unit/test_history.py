"""What the other builds under the same key say of a success or a failure."""

from __future__ import annotations

import pytest

from pipe.bitbucket import Unreadable
from pipe.bitbucket.runs import PipelineRun, StepRun
from pipe.history import MAX_STEP_LISTS, History, read
from tests.unit.files import MAIN


def build(number: int, result: str = "SUCCESSFUL", **more) -> PipelineRun:
    target = {"ref_type": "branch", "ref_name": "main", "selector_type": "branches", "selector_pattern": "main"}
    return PipelineRun(uuid=f"{{{number}}}", number=number, state="COMPLETED", result=result, **{**target, **more})


class Api:
    """Bitbucket's API with some builds, and their steps as `name: result`; counts what it is asked."""

    def __init__(self, *builds: PipelineRun, **steps: dict[str, str]) -> None:
        self.found, self.listed, self.asked, self.branches = builds, steps, [], []

    def builds(self, branch: str) -> tuple[PipelineRun, ...]:
        self.branches.append(branch)
        return self.found

    def steps(self, pipeline_uuid: str) -> tuple[StepRun, ...]:
        number = pipeline_uuid.strip("{}")
        self.asked.append(int(number))
        found = self.listed.get(f"n{number}", {})
        return tuple(StepRun(name=name.rstrip("*"), result=result) for name, result in found.items())


def doubt(api: Api, own: PipelineRun, *skipped: str) -> str:
    return read(api, own, MAIN).doubt(api, skipped)


OWN = build(10)
NEWER_FAILED = "the newer build #11 did not pass"
BRACE = {"selector_pattern": "{main,dev}"}
OTHER_FAILED = "branches: {main,dev} uses the same key and did not pass when it last ran (#%s)"


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (build(11, "FAILED"), NEWER_FAILED), (build(11, "ERROR"), NEWER_FAILED), (build(11, "EXPIRED"), NEWER_FAILED),
        (build(11, "SYSTEM_ERROR"), NEWER_FAILED), (build(11, "USER_ERROR"), NEWER_FAILED), (build(11, "STOPPED"), NEWER_FAILED),
        (build(11), ""), (build(11, "STOPPED", terminator="Ada"), ""), (build(11, ""), ""), (build(9, "FAILED"), ""), (build(11, "ODD"), NEWER_FAILED),
        (build(11, "FAILED", ref_name="dev"), ""), (build(11, "FAILED", selector_type="custom", selector_pattern="nightly"), ""),
        (build(11, "FAILED", selector_type="default", selector_pattern=""), ""),
        (build(11, "FAILED", pull_request=7), ""), (build(11, "FAILED", ref_type="tag"), ""),
        (build(10, "FAILED"), ""), (build(10, "FAILED")._replace(uuid="{another}"), ""),
    ],
)  # fmt: skip
def test_a_success_is_in_doubt_where_a_newer_finished_build_of_the_same_key_failed(other, says):
    assert doubt(Api(other, OWN), OWN) == says


def test_of_several_newer_failures_the_newest_is_named():
    assert doubt(Api(build(11, "FAILED"), build(13), build(12, "FAILED")), OWN) == "the newer build #12 did not pass"


def test_a_build_without_a_number_is_older_than_any_other():
    nameless = build(11, "FAILED")._replace(number=None)
    assert doubt(Api(nameless, OWN), OWN) == ""
    assert doubt(Api(build(1, "FAILED"), nameless), OWN._replace(number=None)) == "the newer build #1 did not pass"
    assert read(Api(nameless, build(1)), OWN, MAIN).builds == (build(1), nameless)


@pytest.mark.parametrize(
    ("dedup_key", "other", "says"),
    [
        ("shop-main", build(11, "FAILED", selector_type="custom", selector_pattern="nightly"), NEWER_FAILED),
        ("shop-main", build(11, "FAILED", selector_type="default", selector_pattern=""), NEWER_FAILED),
        ("shop-main", build(11, "FAILED", ref_name="dev"), ""),
        ("", build(11, "FAILED", selector_type="custom", selector_pattern="nightly"), ""),
    ],
)
def test_with_a_dedup_key_every_pipeline_of_the_place_can_have_it(dedup_key, other, says):
    api = Api(other)
    assert read(api, OWN, MAIN, dedup_key).doubt(api, ()) == says


@pytest.mark.parametrize(
    ("number", "pattern", "says"),
    [
        (9, "{main,dev}", OTHER_FAILED % 9),
        (11, "{main,dev}", NEWER_FAILED),
        (9, "ma*", ""),
        (11, "ma*", ""),
        (11, "main", NEWER_FAILED),
    ],
)
def test_another_pipeline_of_the_same_key_counts_only_where_it_can_open_an_alert(number, pattern, says):
    api = Api(build(number, "FAILED", selector_pattern=pattern))
    pages = {("branches", "{main,dev}")}.__contains__
    assert read(api, OWN, MAIN, pages=pages).doubt(api, ()) == says


def test_a_failure_between_this_build_and_a_newer_one_that_passed_is_a_doubt_too():
    assert doubt(Api(build(12), build(11, "FAILED"), OWN), OWN) == NEWER_FAILED


@pytest.mark.parametrize(
    ("others", "number"),
    [([build(11)], 11), ([build(12), build(11, "FAILED")], 12), ([build(12, "FAILED"), build(11)], None), ([build(9)], None), ([], None),
     ([build(13, ""), build(12)], 12)],
)  # fmt: skip
def test_the_newest_build_tells_whether_a_newer_one_passed(others, number):
    newer = read(Api(*others, OWN), OWN, MAIN).newer_passed
    assert (newer.number if newer else None) == number


@pytest.mark.parametrize(
    ("tag", "other", "says"), [("v2.0.1", "v2.0.2", True), ("v2.0.1", "v1.9.5", True), ("v2.0.1", "web-v2.0.2", False)]
)
def test_tags_of_one_line_are_builds_of_one_key(tag, other, says):
    own = build(10, ref_type="tag", ref_name=tag, selector_type="tags", selector_pattern="*")
    api = Api(build(11, "FAILED", ref_type="tag", ref_name=other, selector_type="tags", selector_pattern="*"))
    assert bool(doubt(api, own)) is says
    assert api.branches == [""]


def test_builds_of_a_branch_are_asked_for_by_its_name():
    api = Api()
    doubt(api, OWN)
    assert api.branches == ["main"]


def test_builds_of_a_pull_request_are_not_asked_for_by_a_branch():
    api = Api()
    doubt(api, build(10, pull_request=42, ref_name="fix", destination="main"))
    assert api.branches == [""]


@pytest.mark.parametrize(
    ("others", "says"),
    [
        ([build(9, "FAILED", **BRACE), build(8, **BRACE)], OTHER_FAILED % 9),
        ([build(9, **BRACE), build(8, "FAILED", **BRACE)], ""),
        ([build(9, "STOPPED", **BRACE)], OTHER_FAILED % 9),
        ([build(9, "STOPPED", terminator="Ada", **BRACE), build(8, "FAILED", **BRACE)], OTHER_FAILED % 8),
        ([build(9, "ODD", **BRACE), build(8, "FAILED", **BRACE)], OTHER_FAILED % 9),
        ([build(9), build(8, "FAILED")], ""),
        ([build(9, selector_pattern="ma*"), build(8, "FAILED", **BRACE)], OTHER_FAILED % 8),
        ([build(9, "FAILED", selector_type="", selector_pattern="")], "another pipeline uses the same key and did not pass when it last ran (#9)"),
        ([build(9, "FAILED", selector_pattern="")], "branches uses the same key and did not pass when it last ran (#9)"),
    ],
)  # fmt: skip
def test_another_pipeline_of_the_same_key_that_failed_last_is_a_doubt(others, says):
    assert doubt(Api(OWN, *others), OWN) == says


def test_a_step_at_which_nobody_stopped_the_build_is_one_that_failed():
    for terminator, says in (("", '"web" did not run, and failed when it last ran (#9)'), ("Ada", "")):
        api = Api(OWN, build(9, "STOPPED", terminator=terminator), n9={"web": "STOPPED"})
        assert doubt(api, OWN, "web") == says


@pytest.mark.parametrize(
    ("builds", "says"),
    [
        ({9: {"web": "FAILED"}}, True),
        ({9: {"web": "SUCCESSFUL"}}, False),
        ({9: {}, 8: {"web": "FAILED"}}, True),
        ({9: {"web": "SUCCESSFUL"}, 8: {"web": "FAILED"}}, False),
        ({9: {"web": "NOT_RUN"}, 8: {"web": "FAILED"}}, True),
        ({9: {"web": "SKIPPED"}, 8: {"web": "SUCCESSFUL"}, 7: {"web": "FAILED"}}, False),
        ({9: {"web": "FAILED"}, 8: {"web": "SUCCESSFUL"}}, True),
        ({9: {"web": "STOPPED"}, 8: {"web": "FAILED"}}, True),
        ({9: {"web": "SUCCESSFUL", "web*": "FAILED"}}, True),
        ({9: {"web": "SUCCESSFUL", "web*": "NOT_RUN"}, 8: {"web": "FAILED"}}, True),
        ({9: {"web": "SUCCESSFUL", "web*": "SUCCESSFUL"}, 8: {"web": "FAILED"}}, False),
        ({9: {"web": "SUCCESSFUL", "web*": "PASSED", "web**": "SUCCESS"}, 8: {"web": "FAILED"}}, False),
        ({9: {"web": "SUCCESSFUL", "docs": "FAILED"}, 8: {"web": "FAILED"}}, False),
        ({11: {"web": "SUCCESSFUL"}, 8: {"web": "FAILED"}}, False),
        ({}, False),
    ],
)  # fmt: skip
def test_a_step_that_did_not_run_is_a_doubt_where_it_failed_when_it_last_ran(builds, says):
    """The builds that hold a failed step failed; so did, for another reason, those that passed no step on."""
    results = {
        n: "FAILED" if "FAILED" in steps.values() or (n != 11 and not steps) else "SUCCESSFUL"
        for n, steps in builds.items()
    }
    api = Api(OWN, *(build(n, results[n]) for n in builds), **{f"n{n}": steps for n, steps in builds.items()})
    failed_in = next((n for n in sorted(builds, reverse=True) if "FAILED" in builds[n].values()), 0)
    assert doubt(api, OWN, "web") == (f'"web" did not run, and failed when it last ran (#{failed_in})' if says else "")


def test_unnamed_steps_count_as_one():
    says = "an unnamed step did not run, and failed when it last ran (#9)"
    assert doubt(Api(OWN, build(9, "FAILED"), n9={"": "FAILED"}), OWN, "") == says
    assert doubt(Api(OWN, build(9, "FAILED"), n9={"": "SUCCESSFUL", "*": "FAILED"}), OWN, "") == says


def test_an_error_beside_a_stopped_step_is_a_failure():
    class Stopped(Api):
        def steps(self, pipeline_uuid: str) -> tuple[StepRun, ...]:
            return (StepRun(name="web", result="STOPPED", error="time limit"),)

    says = '"web" did not run, and failed when it last ran (#9)'
    assert doubt(Stopped(OWN, build(9, "STOPPED", terminator="Ada")), OWN, "web") == says


def test_builds_that_passed_are_not_looked_into_unless_something_before_them_failed():
    api = Api(*(build(n) for n in range(70, 10, -1)))
    assert not doubt(api, build(71), "web", "docs")
    assert api.asked == []


def test_only_the_first_green_run_after_a_failed_one_is_looked_for():
    steps = {f"n{n}": {"web": "SUCCESSFUL"} for n in range(30, 60)} | {"n29": {"web": "FAILED"}}
    api = Api(*(build(n) for n in range(59, 29, -1)), build(29, "FAILED"), **steps)
    assert not doubt(api, build(60), "web")
    assert api.asked == [29, 30]


def test_what_more_lists_would_have_to_settle_is_in_doubt():
    api = Api(*(build(n) for n in range(59, 29, -1)), build(29, "FAILED"), n29={"web": "FAILED"})
    says = '"web" did not run, and its last run is too many builds ago to be looked up'
    assert doubt(api, build(60), "web") == says
    assert len(api.asked) == MAX_STEP_LISTS


def test_each_build_is_asked_for_once():
    api = Api(build(9, "FAILED"), n9={"web": "SUCCESSFUL", "docs": "SUCCESSFUL", "lint": "FAILED"})
    assert not doubt(api, OWN, "web", "docs")
    assert api.asked == [9]


def test_a_build_that_is_not_finished_says_nothing():
    assert read(Api(build(11, ""), OWN), OWN, MAIN) == History((), OWN)


def test_where_bitbucket_does_not_say_on_which_ref_it_runs_no_other_build_can_be_told_apart():
    with pytest.raises(Unreadable) as error:
        read(Api(build(11, "FAILED")), OWN._replace(ref_type="", ref_name=""), MAIN)
    says = ("Bitbucket's answer does not say on which ref this pipeline runs", "")
    assert (error.value.reason, error.value.advice) == says
    assert read(Api(), OWN._replace(ref_type="", ref_name=""), MAIN.told_of()).builds == ()  # told of, unplaced anyway
