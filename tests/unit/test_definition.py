"""What `bitbucket-pipelines.yml` shows, and how it is read from a clone."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe import definition_file
from pipe.build import Build
from pipe.definition import Definition, Pipeline, of_json
from pipe.lib import wall
from pipe.lib.masking import Mask
from tests.unit.files import DEFAULT, DEPLOY, MAIN, PLAIN, PR, TAG, of_step, pager, read, step

ANCHOR = """
definitions:
  pager: &pager
    - pipe: acme/pagerduty-events:1.0.0
      variables: &variables {INTEGRATION_KEY: $K, EXIT_CODE: $BITBUCKET_EXIT_CODE, ALERT_NAME: unit tests}
  steps:
    - step: &test {name: a, script: [make], after-script: *pager}
pipelines:
  default:
    - parallel:
        steps:
          - step: *test
          - step: {<<: *test, name: b}
"""


def items(text: str) -> list[str]:
    """The names of all of this pipe's items."""
    return [item.alert_name for p in read(text).pipelines for s in p.steps for item in s.items]


def test_steps_that_share_an_anchor_are_steps_each():
    held = of_step(ANCHOR, "unit tests")
    assert held.why_not == "a and b use the same key"


def test_a_merged_mapping_is_read_like_the_mapping_it_stands_for():
    merged = """
definitions: {v: &v {INTEGRATION_KEY: $K, ALERT_NAME: one}}
pipelines:
  default:
    - step: {script: [a], after-script: [{pipe: 'docker://x/p:1', variables: {<<: *v, ALERT_NAME: two}}]}
    - step: {script: [a], after-script: [{pipe: 'docker://x/p:1', variables: {<<: *v}}]}
"""
    assert items(merged) == ["two", "one"]


@pytest.mark.parametrize(
    ("references", "found"),
    [
        (("acme/oncall:1.2.3", "acme/oncall:1.2.3"), 2),
        (("acme/oncall:1.2.3", "acme/oncall:2"), 2),
        (("docker://registry.example:5000/oncall:1", "docker://registry.example:5000/oncall@sha256:abc"), 2),
        (("docker://registry.example:5000/oncall:1", "docker://registry.example:5000/other:1"), 1),
        (("acme/oncall:1", "atlassian/slack-notify:2"), 1),
    ],
)
def test_every_item_with_the_reference_of_one_that_has_the_key_is_this_pipe(references, found):
    with_key, without = references
    text = "pipelines: {default: [{step: {script: [a], after-script: [{pipe: '%s', variables: {INTEGRATION_KEY: $K}}]}}, {step: {script: [a], after-script: [{pipe: '%s'}]}}]}"
    assert len(items(text % (with_key, without))) == found


def test_a_reference_with_pagerduty_in_it_needs_no_variables():
    assert (
        len(items("pipelines: {default: [{step: {script: [a], after-script: [{pipe: 'acme/PagerDuty-alert:1'}]}}]}"))
        == 1
    )


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (PR, ["pull-requests: fix", "pull-requests: **", "custom: nightly", "scheduled: x"]),
        (TAG, ["tags: v*", "tags: release-*", "custom: nightly", "scheduled: x"]),
        (MAIN, ["default", "branches: main", "branches: {main,dev}", "custom: nightly", "scheduled: x"]),
        (Build(branch="other"), ["default", "custom: nightly", "scheduled: x"]),
        (Build(), ["custom: nightly", "scheduled: x"]),
        (DEPLOY, ["default", "branches: main", "branches: {main,dev}", "custom: nightly", "scheduled: x"]),
    ],
)
def test_the_pipelines_that_can_be_the_running_one(build, expected):
    text = """
pipelines:
  default: [{step: {script: [a]}}]
  branches: {main: [{step: {script: [a]}}], '{main,dev}': [{step: {script: [a]}}]}
  tags: {v*: [{step: {script: [a]}}], release-*: [{step: {script: [a]}}]}
  pull-requests: {'**': [{step: {script: [a]}}], fix: [{step: {script: [a]}}]}
  custom: {nightly: [{variables: [{name: X}]}, {step: {script: [a]}}]}
  scheduled: {x: [{step: {script: [a]}}]}
"""
    found = read(text)
    assert sorted(pipeline.label for pipeline in found.possible(build)) == sorted(expected)
    assert len(found.about_the_same(build)) == (9 if build is DEPLOY else len(expected))


def test_an_unreadable_pattern_could_match_anything():
    assert read("pipelines: {branches: {'{main': [%s]}}" % PLAIN).possible(MAIN)


def test_what_bitbucket_names_by_selector_is_found():
    found = read(
        "pipelines: {default: [%s], branches: {main: [%s]}, pull-requests: {'**': [%s]}, custom: {nightly: [%s]}}"
        % ((PLAIN,) * 4)
    )
    assert found.selected(("default", "")).section == "default"
    assert found.selected(("default", "anything")).section == "default"
    assert found.selected(("branches", "main")).pattern == "main"
    assert found.selected(("pullrequests", "**")).section == "pull-requests"
    assert found.selected(("custom", "other")) is None


def test_pagers_are_told_custom_pipelines_with_this_pipe_in_a_script():
    text = """
triggers:
  pipeline-completed:
    - {condition: a, pipelines: [pager, deploy, other]}
  repository-push: [{condition: b, pipelines: [pushed]}]
pipelines: {custom: {pager: [%s], deploy: [%s], other: [%s], pushed: [%s]}}
""" % (step(where="script"), step(), PLAIN, step(where="script"))
    found = read(text)
    assert found.told == ("pager", "deploy", "other")
    assert found.triggered == ("pager", "deploy", "other", "pushed")
    assert found.behind_an_end == ("pager", "deploy", "other")
    assert found.pagers() == ("pager",)
    assert [found.may_be_a_pager(("custom", name)) for name in ("pager", "deploy", "pushed", "")] == [
        True,
        False,
        False,
        True,
    ]
    assert not found.may_be_a_pager(("branches", "pager"))


def test_where_no_told_pipeline_shows_this_pipe_each_may_be_the_pager():
    """It runs in one of them, by a script line that calls its image."""
    text = """
triggers: {pipeline-completed: [{condition: a, pipelines: [pager, deploy]}]}
pipelines: {custom: {pager: [%s], deploy: [%s], nightly: [%s]}}
""" % (PLAIN, step(), step(where="script"))
    assert read(text).pagers() == ("pager", "deploy")


def test_one_that_is_imported_may_be_the_pager_beside_one_that_is_seen():
    text = """
triggers: {pipeline-completed: [{condition: a, pipelines: [pager, elsewhere, deploy]}]}
pipelines: {custom: {pager: [%s], elsewhere: {import: 'a:b:c'}, deploy: [%s]}}
""" % (step(where="script"), step())
    assert read(text).pagers() == ("pager", "elsewhere")


@pytest.mark.parametrize(
    "triggers", ["1", "[a]", "{pipeline-completed: 1}", "{pipeline-completed: [1, {pipelines: 2}, {pipelines: [[3]]}]}"]
)
def test_triggers_that_are_not_understood_name_nothing(triggers):
    assert read("triggers: %s\npipelines: {default: [%s]}" % (triggers, PLAIN)).triggered == ()


@pytest.mark.parametrize(
    ("text", "skipped"),
    [
        (step(), False),
        (step(more=", trigger: manual"), True),
        (step(more=", condition: {changesets: {includePaths: [a]}}"), True),
        ("{stage: {trigger: manual, steps: [%s]}}" % step(), True),
        ("{stage: {condition: {changesets: {includePaths: [a]}}, steps: [%s]}}" % step(), True),
    ],
)
def test_a_step_with_a_condition_or_at_a_gate_may_be_skipped(text, skipped):
    assert read(DEFAULT % text).pipelines[0].steps[0].may_be_skipped is skipped


@pytest.mark.parametrize(
    ("gate", "kind", "behind"),
    [
        (step("gate", more=", trigger: manual"), "step", True),
        ("{stage: {trigger: manual, steps: [%s]}}" % step("gate"), "step", True),
        ("{parallel: {steps: [%s]}}" % step("gate", more=", trigger: manual"), "step", False),
        (step("gate", more=", condition: {a: b}"), "step", False),
        (step("gate", more=", trigger: manual"), "final", False),  # it always runs
    ],
)
def test_what_stands_behind_a_manual_gate_may_be_skipped_too(gate, kind, behind):
    text = f"{step('first')}, {gate}, {step('behind', kind=kind)}"
    skipped = {one.name: one.may_be_skipped for one in read(DEFAULT % text).pipelines[0].steps}
    assert (skipped["first"], skipped["behind"]) == (False, behind)


@pytest.mark.parametrize(
    ("text", "on_fail"),
    [
        (step(more=", on-fail: {strategy: ignore}"), "ignore"),
        ("{stage: {on-fail: {strategy: ignore}, steps: [%s]}}" % step(), "ignore"),
        ("{stage: {on-fail: {strategy: ignore}, steps: [%s]}}" % step(more=", on-fail: {strategy: retry}"), "retry"),
        (step(), ""),
    ],
)
def test_a_failure_strategy_of_a_group_holds_for_its_steps(text, on_fail):
    assert read(DEFAULT % text).pipelines[0].steps[0].on_fail == on_fail


def test_each_parallel_group_has_a_number():
    text = DEFAULT % f"{step()}, {{parallel: [{step()}, {step()}]}}, {{parallel: {{steps: [{step()}]}}}}"
    groups = [s.group for s in read(text).pipelines[0].steps]
    assert groups[0] == 0
    assert groups[1] == groups[2] != groups[3] > 0


@pytest.mark.parametrize(
    "text",
    [
        ANCHOR.encode() + b"# caf\xe9\n", ANCHOR.encode() + b"x: !foo bar\n", ANCHOR.encode() + b"y: !!int ''\n",
        ANCHOR.encode() + b"---\nz: [", b"\xef\xbb\xbf" + ANCHOR.encode(), ANCHOR.replace("\n", "\r\n").encode(),
    ],
)  # fmt: skip
def test_what_bitbucket_reads_is_read_whatever_else_stands_in_the_file(text):
    assert len(definition_file.parse(text).pipelines[0].steps) == 2


def test_names_stay_as_they_stand():
    found = read(
        "pipelines: {branches: {1.10: [{step: {name: yes, script: [a]}}], 007: [{step: {name: 1e3, script: [a]}}]}}"
    ).pipelines
    assert [(p.pattern, p.steps[0].name) for p in found] == [("1.10", "yes"), ("007", "1e3")]


def test_a_definition_comes_through_the_wall_as_it_was():
    found = read(ANCHOR)
    assert of_json(wall.ask(lambda: found, seconds=5)) == found


def test_no_file_is_absent_and_one_that_cannot_be_read_says_why(tmp_path):
    assert definition_file.read(tmp_path).absent
    assert definition_file.read(tmp_path / "nowhere").absent
    path = tmp_path / definition_file.NAME
    path.mkdir()
    assert "Is a directory" in definition_file.read(tmp_path).unread
    path.rmdir()
    path.write_bytes(b"pipelines:\n  default: [")
    assert "not valid YAML in line" in definition_file.read(tmp_path).unread
    for text in (b"", b"nothing: here", b"pipelines: 3", b"- a"):
        path.write_bytes(text)
        assert "no pipelines" in definition_file.read(tmp_path).unread
    path.write_text(ANCHOR)
    assert definition_file.read(tmp_path) == read(ANCHOR)


def test_a_secret_in_the_file_is_masked_before_a_name_is_cut(tmp_path):
    secret = "ATCTT3-a-token"
    name = "x" * 75 + secret
    (tmp_path / definition_file.NAME).write_text(f"pipelines: {{custom: {{{name}: [{{step: {{script: [a]}}}}]}}}}")
    found = definition_file.read(tmp_path, Mask(others=(secret,)).all)
    assert found.pipelines[0].pattern == "x" * 75 + "****"


@pytest.mark.parametrize(
    "text",
    [
        b"pipelines: " + b"[" * 100_000,
        b"a: &a {a: {<<: *a}}\npipelines: {default: *a}",
        ("\n".join(["s: &s [%s]" % step(), *("%s: &%s [%s]" % (b, b, ", ".join([f"*{a}"] * 30)) for a, b in zip("stuvw", "tuvwx", strict=True)), "pipelines: {default: *x}"])).encode(),
    ],
    ids=["nesting", "recursion", "aliases"],
)  # fmt: skip
def test_a_hostile_file_is_unread_within_the_time(text, tmp_path, monkeypatch):
    monkeypatch.setattr(definition_file, "READING_TIME", 0.5)  # of a processor; the image's tests give all of it
    (tmp_path / definition_file.NAME).write_bytes(text)
    assert definition_file.read(tmp_path).unread.startswith("bitbucket-pipelines.yml ")


def test_a_fifo_ends_with_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr(definition_file, "READING_TIME", 0.2)
    os.mkfifo(tmp_path / definition_file.NAME)
    assert "no answer within" in definition_file.read(tmp_path).unread


@given(
    st.text(max_size=200)
    | st.sampled_from(["pipelines: {default: 1}", "pipelines: {default: {a: [{step: 3}]}}", "pipelines: [1]", pager()])
)
def test_no_text_at_all_raises(text):
    definition_file.parse(text.encode(errors="replace"))


@pytest.mark.parametrize(
    "answer", [[], ["x"], [[], [], [], [], "", False, 1], [[["branches"]], [], [], [], "", False], 7, {}]
)
def test_an_answer_that_is_no_definition_is_doubt(monkeypatch, tmp_path, answer):
    monkeypatch.setattr("pipe.lib.wall.ask", lambda *_, **__: answer)
    assert definition_file.read(tmp_path).unread.endswith("could not be read (the answer makes no sense)")


def test_patterns_without_an_end_do_not_hold_up_the_page():
    many = Definition(tuple(Pipeline("branches", "*?" * 500 + str(n)) for n in range(1000)))
    build = MAIN._replace(branch="a" * 1000)
    assert len(many.possible(build)) == 1000  # any could be it, since none was tried


def test_a_step_s_name_is_read_as_bitbucket_s_answers_are():
    (pipeline,) = definition_file.parse(b"pipelines: {default: [{step: {name: 'Unit  tests', script: [x]}}]}").pipelines
    assert [step.name for step in pipeline.steps] == ["Unit tests"]
