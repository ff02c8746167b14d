"""How a pipeline went, by Bitbucket's answer."""

from __future__ import annotations

import pytest

from pipe.bitbucket.runs import PipelineRun, StepRun
from pipe.outcome import MISPLACED, Outcome, Result
from pipe.pipeline_result import OWN_CODE_MISSING, Look, judge, judge_told, look
from pipe.placement import placed
from tests.unit.files import DEFAULT, MAIN, read
from tests.unit.files import step as in_file

F, S, T, N, U = Result.FAILED, Result.SUCCESSFUL, Result.STOPPED, Result.NOTHING_RAN, Result.UNKNOWN
M = Result.MISPLACED
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


def judged(*steps: StepRun, run: PipelineRun = RUNNING, text: str = DEFAULT % in_file()) -> Outcome:
    return judge(look(run, (*steps, OWN_STEP), OWN.lower().strip("{}"), read(text).possible(MAIN)))


def failed(reason: str, *names: str, uuid: str = "", error: str = "", **more) -> Outcome:
    uuid = uuid or (f"{{{names[0]}}}" if names else "")
    return Outcome(F, reason, failed_steps=names, failed_step_uuid=uuid, error=error, **more)


def unknown(reason: str, **more) -> Outcome:
    return Outcome(U, f"{reason}, which the pipe does not know", **more)


def waiting(names: str, **more) -> Outcome:
    return Outcome(U, f"{names} had not finished when the time to wait was over", unfinished=True, **more)


PASSED_STEPS = Outcome(S, "Bitbucket says that every other step that ran passed")
NOTHING_RAN = "no other step of the pipeline ran"
PAUSED, HALTED = {"stage": "PAUSED"}, {"stage": "HALTED"}


def without(*names: str) -> Outcome:
    return PASSED_STEPS._replace(skipped=names)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([OK], PASSED_STEPS),
        ([OK, step("PASSED", "b"), step("SUCCESS", "c")], PASSED_STEPS),
        ([OK, step("FAILED")], failed('Bitbucket says that "unit" failed', "unit")),
        ([OK, step("ERROR")], failed('Bitbucket says that "unit" failed', "unit")),
        ([step("SYSTEM_ERROR")], failed('Bitbucket says that "unit" failed', "unit")),
        ([step("USER_ERROR")], failed('Bitbucket says that "unit" failed', "unit")),
        ([step("EXPIRED")], failed('Bitbucket says that "unit" expired', "unit")),
        ([step("EXPIRED"), step("EXPIRED", "b")], failed('Bitbucket says that "unit" and "b" expired', "unit", "b")),
        ([step("EXPIRED"), step("FAILED", "b")], failed('Bitbucket says that "unit" and "b" failed', "unit", "b")),
        ([step("FAILED", name="")], failed("Bitbucket says that an unnamed step failed", "an unnamed step", uuid="{}")),
        ([step("FAILED", n) for n in "abc"], failed('Bitbucket says that "a", "b" and "c" failed', "a", "b", "c")),
        ([step("FAILED", n) for n in "abcd"], failed('Bitbucket says that "a", "b", "c" and 1 more failed', *"abcd")),
        ([StepRun(name="a", state=DONE, result="FAILED"), step("FAILED", "b")], failed('Bitbucket says that "a" and "b" failed', "a", "b", uuid="{b}")),
        ([step("FAILED"), step("IN_PROGRESS", "b")], failed('Bitbucket says that "unit" failed', "unit")),
        ([step("FAILED"), step("EXPLODED", "b")], failed('Bitbucket says that "unit" failed', "unit")),
        ([step("STOPPED"), step("FAILED", "b")], failed('Bitbucket says that "b" failed', "b")),
        ([step("FAILED"), step("NOT_RUN", "behind"), step("SKIPPED", "c")], failed('Bitbucket says that "unit" failed', "unit", skipped=("c",))),
        ([step("STOPPED")], Outcome(T, 'somebody stopped the pipeline at "unit"')),
        ([step("STOPPED", error="time limit")], failed("the pipeline was stopped by an error", "unit", error="time limit")),
        ([step("STOPPED"), step("STOPPED", "b", error="e")], failed("the pipeline was stopped by an error", "b", error="e")),
        ([OK, step("NOT_RUN")], without("unit")), ([OK, step("SKIPPED")], without("unit")),
        ([step("NOT_RUN")], Outcome(N, NOTHING_RAN, skipped=("unit",))),
        ([step("NOT_RUN"), step("SKIPPED", "b")], Outcome(N, NOTHING_RAN, skipped=("unit", "b"))),
        ([step("PENDING", **PAUSED)], Outcome(N, NOTHING_RAN, skipped=("unit",))),
        ([OK, step("PENDING", **PAUSED)], without("unit")),
        ([OK, step("PENDING", **HALTED), step("PENDING", "behind")], without("unit", "behind")),
        ([OK, step("PENDING", **PAUSED), step("READY", "behind")], without("unit", "behind")),
        ([OK, step("PENDING", **PAUSED), step("NOT_RUN", "b")], without("b", "unit")),
        ([OK, step(**PAUSED)], PASSED_STEPS),
        ([OK, step(**PAUSED), step("PENDING", "b")], waiting('"b"')),
        ([OK, step("PENDING")], waiting('"unit"')), ([OK, step("READY")], waiting('"unit"')), ([OK, step("IN_PROGRESS")], waiting('"unit"')),
        ([step("PENDING", "before"), step("PENDING", **PAUSED)], waiting('"before"', skipped=("unit",))),
        ([step("PENDING", **PAUSED), step("IN_PROGRESS", "b"), OK], waiting('"b"', skipped=("unit",))),
        ([OK, step("IN_PROGRESS", **PAUSED), step("PENDING", "b")], waiting('"unit"', skipped=("b",))),
        ([OK, step("EXPLODED")], unknown('"unit" ended as EXPLODED')),
        ([step("EXPLODED"), step("BURST", "b")], unknown('"unit" and "b" ended as EXPLODED')),
        ([OK, step("EXPLODED"), step("PENDING", "b")], unknown('"unit" ended as EXPLODED')),
        ([OK, StepRun(state="COMPLETED")], unknown("an unnamed step ended as COMPLETED")),
        ([OK, StepRun(state="RESTING", name="a")], unknown('"a" ended as RESTING')),
        ([OK, StepRun()], unknown("an unnamed step ended as nothing")),
        ([], Outcome(U, "Bitbucket lists no other step, and a step cannot judge itself")),
    ],
)  # fmt: skip
def test_the_other_steps_decide(steps, expected):
    assert judged(*steps) == expected


@pytest.mark.parametrize(
    ("run", "steps", "expected"),
    [
        ({"result": "SUCCESSFUL"}, [step("FAILED")], Outcome(S, "Bitbucket says that the pipeline passed")),
        ({"result": "PASSED"}, [], Outcome(S, "Bitbucket says that the pipeline passed")),
        ({"result": "SUCCESSFUL"}, [OK, step("NOT_RUN")], Outcome(S, "Bitbucket says that the pipeline passed", skipped=("unit",))),
        ({"result": "FAILED"}, [OK], failed("Bitbucket says that the pipeline ended as FAILED")),
        ({"result": "FAILED", "error": "bad YAML"}, [], failed("Bitbucket says that the pipeline ended as FAILED", error="bad YAML")),
        ({"result": "FAILED", "error": "e"}, [step("FAILED")], failed('Bitbucket says that "unit" failed', "unit", error="e")),
        ({"result": "FAILED", "error": "e"}, [step("FAILED", error="of the step")], failed('Bitbucket says that "unit" failed', "unit", error="of the step")),
        ({"result": "ERROR"}, [OK, step("NOT_RUN")], failed("Bitbucket says that the pipeline ended as ERROR", skipped=("unit",))),
        ({"result": "STOPPED"}, [OK], Outcome(T, "somebody stopped the pipeline")),
        ({"result": "STOPPED", "terminator": "Ada"}, [OK, step("STOPPED")], Outcome(T, 'Ada stopped the pipeline at "unit"')),
        ({"result": "STOPPED", "error": "no minutes"}, [OK], failed("the pipeline was stopped by an error", error="no minutes")),
        ({"result": "STOPPED"}, [], Outcome(T, "somebody stopped the pipeline")),
        ({"result": "ODD"}, [OK], unknown("the pipeline ended as ODD")),
        ({"result": "ODD"}, [step("NOT_RUN")], Outcome(N, NOTHING_RAN, skipped=("unit",))),
        ({"stage": "PAUSED"}, [OK, step("PENDING")], without("unit")),
        ({"stage": "HALTED"}, [OK, step("PENDING")], without("unit")),
        ({"stage": "RUNNING"}, [OK, step("PENDING")], waiting('"unit"')),
    ],
)  # fmt: skip
def test_a_finished_pipeline_s_own_result_is_not_contradicted(run, steps, expected):
    assert judged(*steps, run=PipelineRun(state=DONE if "result" in run else "IN_PROGRESS", **run)) == expected


def test_what_started_the_pipeline_is_handed_on():
    run = RUNNING._replace(selector_type="branches", selector_pattern="main")
    assert judged(OK, run=run) == PASSED_STEPS._replace(selector=("branches", "main"))


def test_in_a_custom_pipeline_that_the_file_does_not_show_the_asking_step_is_an_ordinary_one():
    nightly = RUNNING._replace(selector_type="custom", selector_pattern="nightly")
    assert judged(OK, run=nightly).reason == f"all other steps passed, but {OWN_CODE_MISSING}"
    assert (judged(step("FAILED"), run=nightly).result, judged(step("FAILED"), run=nightly).doubt) == (
        F,
        OWN_CODE_MISSING,
    )
    assert judged(step("FAILED")).doubt == ""
    assert judge_told(TOLD[S], look(nightly, (OK,), "", ())).doubt == ""
    shown = read(
        "pipelines: {custom: {nightly: [%s, %s]}}" % (in_file(), in_file("page", kind="final", where="script"))
    )
    here = placed(shown, MAIN, "", "", has_code=True)[1:]
    assert judge(look(nightly, (OK, OWN_STEP), OWN, shown.pipelines, here)).result is S


@pytest.mark.parametrize("own", [OWN, OWN.strip("{}"), OWN.upper(), f" {OWN} "])
@pytest.mark.parametrize("listed", [OWN, OWN.upper(), OWN.strip("{}")])
def test_a_step_does_not_judge_itself_however_its_uuid_is_written(own, listed):
    steps = (OK, StepRun(uuid=listed, name="page", state="IN_PROGRESS"))
    assert look(RUNNING, steps, own, ()) == Look(RUNNING, (OK,))


def test_uuids_that_begin_or_end_alike_are_two_steps():
    steps = (StepRun(uuid="{X1}"), StepRun(uuid="{1}"), StepRun(uuid="{1X}"))
    assert look(RUNNING, steps, "{1}", ()).steps == (steps[0], steps[2])
    assert look(RUNNING, steps, "", ()).steps == steps


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


PAGER = "pipe: acme/pagerduty:1"
SAYS_ITS_CODE = "{pipe: acme/pagerduty:1, variables: {EXIT_CODE: $BITBUCKET_EXIT_CODE}}"
ORDINARY = "step: {name: %s, script: [a], after-script: [%s]}"
FINAL = "final: {name: %s, script: [pipe: acme/pagerduty:1]}"


@pytest.mark.parametrize("item", [PAGER, SAYS_ITS_CODE])
@pytest.mark.parametrize(
    ("ordinary", "final", "own", "result"),
    [
        ("page", "", "page", U),
        ("page", "", "no name that the file knows", U),
        ("page", "end", "page", U),
        ("page", "end", "end", S),
        ("page", "end", "[Final Step] end", S),
        ("page", "end", "", U),  # it can be either
        ("''", "end", "end", U),
        ("page", "''", "end", S),
        ("page", "page", "page", U),
        ("page", "page", "[Final Step] page", S),
        ("''", "''", "", U),
        ("", "end", "end", S),
        ("", "end", "no name that the file knows", S),
        ("", "", "", S),
    ],
)
def test_an_ordinary_step_cannot_take_the_others_success_for_its_own(item, ordinary, final, own, result):
    """Bitbucket's name of the asking step tells which of the file's steps it is."""
    steps = ["step: {name: unit, script: [a]}"]
    steps += [ORDINARY % (ordinary, item)] if ordinary else []
    steps += [FINAL % final] if final else []
    definition = read("pipelines: {default: [{%s}]}" % "}, {".join(steps))
    here = placed(definition, MAIN, "", "", has_code=True)
    asking = OWN_STEP._replace(name=own)
    for other, expected in ((OK, result), (step("FAILED"), F)):
        found = judge(look(RUNNING, (other, asking), OWN, definition.possible(MAIN), here))
        assert found.result is expected
    if result is U:
        assert "this step's own exit code is missing" in judge(look(RUNNING, (OK, asking), OWN, (), here)).reason


def test_an_asking_step_that_bitbucket_does_not_list_can_be_any():
    definition = read("pipelines: {default: [{%s}, {%s}]}" % (ORDINARY % ("page", PAGER), FINAL % "''"))
    found = judge(look(RUNNING, (OK,), OWN, definition.possible(MAIN), placed(definition, MAIN, "", "", has_code=True)))
    assert found.result is U


SCRIPT = "step: {name: %s, script: [pipe: acme/pagerduty:1]}"
LINT = "step: {name: lint, script: [a], after-script: [pipe: acme/pagerduty:1]}"


@pytest.mark.parametrize(
    ("others", "own", "result"),
    [
        ("", "deploy", M),
        ("", "lint", U),
        ("", "", U),
        ("", "no name that the file knows", U),
        (", {%s}" % FINAL % "deploy", "deploy", S),
        (", {%s}" % FINAL % "deploy", "[Final Step] deploy", S),
        (", {%s}" % FINAL % "end", "end", S),
        (", {%s}" % LINT.replace("lint", "deploy"), "deploy", U),
        (", {%s}" % LINT.replace("lint", "''"), "deploy", U),
    ],
)
def test_bitbucket_s_name_of_the_asking_step_tells_a_pipe_in_the_wrong_place(others, own, result):
    default = "pipelines: {default: [{%s}, {%s}%s]" % (SCRIPT % "deploy", LINT, others)

    def asked(more: str, other: StepRun) -> Outcome:
        definition = read(default + more)
        here = placed(definition, MAIN, "", "", has_code=True)
        return judge(look(RUNNING, (other, OWN_STEP._replace(name=own)), OWN, definition.possible(MAIN), here))

    assert asked("}", OK).result is result
    assert asked("}", step("FAILED")).result is (M if result is M else F)
    assert (asked("}", OK).reason == MISPLACED) is asked("}", OK).of_step is (result is M)
    assert asked(", custom: {other: {import: 'a:b:c'}}}", OK).result is U  # there its name can stand as well
    assert asked(", tags: {'*': {import: 'a:b:c'}}}", OK).result is result


def test_the_failure_names_the_steps_and_bitbucket_s_error():
    error = "Container 'Build' exceeded memory limit."
    steps = (OK, step("FAILED", "API tests"), step("FAILED", "lint", error=error), step("NOT_RUN", "deploy"))
    expected = failed('Bitbucket says that "API tests" and "lint" failed', "API tests", "lint", error=error)
    assert judged(*steps) == expected


def test_what_did_not_run_is_told_by_name_once():
    assert judged(
        OK, step("NOT_RUN", "a"), step("NOT_RUN", "a"), step("PENDING", "b", stage="PAUSED"), step("SKIPPED", "")
    ).skipped == ("a", "", "b")
    assert judged(step("FAILED"), step("NOT_RUN", "behind it"), step("SKIPPED", "by a condition")).skipped == (
        "by a condition",
    )


def test_an_ignored_step_that_an_error_ended_is_not_named_among_those_that_failed():
    text = DEFAULT % f"{in_file('lint', more=', on-fail: {strategy: ignore}')}, {in_file('unit')}"
    steps = (step("STOPPED", "lint", error="time limit"), step("STOPPED", "unit", error="time limit"))
    assert judged(*steps, text=text) == failed("the pipeline was stopped by an error", "unit", error="time limit")
    found = judged(steps[0], run=RUNNING._replace(result="FAILED"), text=text)
    assert found == failed("Bitbucket says that the pipeline ended as FAILED")


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


NIGHTLY = {"selector_type": "custom", "selector_pattern": "nightly"}
BY_ITS_STEP = failed('Bitbucket says that "unit" failed', "unit", told=True)
NOBODY = "the pipeline was stopped, and Bitbucket names nobody who stopped it"


def as_told(result: Result, **more) -> Outcome:
    return TOLD[result]._replace(**more)


@pytest.mark.parametrize(
    ("told", "run", "steps", "expected"),
    [
        (F, BROKEN, [step("FAILED")], BY_ITS_STEP._replace(error="bad YAML")),
        (F, BROKEN, [], failed("Bitbucket says that the pipeline ended as FAILED", error="bad YAML", told=True)),
        (F, PASSED, [OK], as_told(F)),
        (F, RUNNING, [], as_told(F)),
        (F, BY_ADA, [step("STOPPED")], as_told(F)),
        (F, RUNNING, [OK, step("SKIPPED", "b")], as_told(F, skipped=("b",))),
        (F, BROKEN._replace(**NIGHTLY), [step("FAILED", error="out of memory")], BY_ITS_STEP._replace(error="out of memory", selector=("custom", "nightly"))),
        (F, BROKEN, [step("FAILED"), step("SKIPPED", "b")], BY_ITS_STEP._replace(error="bad YAML", skipped=("b",))),
        (S, PASSED, [OK, step("NOT_RUN")], as_told(S, skipped=("unit",))),
        (S, PASSED, [step("FAILED"), step("NOT_RUN", "b")], as_told(S, skipped=("b",))),
        (S, PASSED._replace(error="odd", **NIGHTLY), [OK], as_told(S, error="odd", selector=("custom", "nightly"))),
        (S, BROKEN, [step("FAILED")], BY_ITS_STEP._replace(error="bad YAML")),
        (S, RUNNING, [OK], as_told(S)),
        (S, RUNNING, [OK, step("IN_PROGRESS")], as_told(S, doubt='"unit" had not finished when the time to wait was over')),
        (S, BY_ADA, [step("STOPPED")], as_told(S, doubt='Ada stopped the pipeline at "unit"')),
        (S, PipelineRun(state=DONE, result="ODD"), [OK], as_told(S, doubt="the pipeline ended as ODD, which the pipe does not know")),
        (S, BY_NOBODY, [OK], as_told(S, doubt="somebody stopped the pipeline")),
        (T, BY_ADA, [step("STOPPED")], as_told(T)),
        (T, BY_NOBODY, [step("STOPPED")], Outcome(F, NOBODY, told=True)),
        (T, BY_NOBODY, [OK, step("SKIPPED", "b")], Outcome(F, NOBODY, told=True, skipped=("b",))),
        (T, BY_NOBODY._replace(**NIGHTLY), [OK], Outcome(F, NOBODY, told=True, selector=("custom", "nightly"))),
        (T, BY_ADA, [step("STOPPED", error="time limit")], failed("the pipeline was stopped by an error", "unit", error="time limit", told=True)),
        (T, RUNNING, [step("STOPPED")], as_told(T)),
        (T, PASSED, [OK], as_told(T)),
        (T, RUNNING, [OK, step("IN_PROGRESS")], as_told(T)),
        (U, PASSED, [OK], as_told(U)),
        (U, RUNNING, [OK, step("IN_PROGRESS")], as_told(U)),
        (U, BROKEN, [], failed("Bitbucket says that the pipeline ended as FAILED", error="bad YAML", told=True)),
    ],
)  # fmt: skip
def test_the_api_can_only_turn_a_told_success_into_a_failure_or_a_doubt_and_a_stop_by_nobody_into_a_failure(
    told, run, steps, expected
):
    assert judge_told(TOLD[told], look(run, tuple(steps), "", ())) == expected
