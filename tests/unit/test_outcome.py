"""How it went, by the variables: the first that tells."""

from __future__ import annotations

import pytest

from pipe.bitbucket import Unreadable
from pipe.build import Told
from pipe.outcome import (
    KEPT_EMPTY,
    MISPLACED,
    SHELLS_CODE,
    Answer,
    Outcome,
    Result,
    by_variables,
    unasked,
    without_any_sign,
)
from pipe.placement import placed
from pipe.settings import Settings
from tests.unit.files import DEFAULT, MAIN, read, step

F, S, T, X, M, U = Result.FAILED, Result.SUCCESSFUL, Result.STOPPED, Result.IGNORED, Result.MISPLACED, Result.UNKNOWN
AFTER, FINAL_AFTER = DEFAULT % step(), DEFAULT % step(kind="final")
FINAL, SCRIPT = DEFAULT % step(kind="final", where="script"), DEFAULT % step(where="script")
KEPT_BESIDE_PLAIN = DEFAULT % f"{step(where='script')}, {step('b', where='script', exit_code='$CODE')}"
SCRIPT_AND_IMPORT = SCRIPT.removesuffix("}") + ", custom: {nightly: {import: 'a:b:c'}}}"
TOLD_STATUS = DEFAULT % step(where="script", build_status="$BITBUCKET_TRIGGER_PIPELINE_STATUS")
TOLD_BESIDE = DEFAULT % f"{step(where='script', build_status='$BITBUCKET_TRIGGER_PIPELINE_STATUS')}, {step('b')}"
TOLD_AND_FINAL = DEFAULT % (
    step(where="script", build_status="$BITBUCKET_TRIGGER_PIPELINE_STATUS")
    + ", "
    + step("b", kind="final", where="script", build_status="$RESULT")
)
SHELLS_STEP = step(exit_code="'$?'")
SHELLS = DEFAULT % step(exit_code="'${?}'")
SHELLS_AND_IMPORT = SHELLS.removesuffix("}") + ", custom: {nightly: {import: 'a:b:c'}}}"
FINAL_AND_IMPORT = "pipelines: {default: [%s], custom: {scan: {import: 'a:b:c'}}}" % step(kind="final")
TRIGGERED = (
    "triggers: {deployment-completed: [{condition: a, pipelines: [told]}]}\npipelines: {custom: {told: [%s]}}"
    % step(where="script")
)


def tell(text: str = AFTER, told: str = "", **variables: str):
    """The outcome of an environment, in a clone with that file."""
    settings = Settings.read({"DRY_RUN": "true", **{name.upper(): value for name, value in variables.items()}})
    build = MAIN._replace(told=Told(told))
    definition = read(text)
    here = placed(definition, build, settings.alert_name, settings.dedup_key, has_code=settings.exit_code is not None)
    return by_variables(settings, build, here, imports=definition.imports(build))


NO_CODE = 'EXIT_CODE: "abc" is not an integer; it tells nothing'
NO_STATUS = 'BUILD_STATUS: "fialed" is not one of successful, failed, stopped, error, expired; it tells nothing'


def of_step(result: Result, reason: str, exit_code: int | None = None, told: bool = False) -> Outcome:
    return Outcome(result, reason, of_step=True, exit_code=exit_code, told=told)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"exit_code": "2"}, of_step(F, "exit code 2", 2)),
        ({"bitbucket_exit_code": "2"}, of_step(F, "exit code 2", 2)),
        ({"exit_code": "0", "bitbucket_exit_code": "2"}, of_step(F, "exit code 2", 2)),
        ({"exit_code": "abc", "bitbucket_exit_code": "2"}, of_step(F, "exit code 2", 2)),
        ({"exit_code": "2", "build_status": "passed"}, of_step(F, "exit code 2, whatever BUILD_STATUS (successful) says", 2)),
        ({"exit_code": "2", "build_status": "fialed"}, of_step(F, "exit code 2", 2)),
        ({"exit_code": "130", "ignore_exit_codes": "130 143"}, of_step(X, "exit code 130 is among IGNORE_EXIT_CODES", 130)),
        ({"exit_code": "1", "ignore_exit_codes": "130 143"}, of_step(F, "exit code 1", 1)),
        ({"exit_code": "130", "ignore_exit_codes": "130", "build_status": "failed"}, of_step(F, "BUILD_STATUS is failed")),
        ({"exit_code": "130", "ignore_exit_codes": "130", "build_status": "fialed"}, of_step(U, NO_STATUS)),
        ({"exit_code": "0"}, of_step(S, "exit code 0", 0)),
        ({"exit_code": "0", "ignore_exit_codes": "0"}, of_step(X, "exit code 0 is among IGNORE_EXIT_CODES", 0)),
        ({"exit_code": "0", "ignore_exit_codes": "1"}, of_step(S, "exit code 0", 0)),
        ({"exit_code": "0", "build_status": "failed"}, of_step(F, "BUILD_STATUS is failed")),
        ({"exit_code": "0", "build_status": "error"}, of_step(F, "BUILD_STATUS is error")),
        ({"exit_code": "0", "build_status": "expired"}, of_step(F, "BUILD_STATUS is expired")),
        ({"exit_code": "0", "build_status": "stopped"}, of_step(S, "exit code 0", 0)),
        ({"exit_code": "0", "build_status": "successful"}, of_step(S, "exit code 0", 0)),
        ({"exit_code": "0", "build_status": "fialed"}, of_step(U, NO_STATUS)),
        ({"exit_code": "abc"}, of_step(U, NO_CODE)),
        ({"exit_code": "abc", "build_status": "successful"}, of_step(U, NO_CODE)),
        ({"exit_code": "abc", "build_status": "fialed"}, of_step(U, NO_CODE)),
        ({"exit_code": "abc", "build_status": "failed"}, of_step(F, "BUILD_STATUS is failed")),
        ({"build_status": "failed"}, Outcome(F, "BUILD_STATUS is failed")),
        ({"build_status": "error"}, Outcome(F, "BUILD_STATUS is error")),
        ({"build_status": "expired"}, Outcome(F, "BUILD_STATUS is expired")),
        ({"build_status": "passed"}, Outcome(S, "BUILD_STATUS is successful")),
        ({"build_status": "stopped"}, Outcome(T, "BUILD_STATUS is stopped")),
        ({"build_status": "fialed"}, Outcome(U, NO_STATUS)),
    ],
)  # fmt: skip
def test_the_variables_tell(variables, expected):
    assert tell(**variables) == expected


@pytest.mark.parametrize("variables", [{}, {"exit_code": ""}, {"exit_code": "$CODE"}])
def test_what_is_absent_tells_nothing(variables):
    assert tell(**variables) is None


def test_without_any_sign_the_reason_is_the_bad_value_or_that_there_is_none():
    nothing = "there is no exit code, no BUILD_STATUS and no token to ask Bitbucket with"
    assert without_any_sign(Settings(), ()) == Outcome(U, nothing)
    bad = Settings.read({"DRY_RUN": "true", "BUILD_STATUS": "fialed"})
    assert without_any_sign(bad, ()) == Outcome(U, NO_STATUS)


@pytest.mark.parametrize(
    ("text", "action", "step"),
    [
        (FINAL, "auto", False),
        (AFTER, "auto", False),
        (FINAL, "resolve", False),
        (FINAL_AFTER, "resolve", True),
        (AFTER, "resolve", True),
        (SCRIPT, "trigger", True),
        (DEFAULT % f"{step()}, {step(kind='final', where='script')}", "trigger", True),
        ("pipelines: {}", "resolve", True),
    ],
)
def test_what_an_event_action_sends_is_about_what_would_have_been_judged(text, action, step):
    here = placed(read(text), MAIN, "", "", has_code=True)
    assert without_any_sign(Settings(event_action=action), here).of_step is step


FINAL_IN_TWO = FINAL.removesuffix("}") + ", branches: {main: [%s]}}" % step(kind="final", where="script")


@pytest.mark.parametrize(
    ("text", "more", "selector"),
    [
        (FINAL, {}, ("default", "")),
        (FINAL.replace("default:", "branches: {main:") + "}", {}, ("branches", "main")),
        (FINAL, {"bitbucket_access_token": ""}, ("", "")),
        (FINAL_AFTER, {}, ("", "")),
        (SCRIPT, {}, ("", "")),
        (FINAL_IN_TWO, {}, ("", "")),
        (DEFAULT % step(kind="final", where="script", build_status="$RESULT"), {}, ("", "")),
    ],
)
def test_an_event_action_is_about_the_key_of_the_api_s_answer(text, more, selector):
    given = Settings(**{"event_action": "resolve", "bitbucket_access_token": "t", **more})
    assert without_any_sign(given, placed(read(text), MAIN, "", "", has_code=True)).selector == selector


def test_without_bitbucket_an_outcome_is_about_this_build_or_the_one_that_it_is_told_of():
    here = MAIN._replace(told=Told("FAILED", "{1}", "custom", "pager"))
    known = read(
        "triggers: {pipeline-completed: [{condition: a, pipelines: [pager]}]}\npipelines: {custom: {pager: []}}"
    )
    own, of_another = Outcome(F, ""), Outcome(F, "", told=True)
    assert unasked(own, here, known) == Answer(own, here)
    assert unasked(of_another, here, known) == Answer(of_another, here.told_of(), may_be_own=True)
    elsewhere = here._replace(told=Told("FAILED", "{1}", "custom", "nightly"))
    assert unasked(of_another, elsewhere, known) == Answer(of_another, elsewhere.told_of())


def test_a_failure_s_page_says_what_could_not_be_read_beside_it():
    refused = Unreadable("it refused", "Renew it.", refused=True)
    found = Answer(Outcome(F, ""), MAIN, trouble=refused)
    assert (found.refused, found.warnings) == (True, ("it refused. Renew it.",))
    assert found._replace(outcome=Outcome(U, "")).warnings == ()
    silent = Answer(Outcome(F, ""), MAIN)
    assert (silent.refused, silent.warnings) == (False, ())
    assert not Answer(Outcome(F, ""), MAIN, trouble=Unreadable("late", "Wait.")).refused


def ended(result: Result, word: str) -> Outcome:
    unknown = ", which the pipe does not know" if result is U else ""
    return Outcome(result, f"Bitbucket says that the pipeline ended as {word}{unknown}", told=True)


@pytest.mark.parametrize(
    ("told", "variables", "expected"),
    [
        ("FAILED", {}, ended(F, "FAILED")), ("ERROR", {}, ended(F, "ERROR")), ("EXPIRED", {}, ended(F, "EXPIRED")),
        ("SYSTEM_ERROR", {}, ended(F, "SYSTEM_ERROR")), ("USER_ERROR", {}, ended(F, "USER_ERROR")),
        ("PASSED", {}, ended(S, "PASSED")), ("SUCCESSFUL", {}, ended(S, "SUCCESSFUL")), ("SUCCESS", {}, ended(S, "SUCCESS")),
        ("STOPPED", {}, ended(T, "STOPPED")), ("PAUSED", {}, ended(U, "PAUSED")),
        ("FAILED", {"exit_code": "0"}, ended(F, "FAILED")),
        ("FAILED", {"exit_code": "abc"}, ended(F, "FAILED")),
        ("FAILED", {"exit_code": "1"}, of_step(F, "exit code 1", 1, told=True)),
        ("FAILED", {"exit_code": "1", "ignore_exit_codes": "1"}, ended(F, "FAILED")),
        ("SUCCESSFUL", {"exit_code": "1", "ignore_exit_codes": "1"}, of_step(X, "exit code 1 is among IGNORE_EXIT_CODES", 1)),
        ("FAILED", {"build_status": "successful"}, ended(F, "FAILED")),
        ("PAUSED", {"build_status": "successful"}, ended(U, "PAUSED")),
        ("SUCCESSFUL", {"exit_code": "0"}, of_step(S, "exit code 0", 0)),
        ("SUCCESSFUL", {"exit_code": "1"}, of_step(F, "exit code 1", 1)),
        ("PAUSED", {"exit_code": "1"}, of_step(F, "exit code 1", 1)),
        ("SUCCESSFUL", {"exit_code": "abc"}, of_step(U, NO_CODE)),
        ("STOPPED", {"exit_code": "0"}, of_step(S, "exit code 0", 0)),
        ("SUCCESSFUL", {"exit_code": "0", "text": TRIGGERED}, ended(S, "SUCCESSFUL")),
        ("SUCCESSFUL", {"exit_code": "3", "ignore_exit_codes": "3", "text": TRIGGERED}, of_step(X, "exit code 3 is among IGNORE_EXIT_CODES", 3)),
        ("SUCCESSFUL", {"build_status": "failed"}, ended(S, "SUCCESSFUL")),
    ],
)  # fmt: skip
def test_a_run_may_be_told_of_another_pipeline(told, variables, expected):
    assert tell(told=told, **variables) == expected


def test_a_zero_that_says_nothing_is_not_called_missing():
    said = "an exit code of 0 says nothing of the build here{}, and there is no token to ask Bitbucket with"
    assert without_any_sign(Settings.read({"EXIT_CODE": "0"}), ()).reason == said.format("")
    beside = without_any_sign(Settings.read({"EXIT_CODE": "0", "BUILD_STATUS": "passed"}), ()).reason
    assert beside == said.format(", nor does BUILD_STATUS beside it")


def test_what_a_run_is_told_speaks_for_another_pipeline_unless_its_own_step_failed():
    assert tell(told="FAILED").of_another
    assert not tell(told="FAILED", exit_code="1").of_another
    assert not tell(build_status="failed").of_another
    assert not tell(exit_code="0").of_another


def test_what_is_told_comes_with_what_started_that_pipeline():
    build = MAIN._replace(told=Told("FAILED", "{7}", "custom", "nightly"))
    told = by_variables(Settings(), build, (), imports=False)
    assert told and told.selector == ("custom", "nightly")


@pytest.mark.parametrize(
    ("text", "status", "expected"),
    [
        (TOLD_STATUS, "FAILED", ended(F, "FAILED")),
        (TOLD_STATUS, "Passed", ended(S, "SUCCESSFUL")),
        (TOLD_STATUS, "STOPPED", ended(T, "STOPPED")),
        (TOLD_STATUS, "PAUSED", ended(U, "an unknown word")),
        (TOLD_STATUS, "", Outcome(U, KEPT_EMPTY, of_step=True)),
        (TOLD_AND_FINAL, "FAILED", Outcome(F, "BUILD_STATUS is failed")),
        (TOLD_BESIDE, "FAILED", ended(F, "FAILED")),
        (AFTER, "FAILED", Outcome(F, "BUILD_STATUS is failed")),
        (DEFAULT % step(where="script", build_status="$STATUS"), "FAILED", Outcome(F, "BUILD_STATUS is failed")),
        (
            DEFAULT % step(where="script", build_status="$STATUS"),
            "PAUSED",
            Outcome(U, NO_STATUS.replace("fialed", "PAUSED")),
        ),
    ],
)
def test_a_build_status_that_the_file_takes_from_the_trigger_is_a_told_run(text, status, expected):
    assert tell(text, build_status=status) == expected


def test_an_exit_code_of_0_tells_nothing_where_this_can_only_be_a_final_step():
    assert tell(FINAL_AFTER, exit_code="0") is None
    assert tell(DEFAULT % f"{step()}, {step(kind='final')}", exit_code="0").result is S
    assert tell(FINAL_AFTER, exit_code="1").result is F
    assert tell("pipelines: {default: {import: 'a:b:c'}}", exit_code="0").result is S


@pytest.mark.parametrize("text", [FINAL, FINAL_AFTER])
def test_an_exit_code_that_is_not_0_is_a_failure_in_a_final_step_too(text):
    assert tell(text, exit_code="3") == of_step(F, "exit code 3", 3)
    assert tell(text, exit_code="3", bitbucket_access_token="t") == of_step(F, "exit code 3", 3)


@pytest.mark.parametrize(
    ("text", "variables", "expected"),
    [
        (SCRIPT, {}, Outcome(M, MISPLACED, of_step=True)),
        (SCRIPT, {"build_status": "failed"}, Outcome(F, "BUILD_STATUS is failed")),
        (SCRIPT, {"build_status": "fialed"}, Outcome(U, NO_STATUS)),
        (SCRIPT, {"exit_code": "1"}, of_step(F, "exit code 1", 1)),
        (SCRIPT, {"exit_code": "0"}, Outcome(M, MISPLACED, of_step=True)),
        (DEFAULT % step(where="script", exit_code="'$?'"), {"exit_code": "0"}, Outcome(M, MISPLACED, of_step=True)),
        (DEFAULT % step(where="script", exit_code="$CODE"), {"exit_code": "0"}, of_step(S, "exit code 0", 0)),
        (TRIGGERED, {"exit_code": "0"}, of_step(S, "exit code 0", 0)),
        (FINAL, {"exit_code": "0"}, None),
        (FINAL, {"exit_code": "0", "build_status": "successful"}, None),
        (DEFAULT % step(kind="final", where="script", exit_code="'$?'"), {"exit_code": "0"}, None),
        (DEFAULT % step(kind="final", where="script", exit_code="'$?'"), {"exit_code": "0", "build_status": "failed"}, of_step(F, "BUILD_STATUS is failed")),
        (DEFAULT % ", ".join([step(where="script", exit_code="'$?'"), step("b", kind="final", where="script")]), {"exit_code": "0"}, None),
        (DEFAULT % step(kind="final", where="script", exit_code="$CODE"), {"exit_code": "0"}, None),
        (FINAL, {}, None),
        (AFTER, {}, None),
        (TRIGGERED, {}, None),
        (TRIGGERED.replace("deployment-completed", "repository-push"), {}, Outcome(M, MISPLACED, of_step=True)),
        (TRIGGERED.replace("deployment-completed", "pullrequest-push"), {"exit_code": "0"}, Outcome(M, MISPLACED, of_step=True)),
        (DEFAULT % step(where="script", exit_code="$CODE"), {}, Outcome(U, KEPT_EMPTY, of_step=True)),
        (DEFAULT % step(where="script", exit_code="'$?'"), {}, Outcome(M, MISPLACED, of_step=True)),
        (DEFAULT % step(where="script", build_status="$RESULT"), {}, Outcome(U, KEPT_EMPTY, of_step=True)),
        (SHELLS, {"exit_code": "0"}, Outcome(U, SHELLS_CODE, of_step=True)),
        (SHELLS_AND_IMPORT, {"exit_code": "0"}, Outcome(U, SHELLS_CODE, of_step=True)),
        (DEFAULT % step(exit_code="'$?'", more=", deployment: production"), {"exit_code": "0"}, Outcome(U, SHELLS_CODE, of_step=True)),
        (DEFAULT % step(kind="final", exit_code="'$?'"), {"exit_code": "0"}, None),
        (KEPT_BESIDE_PLAIN, {}, Outcome(M, MISPLACED, of_step=True)),
        (SHELLS, {"exit_code": "0", "bitbucket_exit_code": "0"}, of_step(S, "exit code 0", 0)),
        (DEFAULT % step(bitbucket_exit_code="'$?'"), {"bitbucket_exit_code": "0"}, Outcome(U, SHELLS_CODE, of_step=True)),
        (DEFAULT % step(exit_code="'$?'", bitbucket_exit_code="'$?'"), {"bitbucket_exit_code": "0"}, Outcome(U, SHELLS_CODE, of_step=True)),
        (DEFAULT % step(exit_code="$BITBUCKET_EXIT_CODE", bitbucket_exit_code="'$?'"), {"exit_code": "0", "bitbucket_exit_code": "0"}, of_step(S, "exit code 0", 0)),
        (DEFAULT % step(where="script", bitbucket_exit_code="$rc"), {"bitbucket_exit_code": "0"}, of_step(S, "exit code 0", 0)),
        (DEFAULT % step(where="script", bitbucket_exit_code="'$?'"), {"bitbucket_exit_code": "0"}, Outcome(M, MISPLACED, of_step=True)),
        (FINAL_AND_IMPORT, {"exit_code": "0"}, None),
        (DEFAULT % step(kind="final"), {"exit_code": "0", "ignore_exit_codes": "0 130"}, None),
        (SHELLS, {"exit_code": "0", "build_status": "failed"}, of_step(F, "BUILD_STATUS is failed")),
        (DEFAULT % ", ".join([SHELLS_STEP, step("b")]), {"exit_code": "0"}, Outcome(U, SHELLS_CODE, of_step=True)),
        (DEFAULT % ", ".join([SHELLS_STEP, step("b", where="script")]), {"exit_code": "0"}, Outcome(U, SHELLS_CODE, of_step=True)),
        (DEFAULT % f"{step(where='script')}, {step('b')}", {}, None),
        (DEFAULT % f"{step(where='script')}, {step('b', exit_code='$BITBUCKET_EXIT_CODE')}", {}, None),
        (DEFAULT % f"{step(where='script')}, {step('b', exit_code='$BITBUCKET_EXITCODE')}", {}, None),
        (DEFAULT % f"{step(where='script')}, {step('b', 'other')}", {}, Outcome(M, MISPLACED, of_step=True)),
        ("pipelines: {default: {import: 'a:b:c'}}", {}, None),
        (SCRIPT_AND_IMPORT, {}, None),
        (SCRIPT_AND_IMPORT, {"exit_code": "0"}, of_step(S, "exit code 0", 0)),
        (SCRIPT_AND_IMPORT.replace("custom", "tags"), {}, Outcome(M, MISPLACED, of_step=True)),
    ],
)  # fmt: skip
def test_a_pipe_that_stands_only_in_scripts_of_ordinary_steps_runs_only_after_a_success(text, variables, expected):
    assert tell(text, **variables) == expected


def test_a_pipe_in_the_wrong_place_is_told_where_it_belongs():
    assert MISPLACED == (
        "this pipe stands in `script` of an ordinary step, where it runs only after a success; "
        "move it to the step's `after-script`"
    )
