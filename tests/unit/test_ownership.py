"""Who else can open this key, and does this success own it? The whole rule, as tables."""

from __future__ import annotations

import pytest

from pipe.build import Build
from pipe.definition import Definition
from pipe.ownership import Ownership
from pipe.placement import friendly_name, placed
from tests.unit.files import BOTH, DEFAULT, DEPLOY, MAIN, PLAIN, PR, TAG, of_pipeline, of_step, pager, read, step

ABSENT, UNREAD = Definition(absent=True), Definition(unread="bitbucket-pipelines.yml could not be read (too large)")


BRACED_CODE = "'${BITBUCKET_EXIT_CODE}'"


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
        (DEFAULT % f"{step()}, {step('done', where='script', exit_code=BRACED_CODE)}", True),
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


@pytest.mark.parametrize(
    ("other", "can_be"),
    [
        ("${NAME} tests", True), ("${NAME} checks", False), ("${A:-$B} tests", True), ("unit$(date +%m) tests", True), ("u`hostname`s", True),
        (r"unit\ tests", True), ("unit.tests", False), ("unit  tests", True), ("$A$B", True), ("unit", False), ("unit $A more", False), ("u$A", True),
        ("$A tests", True), ("unit ${A}", True), ("unit tes${A}ests", False), ("u${A}t${B}tests", True), ("u${A}s${B}s${C}tests", False), ("unit${A", True),
        ("${A}s${B}n${C}", False), ("${A}e${B}e${C}", False),
        ("$A", True), ("unit tests $A", True), ("e2e $A", False), ("u" + "$(" * 40_000, True),
    ],
)  # fmt: skip
def test_what_stands_around_a_dollar_decides_whether_a_name_can_be_the_same(other, can_be):
    text = DEFAULT % ", ".join((step("a", "unit tests"), step("b", f"'{other}'")))
    assert of_step(text, "unit tests") == (says("a and b use the same key", ONE_EACH) if can_be else OWNED)


def test_a_name_full_of_variables_does_not_hold_up_the_page():
    name = "s" * 200
    assert owns(DEFAULT % ", ".join((step("a", name), step("b", "'" + "${A}s" * 60 + "x'"))), name)


@pytest.mark.parametrize(("definition", "named", "unnamed"), [(ABSENT, True, False), (UNREAD, False, False)])
def test_what_is_absent_is_no_doubt_for_a_name_and_what_cannot_be_read_is(definition, named, unnamed):
    assert owns(definition, "unit tests") is named
    assert owns(definition) is unnamed
    assert (not of_pipeline(definition).why_not) is named
    assert (not of_pipeline(definition, selector=("branches", "main")).why_not) is named


SHARDS = f"{{parallel: [{step('u', 'unit $BITBUCKET_PARALLEL_STEP')}, {step('u', 'unit $BITBUCKET_PARALLEL_STEP')}]}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DEFAULT % SHARDS, True),
        (DEFAULT % SHARDS.replace("unit $BITBUCKET_PARALLEL_STEP", "'unit ${BITBUCKET_PARALLEL_STEP}'"), True),
        (DEFAULT % SHARDS.replace("unit $BITBUCKET_PARALLEL_STEP", "'unit ${BITBUCKET_PARALLEL_STEP}'", 1), True),
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


def test_where_the_environment_did_not_arrive_a_name_in_two_of_them_is_one_key():
    staging, production = (step(name, "deploy", more=f", deployment: {name}") for name in ("staging", "production"))
    found = of_step(DEFAULT % f"{staging}, {production}", "deploy")
    assert found == Ownership("staging and production use the same key", ONE_EACH)
    assert owns(DEFAULT % production, "deploy")
    assert owns(DEFAULT % f"{staging}, {production}", "called in a script line")
    assert not owns(DEFAULT % step(more=", deployment: production"))
    assert owns(DEFAULT % f"{staging}, {production}", "deploy", build=DEPLOY._replace(environment="qa"))


PROD_EU = ["Prod EU", "Prod (EU)", "_prod__EU_"]


@pytest.mark.parametrize("name", PROD_EU)
def test_an_environment_s_url_friendly_form(name):
    assert friendly_name(name) == "prod-eu"


@pytest.mark.parametrize("name", [*PROD_EU, "Prodüktion"])
def test_environments_are_compared_in_their_url_friendly_form_and_any_beyond_ascii_could_be_it(name):
    text = DEFAULT % f"{step(more=f', deployment: {name}')}, {step('b', more=', deployment: prod-eu')}"
    assert not owns(text, build=DEPLOY._replace(environment="prod-eu"))


def test_an_environment_that_is_no_deployment_may_or_may_not_change_the_key():
    text = DEFAULT % f"{step()}, {step('b', more=', environment: test')}"
    assert not owns(text)
    assert owns(text, build=Build(repository="acme/shop", branch="main", environment="test"))


def test_an_environment_that_a_variable_names_is_some_environment():
    assert owns(DEFAULT % f"{step()}, {step('b', more=ANY_ENV)}")
    assert not owns(DEFAULT % f"{step(more=PRODUCTION)}, {step('b', more=ANY_ENV)}", build=DEPLOY)


def test_in_a_pull_request_a_step_s_environment_changes_no_key():
    text = "pipelines: {pull-requests: {'**': [%s, %s]}}" % (step(more=", deployment: test"), step("b"))
    assert not owns(text, build=PR)


def test_a_pipeline_whose_selector_bitbucket_tells_has_a_key_of_its_own():
    text = BOTH % (step(kind="final", where="script"), step(kind="final", where="script"))
    assert not of_pipeline(text, selector=("branches", "main")).why_not
    assert of_pipeline(text).why_not


OWNED = Ownership()
ONE_EACH = "Give each step an ALERT_NAME of its own"
ONE_WORD_EACH = "Give each DEDUP_KEY a word of its own"
FOR_ALL = "Give them one ALERT_NAME, in the anchor they share, or each its own where they check different things"
BRANCH_INTO_IT = "Put $BITBUCKET_BRANCH into it (or $BITBUCKET_DEPLOYMENT_ENVIRONMENT, _TAG or _PR_ID)"
STATUS = {"where": "script", "build_status": "$STATUS"}


def says(sentence: str, advice: str) -> Ownership:
    return Ownership(sentence, advice)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        (ABSENT, "unit", OWNED),
        (ABSENT, "", says("no bitbucket-pipelines.yml shows who else uses its key", "Set ALERT_NAME")),
        (UNREAD, "unit", says("bitbucket-pipelines.yml could not be read (too large)", "")),
        (DEFAULT % PLAIN, "", says("bitbucket-pipelines.yml does not show this step", "Set ALERT_NAME")),
        ("pipelines: {default: [%s], custom: {n: {import: 'a:b:c'}}}" % step(), "", says("bitbucket-pipelines.yml imports a pipeline that could use the same key", "Set ALERT_NAME")),
        (DEFAULT % f"{step('Lint')}, {step('Unit tests')}", "", says("Lint and Unit tests use the same key", ONE_EACH)),
        (DEFAULT % f"{step('Lint')}, {PLAIN}, {step('x', 'x')}, {step('Unit tests')}", "", says("Lint and Unit tests use the same key", ONE_EACH)),
        (DEFAULT % f"{step('x', 'x')}, {step('Lint')}, {step('Unit tests')}", "", says("Lint and Unit tests use the same key", ONE_EACH)),
        (DEFAULT % f"{step('ci', 'ci')}, {step('ci', 'ci')}", "ci", says("2 steps called ci use the same key", ONE_EACH)),
        (DEFAULT % f"{step('ci', 'ci')}, {step('b', 'ci')}, {step('ci', 'ci')}", "ci", says("2 steps called ci and b use the same key", ONE_EACH)),
        (DEFAULT % ", ".join(step(f"s{n}") for n in range(5)), "", says("s0, s1, s2, s3 and s4 use the same key", ONE_EACH)),
        (DEFAULT % ", ".join(step(f"s{n}") for n in range(6)), "", says("s0, s1, s2, s3, s4 and 1 more use the same key", ONE_EACH)),
        (DEFAULT % ", ".join(step(f"s{n}") for n in range(9)), "", says("s0, s1, s2, s3, s4 and 4 more use the same key", ONE_EACH)),
        (DEFAULT % f"{step('x' * 99)}, {step('b')}", "", says(f"{'x' * 79}… and b use the same key", ONE_EACH)),
        (DEFAULT % f"{step('a')}, {step().replace('name: test, ', '')}", "", says("a and an unnamed step use the same key", ONE_EACH)),
        (BOTH % (step("build"), step("nightly build")), "", says("build (branches: main) and nightly build (custom: nightly) use the same key", FOR_ALL)),
        ("pipelines: {default: [%s], branches: {main: [%s]}}" % (step("a"), step("a")), "", says("a (default) and a (branches: main) use the same key", FOR_ALL)),
        (BOTH % (f"{step('a', 'ci')}, {step('b', 'ci')}", f"{step('c', 'ci')}"), "ci", says("a and b use the same key", ONE_EACH)),
        (BOTH % (f"{step('a', 'ci')}, {step('b', 'ci')}", f"{step('c', 'ci')}, {step('d', 'ci')}"), "ci", says("a (branches: main), b (branches: main), c (custom: nightly) and d (custom: nightly) use the same key", ONE_EACH)),
        (DEFAULT % step("done", kind="final"), "", says("the exit code of done says nothing of the build", "Read the pipeline's result there, with BITBUCKET_ACCESS_TOKEN in `script`")),
        (DEFAULT % step(kind="final").replace("name: test, ", ""), "", says("the exit code of the final step says nothing of the build", "Read the pipeline's result there, with BITBUCKET_ACCESS_TOKEN in `script`")),
        (DEFAULT % f"{step('a', 'a:step/b')}, {step('b', 'a:step/b')}", "a:step/b", says("a and b use the same key", ONE_EACH)),
        ("pipelines: {branches: {'[ma': [%s], main: [%s]}}" % (step("a"), step("b")), "", says("a (branches: [ma) and b (branches: main) use the same key", FOR_ALL)),
    ],
)  # fmt: skip
def test_the_yellow_line_names_the_other_steps_and_the_one_thing_to_write(text, name, expected):
    assert of_step(text, name) == expected


def pipelines(**sections: str) -> str:
    """`pipelines(main=…, custom=…)`: what stands under `branches: main`, under a custom pipeline, and so on."""
    places = {"main": "branches: {main: [%s]}", "custom": "custom: {nightly: [%s]}", "default": "default: [%s]", "tags": "tags: {'*': [%s]}",
              "requests": "pull-requests: {'**': [%s]}"}  # fmt: skip
    return f"pipelines: {{{', '.join(places[name] % text for name, text in sections.items())}}}"


def keyed(name: str, key: str, **more) -> str:
    return step(name, dedup_key=f"'{key}'", **more)


HERE, PR_KEY, TAG_KEY = "shop-$BITBUCKET_BRANCH", "shop-$BITBUCKET_PR_ID", "shop-$BITBUCKET_TAG"
ENV_KEY, PRODUCTION, ANY_ENV = "shop-$BITBUCKET_DEPLOYMENT_ENVIRONMENT", ", deployment: production", ", deployment: $E"
SHARED_BY_TWO_KEYS = says("a and b use the same key", ONE_WORD_EACH)
SHARED_BY_TWO, OWN_KEY_SPELLED = says("a and b use the same key", ONE_EACH), "bitbucket:acme/shop:branch/main:step"


OF_ANOTHER_KIND = Ownership(
    "b and c can use the same DEDUP_KEY in a place of another kind", "Give each DEDUP_KEY a word of its own", True
)


def elsewhere(names: str) -> Ownership:
    return Ownership(f"{names} can use the same DEDUP_KEY elsewhere", BRANCH_INTO_IT, elsewhere=True)


@pytest.mark.parametrize(
    ("text", "key", "build", "expected"),
    [
        (ABSENT, "shop", MAIN, says("a build of another ref can have the same DEDUP_KEY", BRANCH_INTO_IT)),
        (ABSENT, "shop-main", MAIN, OWNED),
        (pipelines(main=keyed("a", "shop-main")), "shop-main", MAIN, OWNED),
        (pipelines(main=f"{keyed('a', 'shop-main')}, {keyed('b', 'shop-main')}"), "shop-main", MAIN, SHARED_BY_TWO_KEYS),
        (pipelines(main=f"{keyed('a', 'shop-main')}, {keyed('b', 'other-main')}"), "shop-main", MAIN, OWNED),
        (pipelines(main=f"{keyed('a', 'shop-main')}, {step('b')}"), "shop-main", MAIN, OWNED),
        (pipelines(main=f"{keyed('a', '$KEY')}, {step('b')}"), "shop-main", MAIN, OWNED),
        ("pipelines: {branches: {main: [%s], dev: [%s]}}" % (keyed("a", "shop-main"), keyed("b", "shop-main")), "shop-main", MAIN, elsewhere("b")),
        (pipelines(default=keyed("a", "shop-main")), "shop-main", MAIN, elsewhere("a")),
        (pipelines(main=keyed("a", "shop-main"), custom=keyed("b", "shop-main")), "shop-main", MAIN, elsewhere("b")),
        (pipelines(main=keyed("a", HERE), default=keyed("b", "$KEY")), "shop-main", MAIN, elsewhere("b")),
        (pipelines(main=keyed("a", HERE), default=keyed("b", "shop-$X")), "shop-main", MAIN, elsewhere("b")),
        (pipelines(main=keyed("a", HERE), default=keyed("b", "$X-main")), "shop-main", MAIN, elsewhere("b")),
        (pipelines(main=keyed("a", HERE), default=keyed("b", "${X}")), "shop-main", MAIN, elsewhere("b")),
        (pipelines(main=keyed("a", HERE), default=keyed("b", "web-$X")), "shop-main", MAIN, OWNED),
        (pipelines(main=keyed("a", HERE), tags=keyed("b", "$KEY")), "shop-main", MAIN, elsewhere("b")),
        (pipelines(main=keyed("a", HERE), default=f"{step('b')}, {keyed('c', '$KEY')}"), "shop-main", MAIN, elsewhere("c")),
        # Each place by its own variable: two steps there share a key, and steps of other places have others.
        (pipelines(main=f"{keyed('a', HERE)}, {keyed('b', HERE)}"), "shop-main", MAIN, SHARED_BY_TWO_KEYS),
        (pipelines(main=keyed("a", HERE), default=keyed("b", HERE)), "shop-main", MAIN, OWNED),
        (pipelines(default=keyed("a", HERE)), "shop-main", MAIN, OWNED),
        (pipelines(default=keyed("a", "shop-${BITBUCKET_BRANCH}")), "shop-main", MAIN, OWNED),
        (pipelines(default=keyed("a", HERE), custom=keyed("b", "$KEY", where="script", event_action="resolve")), "shop-main", MAIN, OWNED),
        ("pipelines: {branches: {main: [%s], dev: [%s, %s]}}" % (keyed("a", HERE), keyed("b", HERE), keyed("c", HERE)), "shop-main", MAIN, OWNED),
        (pipelines(requests=f"{keyed('a', PR_KEY)}, {keyed('b', PR_KEY)}"), "shop-42", PR, SHARED_BY_TWO_KEYS),
        (pipelines(requests=keyed("a", PR_KEY), custom=f"{keyed('b', HERE)}, {keyed('c', HERE)}"), "shop-42", PR, OWNED),
        (pipelines(requests=f"{keyed('a', HERE)}, {keyed('b', PR_KEY)}"), "shop-42", PR, elsewhere("a")),
        (pipelines(tags=f"{keyed('a', TAG_KEY)}, {keyed('b', TAG_KEY)}"), "shop-v1.0", TAG, SHARED_BY_TWO_KEYS),
        (pipelines(tags=keyed("a", TAG_KEY), custom=f"{keyed('b', HERE)}, {keyed('c', HERE)}"), "shop-v1.0", TAG, OWNED),
        (pipelines(tags=keyed("a", HERE)), "shop-v1.0", TAG, elsewhere("a")),
        (pipelines(main=f"{keyed('a', ENV_KEY, more=PRODUCTION)}, {keyed('b', ENV_KEY, more=PRODUCTION)}"), "shop-production", DEPLOY, SHARED_BY_TWO_KEYS),
        (pipelines(main=keyed("a", ENV_KEY, more=PRODUCTION), default=keyed("b", ENV_KEY, more=", deployment: test")), "shop-production", DEPLOY, OWNED),
        (pipelines(main=f"{keyed('a', ENV_KEY, more=PRODUCTION)}, {keyed('b', HERE)}, {keyed('c', HERE)}"), "shop-production", DEPLOY, OWNED),
        (pipelines(main=keyed("a", ENV_KEY, more=PRODUCTION), default=f"{keyed('b', HERE)}, {keyed('c', HERE)}"), "shop-production", DEPLOY, OF_ANOTHER_KIND),
        (pipelines(main=keyed("a", HERE, more=PRODUCTION)), "shop-production", DEPLOY, OWNED),
        (pipelines(main=keyed("a", "shop-production", more=PRODUCTION)), "shop-production", DEPLOY, OWNED),
        (pipelines(main=keyed("a", "shop-production", more=", deployment: test")), "shop-production", DEPLOY, elsewhere("a")),
        (pipelines(main=f"{keyed('a', 'shop-production', more=PRODUCTION)}, {keyed('b', 'shop-production', more=', deployment: test')}"), "shop-production", DEPLOY, elsewhere("b")),
        (pipelines(main=keyed("a", "shop-production", more=ANY_ENV)), "shop-production", DEPLOY, OWNED),
        (pipelines(main=keyed("a", "shop-main", more=PRODUCTION)), "shop-main", MAIN, elsewhere("a")),
        (pipelines(requests=keyed("a", "shop-42")), "shop-42", PR, elsewhere("a")),
        ("pipelines: {pull-requests: {'**': [%s]}, branches: {fix: [%s]}}" % (keyed("a", PR_KEY), keyed("b", "shop-42")), "shop-42", PR, elsewhere("b")),
        # A key of one's own that spells a derived one, and the other way round.
        (pipelines(main=f"{keyed('a', OWN_KEY_SPELLED)}, {step('b')}"), OWN_KEY_SPELLED, MAIN, SHARED_BY_TWO_KEYS),
        ("pipelines: {branches: {main: [%s], dev: [%s, %s]}}" % (keyed("a", OWN_KEY_SPELLED), step("b"), step("c")), OWN_KEY_SPELLED, MAIN, OWNED),
        (pipelines(main=f"{step('a')}, {keyed('b', OWN_KEY_SPELLED)}"), "", MAIN, SHARED_BY_TWO),
        (pipelines(main=f"{step('a')}, {keyed('b', 'another')}"), "", MAIN, OWNED),
        (pipelines(main=step("a"), tags=f"{keyed('b', '$KEY')}, {keyed('c', '$KEY')}"), "", MAIN, OWNED),
        # A step's alert and a pipeline's under one key of one's own.
        (pipelines(main=f"{keyed('a', HERE)}, {keyed('b', HERE, **STATUS)}"), "shop-main", MAIN, says("b can use the same DEDUP_KEY", "Give a step's alert and a pipeline's a DEDUP_KEY each")),
        (pipelines(main=f"{keyed('a', HERE)}, {keyed('b', HERE, kind='final', where='script')}"), "shop-main", MAIN, says("b can use the same DEDUP_KEY", "Give a step's alert and a pipeline's a DEDUP_KEY each")),
        (pipelines(main=f"{keyed('a', HERE)}, {keyed('b', HERE, kind='final', where='script', event_action='resolve')}"), "shop-main", MAIN, OWNED),
    ],
)  # fmt: skip
def test_whether_a_success_under_a_dedup_key_owns_it(text, key, build, expected):
    assert of_step(text, key=key, build=build) == expected


FOR_EACH_PIPELINE = "Give each pipeline an ALERT_NAME of its own"
FINAL_SCRIPT = step("a", kind="final", where="script")


@pytest.mark.parametrize(
    ("text", "name", "key", "build", "expected"),
    [
        (UNREAD, "", "", MAIN, says("bitbucket-pipelines.yml could not be read (too large)", "")),
        (ABSENT, "", "shop", MAIN, says("a build of another ref can have the same DEDUP_KEY", BRANCH_INTO_IT)),
        (ABSENT, "", "shop-main", MAIN, OWNED),
        (DEFAULT % PLAIN, "", "", MAIN, OWNED),
        (DEFAULT % f"{PLAIN}, {step('a', kind='final', **STATUS)}", "", "", MAIN, OWNED),
        # What opens no pipeline's alert: a step's after-script, a resolve, a script of an ordinary step without BUILD_STATUS.
        (pipelines(main=FINAL_SCRIPT, custom=step("b")), "", "", MAIN, OWNED),
        (pipelines(main=FINAL_SCRIPT, custom=step("b", kind="final")), "", "", MAIN, OWNED),
        (pipelines(main=FINAL_SCRIPT, custom=step("b", event_action="resolve", **STATUS)), "", "", MAIN, OWNED),
        (pipelines(main=FINAL_SCRIPT, custom=step("b", where="script")), "", "", MAIN, OWNED),
        (pipelines(main=step("a", **STATUS), custom=step("b", **STATUS)), "", "", MAIN, says("a (branches: main) and b (custom: nightly) use the same key", FOR_EACH_PIPELINE)),
        (pipelines(main=f"{step('a', **STATUS)}, {step('b', **STATUS)}"), "", "", MAIN, OWNED),
        (pipelines(main=step("a", **STATUS), tags=step("b", **STATUS)), "", "", MAIN, OWNED),
        (pipelines(main=step("a", **STATUS), tags=step("b", **STATUS)), "", "", DEPLOY, OWNED),
        (pipelines(main=step("a", more=PRODUCTION, **STATUS), custom=step("b", **STATUS)), "", "", MAIN, says("a (branches: main) and b (custom: nightly) use the same key", FOR_EACH_PIPELINE)),
        (pipelines(main=step("a", "ci", **STATUS), custom=step("b", "ci", **STATUS)), "ci", "", MAIN, says("a (branches: main) and b (custom: nightly) use the same key", FOR_EACH_PIPELINE)),
        (pipelines(main=step("a", "ci", **STATUS), custom=step("b", "other", **STATUS)), "ci", "", MAIN, OWNED),
        (pipelines(main=step("a", "ci", **STATUS), custom=step("b", "c$X", **STATUS)), "ci", "", MAIN, says("a (branches: main) and b (custom: nightly) use the same key", FOR_EACH_PIPELINE)),
        (pipelines(main=step("a", kind="final", where="script"), custom=step("b", kind="final", where="script")), "", "", MAIN, says("a (branches: main) and b (custom: nightly) use the same key", FOR_EACH_PIPELINE)),
        (pipelines(main=keyed("a", HERE, **STATUS), custom=keyed("b", HERE, **STATUS)), "", "shop-main", MAIN, says("a (branches: main) and b (custom: nightly) use the same key", ONE_WORD_EACH)),
        (pipelines(main=keyed("a", HERE, **STATUS), custom=keyed("b", HERE, **STATUS)), "", "shop-main", DEPLOY, says("a (branches: main) and b (custom: nightly) use the same key", ONE_WORD_EACH)),
        (pipelines(main=keyed("a", TAG_KEY, **STATUS), tags=keyed("b", TAG_KEY, **STATUS)), "", "shop-v1.0", TAG, elsewhere("a")),
        (pipelines(main=keyed("a", HERE, **STATUS), default=keyed("b", "shop-$X", **STATUS)), "", "shop-main", MAIN, elsewhere("b")),
        (pipelines(main=f"{keyed('a', HERE, **STATUS)}, {keyed('b', HERE)}"), "", "shop-main", MAIN, says("b can use the same DEDUP_KEY", "Give a step's alert and a pipeline's a DEDUP_KEY each")),
        (pipelines(main=keyed("a", HERE, **STATUS)), "", "shop-main", MAIN, OWNED),
    ],
)  # fmt: skip
def test_whether_a_pipeline_s_success_owns_its_key(text, name, key, build, expected):
    assert of_pipeline(text, name, key, build) == expected


def test_a_key_of_one_s_own_is_looked_at_where_bitbucket_tells_the_selector_too():
    text = pipelines(main=keyed("a", HERE, **STATUS), default=keyed("b", "shop-$X", **STATUS))
    assert of_pipeline(text, key="shop-main", selector=("branches", "main")) == elsewhere("b")
    text = pipelines(main=keyed("a", HERE, **STATUS), custom=keyed("b", HERE, **STATUS))
    b = Ownership("b uses the same key", "Give each DEDUP_KEY a word of its own")
    assert of_pipeline(text, key="shop-main", selector=("branches", "main")) == b


@pytest.mark.parametrize(
    ("text", "build", "name", "key", "steps"),
    [
        (DEFAULT % f"{step('a', 'x')}, {step('b', 'q')}, {step('c', '$N')}, {PLAIN}", MAIN, "x", "", ["a", "c"]),
        (DEFAULT % f"{step('a', 'x')}, {step('b')}", MAIN, "", "", ["b"]),
        (DEFAULT % f"{step('a', dedup_key='k-$X')}, {step('b')}", MAIN, "", "k-1", ["a"]),
        (DEFAULT % f"{step('a', more=', deployment: production')}, {step('b')}", DEPLOY, "", "", ["a"]),
        (DEFAULT % f"{step('a', more=', deployment: production')}, {step('b')}", MAIN, "", "", ["b"]),
        (DEFAULT % f"{step('a', more=', deployment: production')}, {step('b', 'x')}", MAIN, "", "", ["a"]),
        (DEFAULT % step("a"), DEPLOY, "", "", []),
        ("pipelines: {branches: {dev: [%s]}, tags: {'*': [%s]}}" % (step("a"), step("b")), TAG, "", "", ["b"]),
    ],
)  # fmt: skip
def test_where_this_very_run_can_stand(text, build, name, key, steps):
    assert [one.step.name for one in placed(read(text), build, name, key, has_code=True)] == steps


def test_a_script_of_an_ordinary_step_runs_only_after_a_success():
    text = "triggers: {pipeline-completed: [{condition: x, pipelines: [told]}]}\npipelines: {custom: {told: [%s], plain: [%s]}, default: [{step: {script: [%s]}}]}"
    found = placed(read(text % (step(where="script"), step(where="script"), pager())), MAIN, "", "", has_code=True)
    assert [one.runs_only_after_a_success for one in found] == [False, True, True]


def two(alert: str) -> str:
    return DEFAULT % f"{step('a', alert)}, {step('b', alert)}"


def two_codes(*codes: str) -> str:
    items = ", ".join(pager("checks", exit_code=code) for code in codes)
    return DEFAULT % f"{{step: {{name: a, script: [make], after-script: [{items}]}}}}"


ON_PRODUCTION = Build(repository="acme/shop", branch="production")
BRANCH_AND_ENVIRONMENT = (
    DEFAULT
    % f"{keyed('t', 'x $BITBUCKET_BRANCH')}, {step('d', dedup_key='x $BITBUCKET_DEPLOYMENT_ENVIRONMENT', more=', deployment: production')}"
)
TRIGGERED = "{triggers: {pullrequest-push: [{pipelines: [n]}]}, pipelines: {custom: {n: [%s]}}}"
ALIKE, ELSEWHERE = "a and b use the same key", "t can use the same DEDUP_KEY elsewhere"
CAN_USE_IT = "can use the same DEDUP_KEY in a place of another kind"


@pytest.mark.parametrize(
    ("text", "name", "key", "build", "why_not"),
    [
        # what a run takes off a name or leaves out of it, the file's reader does too
        (two("\"'unit tests'\""), "unit tests", "", MAIN, ALIKE), (two('"\\u200eunit tests"'), "unit tests", "", MAIN, ALIKE),
        (two("'tests $?'"), "tests 0", "", MAIN, ALIKE), (two("'tests$[1+1]'"), "tests2", "", MAIN, ALIKE), (two("'null'"), "null", "", MAIN, ALIKE),
        (two("'http://u:p@x'"), "http://****@x", "", MAIN, ALIKE),
        (two("checks").replace("after-script: [", "after-script: [[").replace("}}]}}", "}}]]}}"), "checks", "", MAIN, ALIKE),
        # two codes of one step
        (two_codes("$LINT", "$TEST"), "checks", "", MAIN, "2 pipes of a use the same key"), (two_codes("$LINT", "$LINT"), "checks", "", MAIN, ""),
        (two_codes("", "$BITBUCKET_EXIT_CODE"), "checks", "", MAIN, ""),
        # one word for a branch and for an environment
        (BRANCH_AND_ENVIRONMENT, "", "x production", ON_PRODUCTION, f"d {CAN_USE_IT}"), (BRANCH_AND_ENVIRONMENT, "", "x production", DEPLOY, f"t {CAN_USE_IT}"),
        (BRANCH_AND_ENVIRONMENT, "", "x main", MAIN, ""),
        (BRANCH_AND_ENVIRONMENT.replace("default: [", "branches: {production: [").replace("production}}]", "production}}]}"), "", "x production", DEPLOY, f"t {CAN_USE_IT}"),
        (BRANCH_AND_ENVIRONMENT.replace("default: [", "branches: {main: [").replace("production}}]", "production}}]}"), "", "x production", DEPLOY, ""),
        # a part of a branch's name is the same on other branches
        (DEFAULT % keyed("t", "x ${BITBUCKET_BRANCH%-*}"), "", "x main", MAIN, ELSEWHERE), (DEFAULT % keyed("t", "x $(cut $BITBUCKET_BRANCH)"), "", "x main", MAIN, ELSEWHERE),
        (DEFAULT % keyed("t", "x ${BITBUCKET_BRANCH}"), "", "x main", MAIN, ""), (DEFAULT % keyed("t", "x $BITBUCKET_BRANCH"), "", "x main", MAIN, ""),
        # the branch of a pipeline that a pull request or another pipeline may have started
        (TRIGGERED % keyed("t", "x $BITBUCKET_BRANCH"), "", "x main", MAIN, ELSEWHERE),
        ("{pipelines: {custom: {n: [%s]}}}" % keyed("t", "x $BITBUCKET_BRANCH"), "", "x main", MAIN, ""),
        # what stands behind a `$` may hold another one, and a backslash keeps it
        (two("'checks ${TEAM:-${BITBUCKET_REPO_SLUG}}'"), "checks shop", "", MAIN, ALIKE), (two("'checks $`echo shop`'"), "checks shop", "", MAIN, ALIKE),
        (DEFAULT % ", ".join(step(x, "'checks ${X#*/} %s'" % x) for x in "ab"), "checks shop a", "", MAIN, ""),
        (DEFAULT % keyed("t", "x $(cat f)$BITBUCKET_BRANCH"), "", "x main", MAIN, ELSEWHERE), (DEFAULT % keyed("t", "x ${Y:-$BITBUCKET_BRANCH}"), "", "x main", MAIN, ELSEWHERE),
        # a pull request's deployment is about the pull request; a pipeline's alert knows no environment
        (
            f"{{pipelines: {{branches: {{main: [{keyed('t', ENV_KEY, more=PRODUCTION)}]}}, pull-requests: {{'**': [{keyed('p', ENV_KEY, more=PRODUCTION)}]}}}}}}",
            "", "shop-production", DEPLOY, "p can use the same DEDUP_KEY elsewhere",
        ),
        (
            DEFAULT % f"{keyed('t', ENV_KEY, more=PRODUCTION)}, {keyed('s', ENV_KEY, more=', deployment: staging')}",
            "", "shop-production", DEPLOY, "",
        ),
        (DEFAULT % keyed("t", "x $BITBUCKET_BRANCH y"), "", "x main y", MAIN, ""),
        # two pagers of one step, for two services
        (DEFAULT % f"{{step: {{name: a, script: [make], after-script: [{pager()}, {pager(integration_key='$OTHER')}]}}}}", "", "", MAIN, ""),
        # a key by its variable
        ("pipelines: {default: [%s, %s]}" % tuple("{step: {name: %s, script: [make], after-script: [{pipe: 'docker://x/y:1', variables: {PAGERDUTY_INTEGRATION_KEY: $K}}]}}" % name for name in "ab"), "", "", MAIN, ALIKE),
        # shards by the whole index alone, and by the key where one is given
        (DEFAULT % SHARDS.replace("ALERT_NAME", "DEDUP_KEY: shop-$BITBUCKET_BRANCH, ALERT_NAME"), "unit 0", "shop-main", MAIN, "2 steps called u use the same key"),
        (DEFAULT % SHARDS.replace("ALERT_NAME", "DEDUP_KEY: shop-$BITBUCKET_BRANCH-$BITBUCKET_PARALLEL_STEP, ALERT_NAME"), "unit 0", "shop-main-0", MAIN, ""),
        (DEFAULT % SHARDS.replace("unit $BITBUCKET_PARALLEL_STEP", "'unit ${SUITE:-$BITBUCKET_PARALLEL_STEP}'"), "unit api", "", MAIN, "2 steps called u use the same key"),
        (DEFAULT % SHARDS.replace("unit $BITBUCKET_PARALLEL_STEP", "'unit ${BITBUCKET_PARALLEL_STEP:+s}'"), "unit s", "", MAIN, "2 steps called u use the same key"),
        (DEFAULT % SHARDS.replace("unit $BITBUCKET_PARALLEL_STEP", "unit $(expr $BITBUCKET_PARALLEL_STEP / 2)"), "unit 0", "", MAIN, "2 steps called u use the same key"),
    ],
)  # fmt: skip
def test_what_else_could_have_opened_an_alert_keeps_it_open(text, name, key, build, why_not):
    assert of_step(text, name, key, build).why_not == why_not
