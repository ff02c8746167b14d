"""Who owns the key: what `bitbucket-pipelines.yml` shows, and what follows for a success."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe import definition_file, ownership
from pipe.build import Build
from pipe.definition_file import parse, read
from pipe.variables import Settings

MAIN = Build(repository="acme/shop", branch="main")
PIPE = "{pipe: acme/pagerduty-events:1.0.0, variables: {INTEGRATION_KEY: $K%s}}"


def pager(name: str = "", action: str = "", key: str = "") -> str:
    more = f", ALERT_NAME: {name}" if name else ""
    more += f", EVENT_ACTION: {action}" if action else ""
    more += f", DEDUP_KEY: {key}" if key else ""
    return PIPE % more


def step(
    name: str = "test", alert: str = "", kind: str = "step", where: str = "after-script", more: str = "", **pager_more
) -> str:
    return f"{{{kind}: {{name: {name}, script: [make], {where}: [{pager(alert, **pager_more)}]{more}}}}}"


PLAIN = "{step: {name: plain, script: [make]}}"
DEFAULT = "pipelines: {default: [%s]}"
BOTH = "pipelines: {branches: {main: [%s]}, custom: {nightly: [%s]}}"

UNNAMED = Settings()
NAMED = Settings(alert_name="unit tests")


def owns(text: str, settings: Settings = UNNAMED, build: Build = MAIN) -> bool:
    return ownership.of_step(parse(text.encode()), build, settings).owns


def pipeline_owns(text: str, settings: Settings = UNNAMED, build: Build = MAIN) -> bool:
    return ownership.of_pipeline(parse(text.encode()), build, settings).owns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DEFAULT % step(), True),
        (DEFAULT % f"{step()}, {PLAIN}", True),
        (DEFAULT % f"{step()}, {step('lint')}", False),
        (DEFAULT % f"{step()}, {step('lint', 'lint')}", True),
        (DEFAULT % f"{step()}, {step('lint', '$NAME')}", False),
        (DEFAULT % f"{step()}, {step('lint', '`date`')}", False),
        (DEFAULT % f"{step()}, {step(kind='final', where='script')}", False),
        (DEFAULT % step(kind="final"), False),
        (DEFAULT % f"{step()}, {step('done', where='script', action='resolve')}", True),
        (DEFAULT % f"{step()}, {step('done', where='script', action='change')}", True),
        (DEFAULT % f"{step()}, {step('done', where='script', action='trigger')}", False),
        (DEFAULT % f"{step()}, {step('done', where='script', action='$ACTION')}", False),
        (DEFAULT % PLAIN, False),
        (DEFAULT % f"{{parallel: [{step()}, {step('lint')}]}}", False),
        (DEFAULT % f"{{parallel: {{fail-fast: true, steps: [{step()}, {PLAIN}]}}}}", True),
        (DEFAULT % f"{{stage: {{name: s, steps: [{step()}, {step('lint')}]}}}}", False),
        (DEFAULT % f"{{future-group: {{members: [{step()}, {step('lint')}]}}}}", False),
        (DEFAULT % f"{step()}, {step('deploy', more=', deployment: test')}", True),
        (BOTH % (step(), step()), False),
        (BOTH % (step(), step("nightly", "nightly")), True),
        (BOTH % (step(), PLAIN), True),
        ("pipelines: {branches: {main: [%s], '**': [%s]}}" % (step(), step()), True),
        ("pipelines: {branches: {'ma*': [%s], '**': [%s]}}" % (step(), step()), False),
        ("pipelines: {branches: {'ma*': [%s], 'dev/*': [%s]}}" % (step(), step()), True),
        ("pipelines: {branches: {'{main,dev}': [%s]}, default: [%s]}" % (step(), step()), True),
        ("pipelines: {default: [%s], branches: {dev: [%s]}}" % (step(), step()), True),
        ("pipelines: {default: [%s], tags: {'*': [%s]}, pull-requests: {'**': [%s]}}" % (step(), step(), step()), True),
        ("pipelines: {default: [%s], custom: {nightly: {import: 'a:b:c'}}}" % step(), False),
        ("pipelines: {default: [%s], tags: {'*': {import: 'a:b:c'}}}" % step(), True),
        ("pipelines: {default: {import: 'a:b:c'}}", False),
        ("pipelines: [", False),
        ("nothing: here", False),
        ("", False),
    ],
)
def test_an_unnamed_alert_is_owned_only_where_the_file_shows_exactly_one_holder(text, expected):
    assert owns(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DEFAULT % step(alert="unit tests"), True),
        (DEFAULT % f"{step(alert='unit tests')}, {step('lint', 'lint')}, {step('x')}", True),
        (DEFAULT % f"{step(alert='unit tests')}, {step('more', 'unit tests')}", False),
        (DEFAULT % f"{step(alert='unit tests')}, {step('more', '$NAME')}", False),
        (DEFAULT % f"{step(alert='unit tests')}, {step('more', 'Unit tests')}", True),
        (BOTH % (step(alert="unit tests"), step(alert="unit tests")), True),
        (BOTH % (step(alert="unit tests"), f"{step(alert='unit tests')}, {step('x', 'unit tests')}"), False),
        (BOTH % (step(alert="unit tests"), step(kind="final", alert="unit tests")), False),
        ("pipelines: {default: {import: 'a:b:c'}}", True),
        ("pipelines: [", True),
        (DEFAULT % PLAIN, True),
    ],
)
def test_a_named_alert_is_owned_unless_one_pipeline_has_two_holders(text, expected):
    assert owns(text, NAMED) is expected


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


def test_steps_that_share_an_anchor_are_holders_each():
    held = ownership.of_step(parse(ANCHOR.encode()), MAIN, NAMED)
    assert not held.owns
    assert '"a" in default, "b" in default' in held.why_not
    assert "ALERT_NAME" in held.why_not


def test_a_merged_mapping_is_read_like_the_mapping_it_stands_for():
    merged = """
definitions: {v: &v {INTEGRATION_KEY: $K, ALERT_NAME: one}}
pipelines:
  default:
    - step: {script: [a], after-script: [{pipe: 'docker://x/y:1', variables: {<<: *v, ALERT_NAME: two}}]}
    - step: {script: [a], after-script: [{pipe: 'docker://x/y:1', variables: {<<: *v}}]}
"""
    steps = parse(merged.encode()).pipelines[0].steps
    assert [step.alerts[0].name for step in steps] == ["two", "one"]


DEPLOY = Build(repository="acme/shop", branch="main", environment="production")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DEFAULT % step(more=", deployment: production"), True),
        (DEFAULT % f"{step(more=', deployment: Production')}, {step()}, {step(more=', deployment: test')}", True),
        (BOTH % (step(more=", deployment: production"), step(more=", deployment: production")), True),
        (DEFAULT % f"{{stage: {{deployment: production, steps: [{step()}, {step('b')}]}}}}", False),
        (DEFAULT % f"{{stage: {{deployment: production, steps: [{step()}, {PLAIN}]}}}}", True),
        (DEFAULT % f"{step(more=', deployment: production')}, {step('b', more=', deployment: $ENVIRONMENT')}", False),
        ("pipelines: [", True),
    ],
)
def test_a_deployment_alert_is_owned_unless_one_pipeline_has_two_holders(text, expected):
    assert owns(text, UNNAMED, DEPLOY) is expected


def test_environment_names_are_compared_in_their_url_friendly_form():
    text = DEFAULT % f"{step(more=', deployment: Prod EU')}, {step('b', more=', deployment: prod-eu')}"
    assert not owns(text, UNNAMED, Build(repository="acme/shop", environment="prod-eu"))


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (Build(branch="fix", pull_request="42", destination="main"), ["pull-requests: fix", "custom: nightly"]),
        (Build(branch="x", pull_request="42", destination="main"), ["pull-requests: **", "custom: nightly"]),
        (Build(tag="v1"), ["tags: v*", "tags: release-*", "custom: nightly"]),
        (MAIN, ["branches: main", "custom: nightly"]),
        (Build(branch="other"), ["default", "custom: nightly"]),
        (Build(), ["custom: nightly"]),
        (DEPLOY, ["default", "branches: main", "tags: v*", "tags: release-*", "pull-requests: **", "pull-requests: fix", "custom: nightly"]),
    ],
)  # fmt: skip
def test_the_pipelines_that_could_open_a_key(build, expected):
    text = """
pipelines:
  default: [{step: {script: [a]}}]
  branches: {main: [{step: {script: [a]}}]}
  tags: {v*: [{step: {script: [a]}}], release-*: [{step: {script: [a]}}]}
  pull-requests: {'**': [{step: {script: [a]}}], fix: [{step: {script: [a]}}]}
  custom: {nightly: [{variables: [{name: X}]}, {step: {script: [a]}}]}
"""
    found = parse(text.encode()).possible(build)
    assert sorted(pipeline.label for pipeline in found) == sorted(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DEFAULT % f"{step()}, {step('b')}, {step(kind='final', where='script')}", True),
        (BOTH % (step(kind="final", where="script"), step()), False),
        (BOTH % (step(kind="final", where="script"), step("n", "nightly")), True),
        (BOTH % (step(kind="final", where="script"), PLAIN), True),
        ("pipelines: [", True),
        (DEFAULT % PLAIN, True),
    ],
)
def test_a_pipeline_s_result_owns_the_key_unless_another_pipeline_holds_it_too(text, expected):
    assert pipeline_owns(text) is expected


def test_a_pipeline_that_bitbucket_names_is_told_from_the_others():
    text = parse((BOTH % (PLAIN, step())).encode())
    assert ownership.of_pipeline(text, MAIN, UNNAMED, ("custom", "nightly")).owns
    assert not ownership.of_pipeline(text, MAIN, UNNAMED, ("branches", "main")).owns


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (step("b", "lint", key="shop"), False),
        (step("b", "lint"), True),
        (step("b", "unit tests"), True),
        (step("b", key="$K"), False),
    ],
)
def test_a_dedup_key_is_shared_by_the_steps_that_say_the_same(other, expected):
    text = "pipelines: {branches: {main: [%s, %s]}}" % (step(alert="unit tests", key="shop"), other)
    assert owns(text, Settings(alert_name="unit tests", dedup_key="shop")) is expected


@pytest.mark.parametrize(
    ("pipelines", "key", "expected"),
    [
        ("branches: {main: [%s]}", "shop", True),
        ("branches: {'**': [%s]}", "shop", False),
        ("default: [%s]", "shop", False),
        ("custom: {nightly: [%s]}", "shop", False),
        ("branches: {'**': [%s]}", "shop/$BITBUCKET_BRANCH", True),
        ("default: [%s]", "", True),
    ],
)
def test_a_dedup_key_that_is_the_same_on_every_ref_is_not_resolved_by_one(pipelines, key, expected):
    assert owns("pipelines: {%s}" % pipelines % step(key=key), Settings(dedup_key="shop")) is expected


@pytest.mark.parametrize("run", [Settings(), Settings(dedup_key="bitbucket:acme/shop:branch/main")])
def test_a_dedup_key_that_spells_a_derived_one_is_the_same_key(run):
    text = "pipelines: {branches: {main: [%s, %s]}}" % (step(), step("b", key="bitbucket:acme/shop:branch/main"))
    assert not owns(text, run)


@pytest.mark.parametrize("name", ["yes", "1.10", "0x1f", "No"])
def test_a_name_that_yaml_may_change_could_be_any_name(name):
    assert not owns(DEFAULT % f"{step(alert='unit tests')}, {step('b', name)}", NAMED)


@pytest.mark.parametrize("name", ["~", "null"])
def test_a_null_is_no_name(name):
    assert not owns(DEFAULT % f"{step()}, {step('b', name)}")


def test_an_environment_that_is_no_deployment_may_or_may_not_change_the_key():
    text = DEFAULT % f"{step()}, {step('b', more=', environment: test')}"
    assert not owns(text)
    assert owns(text, UNNAMED, Build(repository="acme/shop", branch="main", environment="test"))


def test_a_section_to_come_could_open_any_key():
    assert not owns("pipelines: {default: [%s], scheduled: {nightly: [%s]}}" % (step(), step()))


def test_an_environment_s_name_beyond_ascii_could_be_any():
    stage = f"{{stage: {{deployment: Prodüktion, steps: [{step()}, {step('b')}]}}}}"
    assert not owns(DEFAULT % stage, UNNAMED, Build(repository="acme/shop", environment="produktion"))


@pytest.mark.parametrize("settings", [UNNAMED, NAMED])
def test_a_child_pipeline_that_one_parent_runs_twice_is_two_holders(settings):
    child = "{step: {type: pipeline, custom: tests}}"
    once = "pipelines: {default: [%s], custom: {tests: [%s]}}" % (child, step(alert=settings.alert_name))
    twice = "pipelines: {default: [{parallel: [%s, %s]}], custom: {tests: [%s]}}" % (child, child, step(alert=settings.alert_name))
    assert owns(once, settings)
    assert not owns(twice, settings)


def test_another_name_for_the_pipe_does_not_hide_its_steps():
    renamed = ANCHOR.replace("acme/pagerduty-events:1.0.0", "acme/on-call:1.0.0").replace("INTEGRATION_KEY: $K, ", "")
    assert not owns(renamed, NAMED)


@pytest.mark.parametrize("text", [ANCHOR.encode() + b"# caf\xe9\n", ANCHOR.encode() + b"x: !foo bar\n", ANCHOR.encode() + b"y: !!int ''\n",
                                  ANCHOR.encode() + b"---\nz: [", b"\xef\xbb\xbf" + ANCHOR.encode(), ANCHOR.replace("\n", "\r\n").encode()])  # fmt: skip
def test_what_bitbucket_reads_is_read_whatever_else_stands_in_the_file(text):
    assert not ownership.of_step(parse(text), MAIN, NAMED).owns


def test_an_imported_pipeline_may_be_our_own():
    text = "pipelines: {default: {import: 'a:b:c'}, custom: {nightly: [%s]}}" % step()
    assert not pipeline_owns(text)
    assert pipeline_owns("pipelines: {default: [%s], custom: {x: {import: 'a:b:c'}}}" % step(kind="final", where="script"))


def test_a_resolver_in_another_pipeline_is_none():
    text = BOTH % (f"{step()}, {step('b')}", step("n", where="script", action="resolve"))
    assert not ownership.of_step(parse(text.encode()), MAIN, UNNAMED).resolver


def test_thousands_of_steps_by_aliases_are_refused_quickly():
    lines = ["s: &s [%s]" % step(), "t: &t [%s]" % ", ".join(["*s"] * 100), "u: &u [%s]" % ", ".join(["*t"] * 100)]
    assert "more than" in parse("\n".join([*lines, "pipelines: {default: *u}"]).encode()).unread


def test_one_dedup_key_under_two_names_is_not_the_same_check_in_another_pipeline():
    text = BOTH % (step(alert="unit tests", key="shop"), step(alert="lint", key="shop"))
    assert not owns(text, Settings(alert_name="unit tests", dedup_key="shop"))


def test_a_failure_strategy_of_a_group_holds_for_its_steps():
    text = DEFAULT % f"{{stage: {{on-fail: {{strategy: ignore}}, steps: [{step()}, {PLAIN}]}}}}"
    assert ownership.of_step(parse(text.encode()), MAIN, UNNAMED).sole.on_fail == "ignore"


def test_names_stay_as_they_stand():
    text = b"pipelines: {branches: {1.10: [{step: {name: yes, script: [a]}}], 007: [{step: {name: 1e3, script: [a]}}]}}"
    found = parse(text).pipelines
    assert [(p.pattern, p.steps[0].name) for p in found] == [("1.10", "yes"), ("007", "1e3")]


def test_what_cannot_be_read_says_why(tmp_path):
    assert "No such file" in read(tmp_path).unread
    path = tmp_path / definition_file.NAME
    path.mkdir()
    assert read(tmp_path).unread
    path.rmdir()
    os.mkfifo(path)
    assert "not a file" in read(tmp_path).unread
    path.unlink()
    path.write_bytes(b"#" * (definition_file.LARGEST + 1))
    assert "larger than" in read(tmp_path).unread
    path.write_bytes(b"pipelines:\n  default: [")
    assert "not valid YAML in line" in read(tmp_path).unread
    path.write_bytes(b"pipelines: " + b"[" * 100_000)
    assert "nested too deeply" in read(tmp_path).unread
    path.write_bytes(b"a: &a [*a]\npipelines: {default: *a}")
    assert read(tmp_path).unread


@given(
    st.text(max_size=200)
    | st.sampled_from(["pipelines: {default: 1}", "pipelines: {default: {a: [{step: 3}]}}", "pipelines: [1]"])
)
def test_no_file_at_all_raises(text):
    ownership.of_step(parse(text.encode(errors="replace")), MAIN, UNNAMED)
