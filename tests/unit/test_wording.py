"""What a page and the log say of what resolves an alert: whole sentences, since people act on them."""

from __future__ import annotations

import pytest

from pipe import subject, wording
from pipe.build import Build
from pipe.outcome import Outcome, Result
from pipe.ownership import Ownership
from pipe.placement import placed
from pipe.subject import Subject
from pipe.wording import Case
from tests.unit.files import DEFAULT, DEPLOY, MAIN, NOWHERE, PR, TAG, read, step

NIGHTLY = ("custom", "nightly")


def a_step(build: Build = MAIN, name: str = "", key: str = "") -> Subject:
    return subject.of_step(build, name, key)


def a_pipeline(build: Build = MAIN, name: str = "", selector: tuple[str, str] = ("", ""), key: str = "") -> Subject:
    return subject.of_pipeline(build, name, key, selector)


def case(about: Subject, advice: str = "", **more) -> Case:
    given = {field: more.pop(field) for field in ("failed_steps", "skipped", "told") if field in more}
    outcome = Outcome(Result.FAILED, "so it went", of_step=about.is_step, **given)
    return Case(outcome, about, Ownership("", advice), **more)


GREEN, RUN = "by a green run of this step", "by a green run of this pipeline on main"
STEP = "; until then no failure of a step without ALERT_NAME on main pages again"
KEY = "; until then nothing with the same DEDUP_KEY pages again"
PIPELINE = "; until then no failure of this pipeline on main pages again"


@pytest.mark.parametrize(
    ("given", "why", "text"),
    [
        (case(a_step()), "", GREEN),
        (case(a_step(), may_be_skipped=True), "", GREEN + STEP),
        (case(a_step(), skipped=("a",)), "", GREEN + STEP),
        (case(a_step(name="unit"), may_be_skipped=True), "", f"{GREEN}; until then no failure of unit on main pages again"),
        (case(a_step(DEPLOY), may_be_skipped=True), "", f"{GREEN}; until then no failure of a step without ALERT_NAME in production pages again"),
        (case(a_step(), failed_steps=("a",), may_be_skipped=True), "", GREEN + STEP),
        (case(a_step()), "of this", f"by hand: of this{STEP}"),
        (case(a_step(NOWHERE)), "of this", "by hand: of this"),
        (case(a_step(NOWHERE, key="mine")), "of this", f"by hand: of this{KEY}"),
        (case(a_pipeline(key="mine"), may_be_skipped=True), "", RUN + KEY),
        (case(a_pipeline()), "", RUN),
        (case(a_pipeline(PR)), "", "by a green run of this pipeline in pull request 42"),
        (case(a_pipeline(TAG)), "", "by a green run of this pipeline on tags v…"),
        (case(a_pipeline(selector=NIGHTLY)), "", "by a green run of custom pipeline nightly on main"),
        (case(a_pipeline(), failed_steps=("a",)), "", RUN),
        (case(a_pipeline(), may_be_skipped=True), "", RUN + PIPELINE),
        (case(a_pipeline(name="build"), may_be_skipped=True), "", f"{RUN}; until then no failure of build on main pages again"),
        (case(a_pipeline(selector=NIGHTLY), skipped=("x",)), "", "by a green run of custom pipeline nightly on main; until then no failure of custom pipeline nightly on main pages again"),
        (case(a_pipeline(), failed_steps=("a",), skipped=("x",)), "", f'{RUN} in which "a" ran{PIPELINE}'),
        (case(a_pipeline(), failed_steps=("a", "b"), may_be_skipped=True), "", f'{RUN} in which "a" and "b" ran{PIPELINE}'),
        (case(a_pipeline(), failed_steps=("a", "b", "c", "d"), may_be_skipped=True), "", f'{RUN} in which "a", "b" and "c" ran{PIPELINE}'),
        (case(a_pipeline(), siblings=("branches: ma*",)), "", f"{RUN}, if no other of its pipelines (branches: ma*) failed last{PIPELINE}"),
        (case(a_pipeline(), siblings=("a", "b", "c", "d")), "", f"{RUN}, if no other of its pipelines (a, b, c) failed last{PIPELINE}"),
        (case(a_pipeline(), failed_steps=("a",), skipped=("x",), siblings=("b",)), "", f'{RUN} in which "a" ran, if no other of its pipelines (b) failed last{PIPELINE}'),
        (case(a_pipeline(), told=True), "", f"{RUN}, if a condition under triggers is met by it{PIPELINE}"),
        (case(a_pipeline(), told=True, siblings=("b",)), "", f"{RUN}, if a condition under triggers is met by it and no other of its pipelines (b) failed last{PIPELINE}"),
        (case(a_pipeline(), siblings=("a",)), "of this", f"by hand: of this{PIPELINE}"),
    ],
)  # fmt: skip
def test_a_page_says_what_resolves_it_and_what_it_swallows_until_then(given, why, text):
    assert wording.resolves(given, why) == text


@pytest.mark.parametrize(
    ("about", "closed", "text"),
    [
        (
            a_step(),
            True,
            "by hand, or by the next known result of a pipeline on main; a step's exit code does not close it; "
            "until then no other result that cannot be told on main pages",
        ),
        (
            a_step(PR),
            True,
            "by hand, or by the next known result of a pipeline in pull request 42; a step's exit code does not close it; "
            "until then no other result that cannot be told in pull request 42 pages",
        ),
        (a_step(), False, "by hand; until then no other result that cannot be told on main pages"),
        (
            a_step(key="a"),
            False,
            "by hand; until then no other result that cannot be told with the same DEDUP_KEY pages",
        ),
        (a_step(DEPLOY), True, "by hand; until then no other result that cannot be told in production pages"),
        (
            a_pipeline(selector=NIGHTLY),
            True,
            "by hand, or by the next known result of a pipeline on main; a step's exit code does not close it; "
            "until then no other result that cannot be told on main pages",
        ),
        (a_pipeline(), False, "by hand; until then no other result that cannot be told on main pages"),
    ],
)
def test_what_closes_the_alert_that_a_result_cannot_be_told(about, closed, text):
    assert wording.resolves_unknown(case(about), closed_by_a_pipeline=closed) == text


def test_where_neither_ref_nor_selector_is_known_any_such_pipeline_is_swallowed():
    given = case(a_pipeline(MAIN.told_of()))
    assert wording.resolves(given, wording.REF_UNKNOWN) == (
        f"by hand: {wording.REF_UNKNOWN}; until then no failure of any pipeline whose ref is not known pages again"
    )


@pytest.mark.parametrize(
    ("advice", "text"),
    [
        ("", "This alert will not resolve by itself: two steps use the same key."),
        ("Set ALERT_NAME", "This alert will not resolve by itself: two steps use the same key. Set ALERT_NAME."),
    ],
)
def test_the_yellow_line_of_a_page_that_nothing_resolves(advice, text):
    given = case(a_step(), advice)._replace(owner=Ownership("two steps use the same key", advice))
    assert wording.not_by_itself(given, "two steps use the same key") == text
    assert wording.not_by_itself(given, "0 is ignored") == "This alert will not resolve by itself: 0 is ignored."


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (case(a_step()), f"Not resolving: of this. An open alert stays open{STEP}."),
        (
            case(a_step())._replace(owner=Ownership("of this", "Set ALERT_NAME")),
            f"Not resolving: of this. Set ALERT_NAME. An open alert stays open{STEP}.",
        ),
        (
            case(a_step())._replace(owner=Ownership("of that", "Set ALERT_NAME")),
            f"Not resolving: of this. An open alert stays open{STEP}.",
        ),
        (case(a_pipeline()), f"Not resolving: of this. An open alert stays open{PIPELINE}."),
        (case(a_step(NOWHERE)), "Not resolving: of this."),
    ],
)
def test_the_yellow_line_of_a_success_that_resolves_nothing(given, text):
    assert wording.not_resolving(given, "of this") == text


BESIDE = ", ".join([step(), step("b", kind="final")])


@pytest.mark.parametrize(
    ("text", "told", "token", "ways"),
    [
        (DEFAULT % step(), False, False, (wording.MAP_THE_EXIT_CODE,)),
        (DEFAULT % step(), True, False, (wording.KNOW_THE_WORD,)),
        (DEFAULT % step(kind="final", where="script"), False, False, (wording.GIVE_A_TOKEN, wording.GIVE_A_STATUS)),
        (DEFAULT % step(kind="final"), False, False, (wording.GIVE_A_TOKEN, wording.GIVE_A_STATUS)),
        (DEFAULT % step(kind="final"), False, True, (wording.GIVE_A_STATUS,)),
        (DEFAULT % step(where="script"), False, True, (wording.MAP_THE_EXIT_CODE, wording.GIVE_A_STATUS, wording.MAP_THE_TRIGGER)),
        (DEFAULT % BESIDE, False, True, (wording.MAP_THE_EXIT_CODE, wording.GIVE_A_STATUS, wording.MAP_THE_TRIGGER)),
        ("pipelines: {}", False, True, (wording.MAP_THE_EXIT_CODE, wording.GIVE_A_STATUS, wording.MAP_THE_TRIGGER)),
    ],
)  # fmt: skip
def test_the_ways_to_tell_are_those_of_the_place_where_the_run_stands(text, told, token, ways):
    here = placed(read(text), MAIN, "", "", has_code=True)
    assert wording.ways_to_tell(here, told=told, has_token=token) == ways
