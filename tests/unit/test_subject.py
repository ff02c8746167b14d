"""The dedup key: the design's table, pinned for ever, since a changed key strands every open alert."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe.bitbucket.runs import PipelineRun
from pipe.build import Build, Told
from pipe.subject import Subject, line_of, of_pipeline, of_step
from tests.unit.files import DEPLOY, MAIN, NOWHERE, PR

SHOP = "bitbucket:acme/shop:"


@pytest.mark.parametrize(
    ("build", "where", "value"),
    [
        (MAIN, "branch/main", "main"),
        (Build(repository="acme/shop", branch="feature/Ä b"), "branch/feature/Ä b", "feature/Ä b"),
        (PR, "pr/42", "42"),
        (PR._replace(environment="test"), "pr/42", "42"),
        (DEPLOY, "deployment/production", "production"),
        (Build(repository="acme/shop", tag="v1.2", environment="production"), "deployment/production", "production"),
        (Build(repository="acme/shop", tag="api-v1.4"), "tag/api-v", "api-v1.4"),
        (Build(repository="acme/shop"), "detached", ""),
    ],
)
def test_a_step_s_key_names_the_first_place_that_fits(build, where, value):
    assert of_step(build, "", "") == Subject("acme/shop", where, value, "step")
    assert of_step(build, "Unit tests", "k") == Subject(
        "acme/shop", where, value, "step/Unit tests", "", "k", "Unit tests"
    )
    assert of_step(build, "", "").key == f"{SHOP}{where}:step"
    assert of_step(build, "Unit tests", "").key == f"{SHOP}{where}:step/Unit tests"
    assert of_step(build, "Unit tests", "").unknown_key == f"{SHOP}{where}:result unknown"


@pytest.mark.parametrize(
    ("build", "selector", "name", "key", "custom"),
    [
        (MAIN, ("branches", "main"), "", "branch/main", ""),
        (MAIN, ("branches", "ma*"), "", "branch/main", ""),
        (MAIN, ("", ""), "", "branch/main", ""),
        (MAIN, ("default", ""), "", "branch/main:default", ""),
        (MAIN, ("default", "x"), "", "branch/main:default", ""),
        (MAIN, ("custom", "nightly"), "", "branch/main:custom/nightly", "nightly"),
        (MAIN, ("branches", "main"), "build", "branch/main:name/build", ""),
        (MAIN, ("custom", "nightly"), "build", "branch/main:custom/nightly:name/build", "nightly"),
        (MAIN, ("default", ""), "build", "branch/main:default:name/build", ""),
        (PR, ("pull-requests", "**"), "", "pr/42", ""),
        (Build(repository="acme/shop", tag="v2.0.1"), ("tags", "v*"), "", "tag/v", ""),
        (DEPLOY, ("", ""), "", "branch/main", ""),
    ],
)  # fmt: skip
def test_a_pipeline_s_key_names_its_ref_and_what_started_it(build, selector, name, key, custom):
    subject = of_pipeline(build, name, "", selector)
    where, _, what = key.partition(":")
    assert (subject.where, subject.what, subject.custom, subject.name) == (where, what, custom, name)
    assert (subject.key, subject.unknown_key) == (SHOP + key, f"{SHOP}{where}:result unknown")
    assert of_pipeline(build, name, "mine", selector) == subject._replace(given_key="mine")


@pytest.mark.parametrize(
    ("subject", "is_step", "is_placed", "is_deployment"),
    [
        (of_step(MAIN, "", ""), True, True, False),
        (of_step(MAIN, "x", ""), True, True, False),
        (of_step(DEPLOY, "", ""), True, True, True),
        (of_pipeline(MAIN), False, True, False),
        (of_pipeline(MAIN, "step", ""), False, True, False),
        (of_pipeline(DEPLOY), False, True, False),
        (of_pipeline(MAIN, selector=("custom", "step")), False, True, False),
        (of_pipeline(MAIN._replace(branch="deployment/x")), False, True, False),
        (of_pipeline(MAIN.told_of()), False, False, False),
        (of_pipeline(MAIN._replace(branch="ref unknown")), False, True, False),
    ],
)
def test_what_it_is_about(subject, is_step, is_placed, is_deployment):
    assert (subject.is_step, subject.is_placed, subject.is_deployment) == (is_step, is_placed, is_deployment)


def test_a_step_and_a_pipeline_never_share_a_key():
    assert of_step(MAIN, "x", "").key != of_pipeline(MAIN, "x", "").key
    assert of_step(MAIN, "", "").key != of_pipeline(MAIN).key


@pytest.mark.parametrize(
    ("tag", "line"),
    [
        ("php8.v1.2-rc1", "php8.v"), ("python3.12", "python"), ("web_1.2", "web_"), ("k8s-v1", "k8s-v"), ("2026.1", ""), ("release3", "release"),
        ("api-v1.4", "api-v"), ("v1.9.5", "v"), ("web-v2.0.0", "web-v"), ("v1.0-rc1", "v"), ("latest", "latest"),
        ("release/2.0", "release/"), ("V2", "V"), ("vienna", "vienna"), ("app2-final", "app2-final"), ("a1.2b-3", "a1.2b-"),
        ("", ""),
    ],
)  # fmt: skip
def test_tags_of_one_line_share_what_stands_before_the_version(tag, line):
    assert line_of(tag) == line


def test_nothing_that_changes_from_run_to_run_is_in_it():
    other = Build(
        repository="acme/shop",
        branch="main",
        number="813",
        commit="f" * 40,
        pipeline_uuid="{1}",
        step_uuid="{2}",
        step_run=3,
    )
    assert of_step(other, "", "") == of_step(MAIN, "", "")


def test_a_pipeline_whose_ref_is_not_known_has_a_key_that_no_build_resolves():
    told = Build(repository="acme/shop", branch="main", told=Told("FAILED", "{1}", "branches", "main")).told_of()
    assert of_pipeline(told, selector=told.told.selector).key == f"{SHOP}ref unknown:branches/main"
    assert of_pipeline(told).key == f"{SHOP}ref unknown"


@pytest.mark.parametrize(
    ("run", "where", "value"),
    [
        (PipelineRun(ref_type="branch", ref_name="main"), "branch/main", "main"),
        (PipelineRun(ref_type="tag", ref_name="v1.2"), "tag/v", "v1.2"),
        (PipelineRun(pull_request=42, ref_name="fix"), "pr/42", "42"),
        (PipelineRun(commit="7f21b04"), "detached", ""),
        (PipelineRun(), "ref unknown", ""),
        (PipelineRun(ref_name="fix", selector_type="pull-requests"), "ref unknown", ""),
    ],
)
def test_another_build_is_placed_by_what_bitbucket_s_api_says(run, where, value):
    assert of_pipeline(MAIN.of_run(run)) == Subject("acme/shop", where, value, "")


def test_a_key_of_one_s_own_replaces_it_whole():
    assert of_step(MAIN, "unit tests", "shop is broken").key == "shop is broken"
    assert of_step(MAIN, "", "shop is broken").unknown_key == "shop is broken:result unknown"


def test_without_a_repository_there_is_no_key_but_one_s_own():
    assert (of_step(NOWHERE, "", "").key, of_step(NOWHERE, "", "").unknown_key) == ("", "")
    mine = of_step(NOWHERE, "", "mine")
    assert (mine.key, mine.unknown_key) == ("mine", "mine:result unknown")


@pytest.mark.parametrize(
    ("key", "fits"),
    [
        ("build-main", True), ("main", True), ("acme/main/x", True), ("build.main", True),
        ("2.main", True), ("main.2", True), ("2.main.2", True), ("(main)", True), ("domain/main", True), ("mäin", False),
        ("build", False), ("domain", False), ("main_2", False), ("mains", False), ("2main", False),
    ],
)  # fmt: skip
def test_a_key_of_one_s_own_fits_where_the_branch_stands_in_it_as_a_word(key, fits):
    assert of_step(MAIN, "", key).key_fits is fits


@pytest.mark.parametrize(
    ("key", "fits"),
    [
        ("app 1.4", True),
        ("1.4-app", True),
        ("1.4.2", False),
        ("2.1.4", False),
        ("v1.4", False),
        ("1.4.x", True),
        ("x.1.4", True),
    ],
)
def test_a_dot_between_digits_joins_them(key, fits):
    assert of_pipeline(Build(repository="acme/shop", tag="1.4"), "", key).key_fits is fits


def test_a_custom_pipeline_s_name_has_to_stand_in_it_too():
    assert not of_pipeline(MAIN, "", "main", ("custom", "nightly")).key_fits
    assert not of_pipeline(MAIN, "", "nightly", ("custom", "nightly")).key_fits
    assert of_pipeline(MAIN, "", "main", ("branches", "ma*")).key_fits
    assert of_pipeline(MAIN, "", "main-nightly", ("custom", "nightly")).key_fits
    assert of_step(MAIN, "", "main").key_fits
    assert of_step(Build(repository="acme/shop", branch="x", environment="production"), "", "x-production").key_fits
    assert not of_step(Build(repository="acme/shop", branch="x", environment="production"), "", "x").key_fits
    assert not of_step(Build(repository="acme/shop"), "", "detached").key_fits
    assert of_step(Build(repository="acme/shop"), "", "").key_fits


def test_a_long_branch_name_gives_a_readable_start_and_a_hash():
    subject = of_step(Build(repository="acme/shop", branch="feature/" + "x" * 292), "", "")
    start = f"{SHOP}branch/feature/{'x' * 155}"
    assert len(subject.key) == len(subject.unknown_key) == 255
    assert subject.key == f"{start}:9866946fe9032dc2481ef4d488973d4439bd83098be435dbfbdd710e594d88d4"
    assert subject.unknown_key == f"{start}:{hashlib.sha256(f'{subject.prefix}:result unknown'.encode()).hexdigest()}"


def test_a_key_of_255_characters_stays_as_it_is_and_one_of_256_does_not():
    assert of_step(MAIN, "", "ä" * 255).key == "ä" * 255
    assert of_step(MAIN, "", "ä" * 256).key == f"{'ä' * 190}:{hashlib.sha256(('ä' * 256).encode()).hexdigest()}"
    assert of_step(MAIN, "", "k" * 240).unknown_key == f"{'k' * 240}:result unknown"


@given(st.text(max_size=600), st.text(max_size=300))
def test_any_key_fits_and_different_names_stay_apart(branch, name):
    key = of_step(Build(repository="acme/shop", branch=branch), name, "").key
    assert len(key) <= 255
    assert key != of_step(Build(repository="acme/shop", branch=branch + "x"), name, "").key


@pytest.mark.parametrize(
    ("build", "scope"),
    [(MAIN, "on main"), (PR, "in pull request 42"), (Build(repository="a/b", tag="v1"), "on tags v…"), (Build(repository="a/b"), "without a branch"),
     (Build(repository="a/b", branch="main", environment="production"), "in production"), (MAIN.told_of(), ""),
     (Build(repository="a/b", branch="feature/a"), "on feature/a"), (Build(repository="a/b", tag="2026.1"), "on tags …")],
)  # fmt: skip
def test_the_place_in_words(build, scope):
    subject = of_pipeline(build) if not build.environment else of_step(build, "", "")
    assert subject.scope == scope
