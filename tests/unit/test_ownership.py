"""Who else can open this key, and does this success own it? The whole rule, as tables."""

from __future__ import annotations

import pytest

from pipe.build import Build
from pipe.definition import Definition
from pipe.placement import placed
from tests.unit.files import BOTH, DEFAULT, DEPLOY, MAIN, PLAIN, PR, TAG, of_pipeline, of_step, pager, read, step

ABSENT, UNREAD = Definition(absent=True), Definition(unread="bitbucket-pipelines.yml could not be read (too large)")


def owns(*given, **more) -> bool:
    return not of_step(*given, **more).why_not


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DEFAULT % step(), True),
        (DEFAULT % f"{step()}, {PLAIN}", True),
        (DEFAULT % f"{step()}, {step('lint')}", False),
        (DEFAULT % f"{step()}, {step('lint', 'lint')}", True),
        (DEFAULT % f"{step()}, {step('lint', '$NAME')}", False),
        (DEFAULT % f"{step()}, {step('lint', 'lint $NAME')}", True),
        (DEFAULT % f"{step()}, {step('lint', '`date`')}", False),
        (DEFAULT % f"{step()}, {step(kind='final', where='script')}", True),
        (DEFAULT % f"{step()}, {step(kind='final')}", False),
        (DEFAULT % step(kind="final"), False),
        (DEFAULT % f"{step()}, {step('done', where='script', event_action='resolve')}", True),
        (DEFAULT % f"{step()}, {step('done', event_action='change')}", True),
        (DEFAULT % f"{step()}, {step('done', event_action='Acknowledge')}", True),
        (DEFAULT % f"{step()}, {step('done', where='script', event_action='trigger')}", False),
        (DEFAULT % f"{step()}, {step('done', where='script', event_action='$ACTION')}", False),
        (DEFAULT % f"{step()}, {step('done', event_action='$ACTION')}", False),
        (DEFAULT % f"{step()}, {step('done', where='script')}", True),
        (DEFAULT % f"{step()}, {step('done', where='script', exit_code='$BITBUCKET_EXIT_CODE')}", True),
        (DEFAULT % f"{step()}, {step('done', where='script', exit_code='$CODE')}", False),
        (DEFAULT % PLAIN, False),
        (DEFAULT % f"{{parallel: [{step()}, {step('lint')}]}}", False),
        (DEFAULT % f"{{parallel: {{fail-fast: true, steps: [{step()}, {PLAIN}]}}}}", True),
        (DEFAULT % f"{{stage: {{name: s, steps: [{step()}, {step('lint')}]}}}}", False),
        (DEFAULT % f"{{future-group: {{members: [{step()}, {step('lint')}]}}}}", False),
        (DEFAULT % f"{step()}, {step('deploy', more=', deployment: test')}", True),
        (BOTH % (step(), step()), False),
        (BOTH % (step(), step("nightly", "nightly")), True),
        (BOTH % (step(), PLAIN), True),
        ("pipelines: {branches: {main: [%s], '**': [%s]}}" % (step(), step()), False),
        ("pipelines: {branches: {'ma*': [%s], 'dev/*': [%s]}}" % (step(), step()), True),
        ("pipelines: {branches: {'{main,dev}': [%s]}, default: [%s]}" % (step(), step()), False),
        ("pipelines: {default: [%s], branches: {dev: [%s]}}" % (step(), step()), True),
        ("pipelines: {default: [%s], tags: {'*': [%s]}, pull-requests: {'**': [%s]}}" % (step(), step(), step()), True),
        ("pipelines: {default: [%s], custom: {nightly: {import: 'a:b:c'}}}" % step(), False),
        ("pipelines: {default: [%s], tags: {'*': {import: 'a:b:c'}}}" % step(), True),
        ("pipelines: {default: [%s], scheduled: {nightly: [%s]}}" % (step(), step()), False),
        ("pipelines: {default: {import: 'a:b:c'}}", False),
    ],
)
def test_an_unnamed_alert_is_owned_only_where_the_file_shows_exactly_one_step(text, expected):
    assert owns(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DEFAULT % step(alert="unit tests"), True),
        (DEFAULT % f"{step(alert='unit tests')}, {step('lint', 'lint')}, {step('x')}", True),
        (DEFAULT % f"{step(alert='unit tests')}, {step('more', 'unit tests')}", False),
        (DEFAULT % f"{step(alert='unit tests')}, {step('more', '$NAME')}", False),
        (DEFAULT % f"{step(alert='unit tests')}, {step('more', 'unit $NAME')}", False),
        (DEFAULT % f"{step(alert='unit tests')}, {step('more', '${NAME} tests')}", False),
        (DEFAULT % f"{step(alert='unit tests')}, {step('more', 'e2e $NAME')}", True),
        (DEFAULT % f"{step(alert='unit tests')}, {step('more', 'Unit tests')}", True),
        (DEFAULT % f"{step(alert='unit tests')}, {step('more', 'yes')}", False),
        (DEFAULT % f"{step(alert='unit tests')}, {step('more', '1.10')}", False),
        (BOTH % (step(alert="unit tests"), step(alert="unit tests")), True),
        (BOTH % (step(alert="unit tests"), f"{step(alert='unit tests')}, {step('x', 'unit tests')}"), False),
        (BOTH % (step(alert="unit tests"), step(kind="final", alert="unit tests")), True),
        (DEFAULT % step(kind="final", alert="unit tests"), False),
        ("pipelines: {default: {import: 'a:b:c'}}", True),
        (DEFAULT % PLAIN, True),
    ],
)
def test_a_named_alert_is_owned_unless_one_pipeline_has_two_such_steps(text, expected):
    assert owns(text, "unit tests") is expected


@pytest.mark.parametrize(("definition", "named", "unnamed"), [(ABSENT, True, False), (UNREAD, False, False)])
def test_what_is_absent_is_no_doubt_for_a_name_and_what_cannot_be_read_is(definition, named, unnamed):
    assert owns(definition, "unit tests") is named
    assert owns(definition) is unnamed
    assert (not of_pipeline(definition).why_not) is named
    assert (not of_pipeline(definition, known=True).why_not) is named


SHARDS = f"{{parallel: [{step('u', 'unit $BITBUCKET_PARALLEL_STEP')}, {step('u', 'unit $BITBUCKET_PARALLEL_STEP')}]}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DEFAULT % SHARDS, True),
        (DEFAULT % SHARDS.replace("unit $BITBUCKET_PARALLEL_STEP", "'unit ${BITBUCKET_PARALLEL_STEP}'"), True),
        (DEFAULT % SHARDS.replace("PARALLEL_STEP", "PARALLEL_STEP_COUNT"), False),
        (DEFAULT % f"{SHARDS}, {SHARDS}", False),
        (DEFAULT % f"{SHARDS}, {step('u', 'unit 1')}", False),
        (DEFAULT % SHARDS.removeprefix("{parallel: [").removesuffix("]}"), False),
    ],
)
def test_the_index_tells_the_steps_of_one_parallel_group_apart(text, expected):
    assert owns(text, "unit 1") is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DEFAULT % step(more=", deployment: production"), True),
        (DEFAULT % f"{step(more=', deployment: Production')}, {step()}, {step(more=', deployment: test')}", True),
        (BOTH % (step(more=", deployment: production"), step("other", more=", deployment: production")), False),
        ("pipelines: {branches: {main: [%s]}, tags: {'*': [%s]}}" % (step(more=", deployment: production"), step(more=", deployment: production")), False),
        (DEFAULT % f"{{stage: {{deployment: production, steps: [{step()}, {step('b')}]}}}}", False),
        (DEFAULT % f"{{stage: {{deployment: production, steps: [{step()}, {PLAIN}]}}}}", True),
        (DEFAULT % f"{step(more=', deployment: production')}, {step('b', more=', deployment: $ENVIRONMENT')}", False),
        ("pipelines: {tags: {'*': [%s]}, branches: {main: {import: 'a:b:c'}}}" % step(more=", deployment: production"), False),
    ],
)  # fmt: skip
def test_a_deployment_s_alert_can_be_opened_from_any_pipeline(text, expected):
    assert owns(text, build=DEPLOY) is expected


def test_one_name_in_two_environments_is_two_keys_and_in_two_pipelines_one_check():
    text = (
        DEFAULT
        % f"{step('a', 'deploy', more=', deployment: staging')}, {step('b', 'deploy', more=', deployment: production')}"
    )
    assert owns(text, "deploy", build=DEPLOY)
    text = BOTH % (
        step("a", "deploy", more=", deployment: production"),
        step("b", "deploy", more=", deployment: production"),
    )
    assert owns(text, "deploy", build=DEPLOY)


@pytest.mark.parametrize(("one", "other"), [("Prod EU", "prod-eu"), ("Prodüktion", "x")])
def test_environments_are_compared_in_their_url_friendly_form_and_any_beyond_ascii_could_be_it(one, other):
    text = DEFAULT % f"{step(more=f', deployment: {one}')}, {step('b', more=f', deployment: {other}')}"
    assert not owns(text, build=Build(repository="acme/shop", environment="prod-eu" if other != "x" else "x"))


def test_an_environment_that_is_no_deployment_may_or_may_not_change_the_key():
    text = DEFAULT % f"{step()}, {step('b', more=', environment: test')}"
    assert not owns(text)
    assert owns(text, build=Build(repository="acme/shop", branch="main", environment="test"))


def test_in_a_pull_request_a_step_s_environment_changes_no_key():
    text = "pipelines: {pull-requests: {'**': [%s, %s]}}" % (step(more=", deployment: test"), step("b"))
    assert not owns(text, build=PR)


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("branches: {main: [%s]}" % step(dedup_key="shop"), "shop", False),
        ("branches: {main: [%s]}" % step(dedup_key="shop-main"), "shop-main", True),
        ("default: [%s]" % step(dedup_key="shop-main"), "shop-main", False),
        ("default: [%s]" % step(dedup_key="shop-$BITBUCKET_BRANCH"), "shop-main", True),
        ("default: [%s]" % step(dedup_key="'shop-${BITBUCKET_BRANCH}'"), "shop-main", True),
        ("default: [%s]" % step(dedup_key="$BITBUCKET_REPO_SLUG-main"), "shop-main", False),
        ("custom: {nightly: [%s]}" % step(dedup_key="shop-main"), "shop-main", False),
        (
            "branches: {main: [%s], dev: [%s]}" % (step(dedup_key="shop-main"), step(dedup_key="shop-main")),
            "shop-main",
            False,
        ),
        (
            "branches: {main: [%s, %s]}" % (step(dedup_key="shop-main"), step("b", dedup_key="shop-main")),
            "shop-main",
            False,
        ),
        (
            "branches: {main: [%s, %s]}" % (step(dedup_key="shop-main"), step("b", dedup_key="other-main")),
            "shop-main",
            True,
        ),
        ("branches: {main: [%s, %s]}" % (step(dedup_key="shop-main"), step("b")), "shop-main", True),
        ("branches: {main: [%s, %s]}" % (step(dedup_key="$K"), step("b")), "shop-main", True),
        ("default: [%s]" % step(dedup_key="$K"), "shop-main", False),
    ],
)
def test_a_dedup_key_counts_as_a_name_where_only_builds_of_this_branch_can_have_it(text, key, expected):
    assert owns("pipelines: {%s}" % text, key=key) is expected


def test_without_a_file_a_dedup_key_is_owned_where_the_branch_stands_in_it():
    assert owns(ABSENT, key="shop-main")
    assert not owns(ABSENT, key="shop")


def test_a_literal_key_in_an_environment_is_bound_to_it():
    text = DEFAULT % f"{step(more=', deployment: production', dedup_key='production-deploy')}"
    assert owns(text, key="production-deploy", build=DEPLOY)
    both = (
        DEFAULT
        % f"{step(more=', deployment: production', dedup_key='production-deploy')}, {step('b', more=', deployment: test', dedup_key='production-deploy')}"
    )
    assert not owns(both, key="production-deploy", build=DEPLOY)


def test_a_dedup_key_that_spells_a_derived_one_is_the_same_key():
    text = "pipelines: {branches: {main: [%s, %s]}}" % (
        step(),
        step("b", dedup_key="'bitbucket:acme/shop:branch/main:step'"),
    )
    assert not owns(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DEFAULT % f"{PLAIN}, {step(kind='final', where='script', build_status='$STATUS')}", True),
        (BOTH % (step(kind="final", where="script", build_status="$STATUS"), step(where="script", build_status="$STATUS")), False),
        (BOTH % (step(kind="final", where="script", build_status="$STATUS"), step("n", "nightly", where="script", build_status="$S")), True),
        (BOTH % (step(kind="final", where="script", build_status="$STATUS"), step("n")), True),
        (BOTH % (step(kind="final", where="script"), step(where="script", build_status="$STATUS", event_action="resolve")), True),
        (DEFAULT % PLAIN, True),
    ],
)  # fmt: skip
def test_a_build_status_is_owned_unless_two_pipelines_say_it_under_one_key(text, expected):
    assert (not of_pipeline(text).why_not) is expected


def test_a_pipeline_whose_selector_bitbucket_tells_has_a_key_of_its_own():
    text = BOTH % (step(kind="final", where="script"), step(kind="final", where="script"))
    assert not of_pipeline(text, known=True).why_not
    assert of_pipeline(text).why_not


def test_the_yellow_line_names_the_other_steps_and_the_one_thing_to_write():
    held = of_step(DEFAULT % f"{step('Lint')}, {step('Unit tests')}")
    assert held.why_not == "Lint and Unit tests use the same key"
    assert held.advice == "Give each step an ALERT_NAME of its own"
    held = of_step(BOTH % (step("build"), step("nightly build")))
    assert held.why_not == "build (branches: main) and nightly build (custom: nightly) use the same key"
    assert "one ALERT_NAME, in the anchor they share" in held.advice
    held = of_step(DEFAULT % f"{step('ci', 'ci')}, {step('ci', 'ci')}", "ci")
    assert held.why_not == "2 steps called ci use the same key"
    assert "Set ALERT_NAME" in of_step(ABSENT).advice
    assert "$BITBUCKET_BRANCH" in of_step(ABSENT, key="shop").advice
    many = of_step(DEFAULT % ", ".join(step(f"s{n}") for n in range(9))).why_not
    assert many == "s0, s1, s2, s3, s4 and 4 more use the same key"
    assert (
        of_step(DEFAULT % step(kind="final").replace("name: test, ", ""), "").why_not
        == "the exit code of the final step says nothing of the build"
    )


@pytest.mark.parametrize(
    ("text", "build", "name", "key", "steps"),
    [
        (DEFAULT % f"{step('a', 'x')}, {step('b', 'q')}, {step('c', '$N')}, {PLAIN}", MAIN, "x", "", ["a", "c"]),
        (DEFAULT % f"{step('a', 'x')}, {step('b')}", MAIN, "", "", ["b"]),
        (DEFAULT % f"{step('a', dedup_key='k-$X')}, {step('b')}", MAIN, "", "k-1", ["a"]),
        (DEFAULT % f"{step('a', more=', deployment: production')}, {step('b')}", DEPLOY, "", "", ["a"]),
        ("pipelines: {branches: {dev: [%s]}, tags: {'*': [%s]}}" % (step("a"), step("b")), TAG, "", "", ["b"]),
    ],
)  # fmt: skip
def test_where_this_very_run_can_stand(text, build, name, key, steps):
    assert [one.step.name for one in placed(read(text), build, name, key)] == steps


def test_a_script_of_an_ordinary_step_runs_only_after_a_success():
    text = "triggers: {pipeline-completed: [{condition: x, pipelines: [told]}]}\npipelines: {custom: {told: [%s], plain: [%s]}, default: [{step: {script: [%s]}}]}"
    found = placed(read(text % (step(where="script"), step(where="script"), pager())), MAIN, "", "")
    assert [one.runs_only_after_a_success for one in found] == [False, True, True]
