"""How a pipeline went, by Bitbucket's answer."""

from __future__ import annotations

import pytest

from pipe.bitbucket.runs import PipelineRun, StepRun
from pipe.outcome import Outcome, Result
from pipe.pipeline_result import judge, judge_told, look
from tests.unit.files import DEFAULT, MAIN, read
from tests.unit.files import step as in_file

F, S, T, N, U = Result.FAILED, Result.SUCCESSFUL, Result.STOPPED, Result.NOTHING_RAN, Result.UNKNOWN
OWN = "{00000000-0000-0000-0000-000000000001}"
RUNNING, DONE = PipelineRun(number=812, state="IN_PROGRESS"), "COMPLETED"


def step(result: str = "SUCCESSFUL", name: str = "unit", **more: str) -> StepRun:
    """A step by its result, or by its state where that is none."""
    states = {"PENDING": "PENDING", "READY": "READY", "IN_PROGRESS": "IN_PROGRESS"}
    if result in states:
        return StepRun(uuid=f"{{{name}}}", name=name, state=result, **more)
    return StepRun(uuid=f"{{{name}}}", name=name, state=DONE, result=result, **more)


OK = step(name="ok")
OWN_STEP = StepRun(uuid=OWN, name="page", state="IN_PROGRESS", stage="RUNNING")


def judged(*steps: StepRun, run: PipelineRun = RUNNING, text: str = DEFAULT % in_file(), **more: bool) -> Outcome:
    return judge(look(run, (*steps, OWN_STEP), OWN.lower().strip("{}"), read(text).possible(MAIN), **more))


@pytest.mark.parametrize(
    ("steps", "result"),
    [
        ([OK], S), ([OK, step("FAILED")], F), ([OK, step("ERROR")], F), ([step("EXPIRED")], F), ([step("SYSTEM_ERROR")], F),
        ([step("USER_ERROR")], F), ([step("STOPPED")], T), ([step("STOPPED"), step("FAILED", "b")], F),
        ([step("STOPPED", error="Step exceeded its time limit")], F),
        ([OK, step("NOT_RUN")], S), ([OK, step("SKIPPED")], S), ([step("NOT_RUN")], N), ([step("NOT_RUN"), step("SKIPPED", "b")], N),
        ([OK, step("PENDING", stage="PAUSED")], S), ([OK, step("PENDING", stage="HALTED"), step("PENDING", "behind")], S),
        ([OK, step("PENDING", stage="PAUSED"), step("READY", "behind")], S), ([step("PENDING", stage="PAUSED")], N),
        ([OK, step("PENDING")], U), ([OK, step("READY")], U), ([OK, step("IN_PROGRESS")], U),
        ([step("PENDING", "before"), step("PENDING", stage="PAUSED")], U),
        ([step("PENDING", stage="PAUSED"), step("IN_PROGRESS", "beside"), OK], U),
        ([OK, step("EXPLODED")], U), ([OK, StepRun(state="COMPLETED")], U), ([OK, StepRun(state="RESTING")], U), ([OK, StepRun()], U),
        ([step("FAILED"), step("IN_PROGRESS", "b")], F), ([step("FAILED"), step("EXPLODED", "b")], F),
        ([], U),
    ],
)  # fmt: skip
def test_the_other_steps_decide(steps, result):
    outcome = judged(*steps)
    assert outcome.result is result, outcome
    assert outcome.unfinished == (
        result is U and any(s.state in ("PENDING", "READY", "IN_PROGRESS") and not s.result for s in steps)
    )


@pytest.mark.parametrize(
    ("run", "steps", "result"),
    [
        (PipelineRun(state=DONE, result="SUCCESSFUL"), [step("FAILED")], S),
        (PipelineRun(state=DONE, result="FAILED"), [OK], F),
        (PipelineRun(state=DONE, result="FAILED"), [], F),
        (PipelineRun(state=DONE, result="ERROR"), [OK], F),
        (PipelineRun(state=DONE, result="STOPPED"), [OK], T),
        (PipelineRun(state=DONE, result="STOPPED", error="no minutes"), [OK], F),
        (PipelineRun(state=DONE, result="PAUSED_FOR_EVER"), [OK], U),
        (PipelineRun(state="PENDING", stage="PAUSED"), [OK, step("PENDING")], S),
        (PipelineRun(state="IN_PROGRESS", stage="HALTED"), [OK, step("PENDING")], S),
    ],
)
def test_a_finished_pipeline_s_own_result_is_not_contradicted(run, steps, result):
    assert judged(*steps, run=run).result is result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        (DEFAULT % in_file("unit", more=", on-fail: {strategy: ignore}"), S),
        (DEFAULT % f"{in_file('unit', more=', on-fail: {strategy: ignore}')}, {in_file('unit')}", F),
        (DEFAULT % in_file("unit", more=", on-fail: {strategy: retry}"), F),
        (DEFAULT % in_file("other", more=", on-fail: {strategy: ignore}"), F),
        ("pipelines: {tags: {'*': [%s]}}" % in_file("unit", more=", on-fail: {strategy: ignore}"), F),
    ],
)
def test_a_step_whose_failure_is_ignored_is_left_out_where_every_step_of_its_name_says_so(text, result):
    assert judged(OK, step("FAILED"), text=text).result is result


def test_an_unnamed_step_is_never_taken_for_an_ignored_one():
    text = DEFAULT % in_file("unit", more=", on-fail: {strategy: ignore}").replace("name: unit, ", "")
    assert judged(OK, step("FAILED", name=""), text=text).result is F


def test_an_ordinary_step_cannot_take_the_others_success_for_its_own():
    assert judged(OK, own_code_missing=True).result is U
    assert "map `EXIT_CODE: $BITBUCKET_EXIT_CODE`" in judged(OK, own_code_missing=True).reason
    assert judged(step("FAILED"), own_code_missing=True).result is F


def test_the_failure_names_the_steps_and_bitbucket_s_error():
    outcome = judged(
        OK,
        step("FAILED", "API tests"),
        step("FAILED", "lint", error="Container 'Build' exceeded memory limit."),
        step("NOT_RUN", "deploy"),
    )
    assert outcome.failed_steps == ("API tests", "lint")
    assert outcome.failed_step_uuid == "{API tests}"
    assert outcome.error == "Container 'Build' exceeded memory limit."
    assert outcome.reason == 'Bitbucket says that "API tests" and "lint" failed'
    assert outcome.skipped == ()
    many = judged(*(step("FAILED", f"s{n}") for n in range(6))).reason
    assert many == 'Bitbucket says that "s0", "s1", "s2" and 3 more failed'
    assert judged(step("EXPIRED")).reason == 'Bitbucket says that "unit" expired'
    assert judged(step("FAILED", name="")).failed_steps == ("an unnamed step",)


def test_what_did_not_run_is_told_by_name_once():
    assert judged(
        OK, step("NOT_RUN", "a"), step("NOT_RUN", "a"), step("PENDING", "b", stage="PAUSED"), step("SKIPPED", "")
    ).skipped == ("a", "", "b")
    assert judged(step("FAILED"), step("NOT_RUN", "behind it"), step("SKIPPED", "by a condition")).skipped == (
        "by a condition",
    )


def test_an_ignored_step_that_did_not_run_is_no_matter():
    text = DEFAULT % in_file("unit", more=", on-fail: {strategy: ignore}")
    assert judged(OK, step("NOT_RUN"), text=text).skipped == ()


TOLD = {result: Outcome(result, "told", told=True) for result in Result}
PASSED, BROKEN = (
    PipelineRun(state=DONE, result="SUCCESSFUL"),
    PipelineRun(state=DONE, result="FAILED", error="bad YAML"),
)
BY_ADA, BY_NOBODY = (
    PipelineRun(state=DONE, result="STOPPED", terminator="Ada"),
    PipelineRun(state=DONE, result="STOPPED"),
)


@pytest.mark.parametrize(
    ("told", "run", "steps", "result", "doubt"),
    [
        (F, BROKEN, [step("FAILED")], F, False),
        (F, PASSED, [OK], F, False),
        (F, RUNNING, [], F, False),
        (S, PASSED, [OK, step("NOT_RUN")], S, False),
        (S, BROKEN, [step("FAILED")], F, False),
        (S, RUNNING, [OK], S, False),
        (S, RUNNING, [OK, step("IN_PROGRESS")], S, True),
        (S, BY_ADA, [step("STOPPED")], S, True),
        (S, PipelineRun(state=DONE, result="WEIRD"), [OK], S, True),
        (T, BY_ADA, [step("STOPPED")], T, False),
        (T, BY_NOBODY, [step("STOPPED")], F, False),
        (T, BY_NOBODY, [OK], F, False),
        (T, BY_ADA, [step("STOPPED", error="time limit")], F, False),
        (T, RUNNING, [step("STOPPED")], T, False),
        (T, PASSED, [OK], T, False),
        (U, PASSED, [OK], U, False),
        (U, BROKEN, [], F, False),
    ],
)
def test_the_api_can_only_turn_a_told_success_into_a_failure_or_a_doubt_and_a_stop_by_nobody_into_a_failure(
    told, run, steps, result, doubt
):
    outcome = judge_told(TOLD[told], look(run, tuple(steps), "", ()))
    assert (outcome.result, bool(outcome.doubt), outcome.told) == (result, doubt, True)


def test_a_told_failure_gets_steps_error_and_selector_from_the_api():
    run = PipelineRun(state=DONE, result="FAILED", selector_type="custom", selector_pattern="nightly")
    outcome = judge_told(TOLD[F], look(run, (step("FAILED", error="out of memory"),), "", ()))
    assert (outcome.failed_steps, outcome.error, outcome.selector) == (
        ("unit",),
        "out of memory",
        ("custom", "nightly"),
    )
    assert judge_told(TOLD[F], look(BROKEN, (), "", ())).error == "bad YAML"
