"""How it went, by the variables: the first that tells."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipe.build import Told
from pipe.outcome import Result, by_variables, without_any_sign
from pipe.placement import placed
from pipe.settings import Settings
from tests.unit.files import DEFAULT, MAIN, read, step

F, S, T, X, M, U = Result.FAILED, Result.SUCCESSFUL, Result.STOPPED, Result.IGNORED, Result.MISPLACED, Result.UNKNOWN
AFTER, FINAL_AFTER = DEFAULT % step(), DEFAULT % step(kind="final")
FINAL, SCRIPT = DEFAULT % step(kind="final", where="script"), DEFAULT % step(where="script")
TOLD_STATUS = DEFAULT % step(where="script", build_status="$BITBUCKET_TRIGGER_PIPELINE_STATUS")
TRIGGERED = (
    "triggers: {repository-push: [{condition: a, pipelines: [told]}]}\npipelines: {custom: {told: [%s]}}"
    % step(where="script")
)


def tell(text: str = AFTER, told: str = "", **variables: str):
    """The outcome of an environment, in a clone with that file."""
    settings = Settings.read({"DRY_RUN": "true", **{name.upper(): value for name, value in variables.items()}})
    build = replace(MAIN, told=Told(told))
    return by_variables(settings, build, placed(read(text), build, settings.alert_name, settings.dedup_key))


@pytest.mark.parametrize(
    ("variables", "result", "of_step"),
    [
        ({"exit_code": "2"}, F, True),
        ({"bitbucket_exit_code": "2"}, F, True),
        ({"exit_code": "0", "bitbucket_exit_code": "2"}, F, True),
        ({"exit_code": "abc", "bitbucket_exit_code": "2"}, F, True),
        ({"exit_code": "2", "build_status": "successful"}, F, True),
        ({"exit_code": "130", "ignore_exit_codes": "130 143"}, X, True),
        ({"exit_code": "1", "ignore_exit_codes": "130 143"}, F, True),
        ({"exit_code": "0"}, S, True),
        ({"exit_code": "0", "ignore_exit_codes": "0"}, X, True),
        ({"exit_code": "0", "build_status": "failed"}, F, True),
        ({"exit_code": "0", "build_status": "error"}, F, True),
        ({"exit_code": "0", "build_status": "expired"}, F, True),
        ({"exit_code": "0", "build_status": "stopped"}, S, True),
        ({"exit_code": "0", "build_status": "successful"}, S, True),
        ({"exit_code": "0", "build_status": "fialed"}, U, True),
        ({"exit_code": "abc"}, U, True),
        ({"exit_code": "abc", "build_status": "successful"}, U, True),
        ({"exit_code": "abc", "build_status": "failed"}, F, True),
        ({"build_status": "failed"}, F, False),
        ({"build_status": "error"}, F, False),
        ({"build_status": "expired"}, F, False),
        ({"build_status": "passed"}, S, False),
        ({"build_status": "stopped"}, T, False),
    ],
)
def test_the_variables_tell(variables, result, of_step):
    outcome = tell(**variables)
    assert (outcome.result, outcome.of_step, outcome.told) == (result, of_step, False)


@pytest.mark.parametrize("variables", [{}, {"build_status": "fialed"}, {"exit_code": ""}, {"exit_code": "$CODE"}])
def test_what_is_absent_or_bad_tells_nothing(variables):
    assert tell(**variables) is None


def test_without_any_sign_the_reason_is_the_bad_value_or_that_there_is_none():
    assert without_any_sign(Settings()).reason.startswith("there is no exit code")
    bad = Settings.read({"DRY_RUN": "true", "BUILD_STATUS": "fialed"})
    assert without_any_sign(bad).reason.startswith('BUILD_STATUS: "fialed" is not one of')


@pytest.mark.parametrize(
    ("told", "variables", "result", "about_told"),
    [
        ("FAILED", {}, F, True), ("ERROR", {}, F, True), ("EXPIRED", {}, F, True), ("SYSTEM_ERROR", {}, F, True), ("USER_ERROR", {}, F, True),
        ("PASSED", {}, S, True), ("SUCCESSFUL", {}, S, True), ("SUCCESS", {}, S, True), ("STOPPED", {}, T, True), ("PAUSED", {}, U, True),
        ("FAILED", {"exit_code": "0"}, F, True),
        ("FAILED", {"exit_code": "abc"}, F, True),
        ("FAILED", {"exit_code": "1"}, F, False),
        ("FAILED", {"build_status": "successful"}, F, True),
        ("SUCCESSFUL", {"exit_code": "0"}, S, False),
        ("SUCCESSFUL", {"exit_code": "1"}, F, False),
        ("SUCCESSFUL", {"exit_code": "abc"}, U, False),
        ("STOPPED", {"exit_code": "0"}, S, False),
        ("SUCCESSFUL", {"build_status": "failed"}, S, True),
    ],
)  # fmt: skip
def test_a_run_may_be_told_of_another_pipeline(told, variables, result, about_told):
    outcome = tell(told=told, **variables)
    assert (outcome.result, outcome.told and not outcome.of_step) == (result, about_told)


def test_a_step_that_fails_beside_a_told_failure_is_marked():
    assert tell(told="FAILED", exit_code="1").told
    assert not tell(told="SUCCESSFUL", exit_code="1").told


@pytest.mark.parametrize(("status", "result"), [("FAILED", F), ("SUCCESSFUL", S), ("STOPPED", T), ("PAUSED", U)])
def test_a_build_status_that_the_file_takes_from_the_trigger_is_a_told_run(status, result):
    outcome = tell(TOLD_STATUS, build_status=status)
    assert (outcome.result, outcome.told) == (result, True)


def test_an_exit_code_of_0_tells_nothing_where_this_can_only_be_a_final_step():
    assert tell(FINAL_AFTER, exit_code="0") is None
    assert tell(DEFAULT % f"{step()}, {step(kind='final')}", exit_code="0").result is S
    assert tell(FINAL_AFTER, exit_code="1").result is F
    assert tell("pipelines: {default: {import: 'a:b:c'}}", exit_code="0").result is S


@pytest.mark.parametrize(
    ("text", "variables", "result"),
    [
        (SCRIPT, {}, M),
        (SCRIPT, {"build_status": "failed"}, F),
        (SCRIPT, {"build_status": "fialed"}, None),
        (SCRIPT, {"exit_code": "1"}, F),
        (FINAL, {}, None),
        (AFTER, {}, None),
        (TRIGGERED, {}, None),
        (DEFAULT % f"{step(where='script')}, {step('b')}", {}, None),
        (DEFAULT % f"{step(where='script')}, {step('b', 'other')}", {}, M),
        ("pipelines: {default: {import: 'a:b:c'}}", {}, None),
    ],
)
def test_a_pipe_that_stands_only_in_scripts_of_ordinary_steps_runs_only_after_a_success(text, variables, result):
    outcome = tell(text, **variables)
    assert (outcome.result if outcome else None) is result
