"""The edges of the rules: what else they find, and what they must leave alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipe.check import report
from pipe.check.conditions import may_hold
from pipe.check.refs import branches, common
from tests.conftest import ROOT

KEYS = "INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY, EXIT_CODE: $BITBUCKET_EXIT_CODE"
PAGE = f"{{pipe: acme/pagerduty-events:1.0.0, variables: {{{KEYS}, ALERT_NAME: build}}}}"


def codes(text: str, name: str = "bitbucket-pipelines.yml") -> list[str]:
    return [one.code for one in report(Path(name), text.encode()).findings]


def of_script(*lines: str, place: str = "script", after: str = PAGE) -> list[str]:
    """The codes for a step that pages and holds these lines."""
    script, before = (lines, ()) if place == "script" else (["make"], lines)
    text = "pipelines:\n  branches:\n    main:\n      - step:\n          name: Build\n          script:\n"
    text += "".join(f"            - |\n              {line}\n" for line in script) + "          after-script:\n"
    text += "".join(f"            - |\n              {line}\n" for line in before) + f"            - {after}\n"
    return codes(text)


def of_variables(**variables: str) -> list[str]:
    given = "".join(f", {name}: {value}" for name, value in variables.items())
    return of_script("make", after=PAGE.replace("ALERT_NAME: build", f"ALERT_NAME: build{given}"))


@pytest.mark.parametrize(
    "line",
    [
        "make test || true",
        "make test || :",
        "make test || echo failed",
        'make test || echo "failed" >> log.txt',
        "make test || exit 0",
        "make test 2>&1 | tee test.log",
        "npm run lint || printf 'lint failed'",
    ],
)
def test_a_failure_is_hidden(line):
    assert of_script(line) == ["failure-hidden"]


@pytest.mark.parametrize(
    "line",
    [
        "make test",
        "docker rm --force db || true",
        "docker compose down || true",
        "rm -rf build || true",
        "kill $PID || true",
        "VERSION=$(git describe --tags) || true",
        "make test || exit 1",
        "make test || (echo failed; exit 1)",
        "make test || { echo failed; false; }",
        "set -o pipefail; make test | tee test.log",
        'make test | tee test.log; exit "${PIPESTATUS[0]}"',
        "echo 'make test || true'",
        'if make quick || make slow; then echo "ok"; fi',
    ],
)
def test_no_failure_is_hidden(line):
    assert of_script(line) == []


@pytest.mark.parametrize(
    "line",
    [
        "./clean-up.sh",
        "docker compose down",
        "exit $BITBUCKET_EXIT_CODE",
        'if [ "$BITBUCKET_EXIT_CODE" -ne 0 ]; then ./report.sh; fi',
        "echo done > result/status.txt",
        "[ $BITBUCKET_EXIT_CODE -eq 0 ] && exit 0",
    ],
)
def test_a_line_before_the_pipe_can_end_the_after_script(line):
    assert of_script(line, place="after-script") == ["behind-a-line"]


@pytest.mark.parametrize(
    "line",
    [
        "echo $BITBUCKET_EXIT_CODE",
        "STATUS=failed",
        'export TEXT="it failed"',
        "./clean-up.sh || true",
        "set +e",
        "# a comment",
        'if [ "$BITBUCKET_EXIT_CODE" -ne 0 ]; then STATUS=failed; else STATUS=passed; fi',
    ],
)
def test_a_line_before_the_pipe_does_no_harm(line):
    assert of_script(line, place="after-script") == []


def test_behind_set_plus_e_only_an_exit_ends_it():
    assert of_script("set +e", "./clean-up.sh", place="after-script") == []
    assert of_script("set +e", "exit 0", place="after-script") == ["behind-a-line"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"BRANCHES": "main release/*"}, []),
        ({"BRANCHES": "[main, develop]"}, []),
        ({"BRANCHES": "main|develop"}, ["bad-value"]),
        ({"BRANCHES": "$BRANCHES_OF_OURS"}, []),
        ({"SEVERITY": "[critical]"}, ["bad-value"]),
        ({"PULL_REQUESTS": "'yes'"}, ["bad-value"]),
        ({"TIMEOUT": "30"}, ["unquoted-value"]),
        ({"TIMEOUT": "'30'"}, []),
        ({"IGNORE_EXIT_CODES": "[130, 143]"}, ["unquoted-value"]),
        ({"IGNORE_EXIT_CODES": "'0 130'"}, ["zero-ignored"]),
        ({"severity": "critical"}, ["unknown-variable"]),
        ({"HTTPS_PROXY": "$HTTPS_PROXY"}, []),
        ({"BITBUCKET_BRANCH": "$BITBUCKET_BRANCH"}, []),
        ({"BITBUCKET_ACCESS_TOKEN": "ATCTT3xFfGN0abcdefgh"}, ["key-in-file"]),
        ({"SUMMARY": "$BITBUCKET_PIPELINE_STATUS"}, ["invented-variable"]),
        ({"SUMMARY": "$BITBUCKET_API_TOKEN_OF_OURS"}, []),
        ({"EVENT_ACTION": "resolve"}, []),
        ({"EVENT_ACTION": "$ACTION"}, []),
    ],
)
def test_a_variable(variables, expected):
    assert of_variables(**variables) == expected


def test_a_key_that_is_written_out_is_never_shown():
    text = (Path(__file__).parent / "examples/key-in-file/bad.yml").read_text()
    found = report(Path("bitbucket-pipelines.yml"), text.encode())
    assert all("c0ffee11" not in form for form in (found.as_text(), found.as_json(), found.as_sarif()))


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("# pagerduty-events: ignore default-pages-every-branch", []),
        ("# pagerduty-events: ignore on-fail-retry, default-pages-every-branch", []),
        ("#pagerduty-events:  ignore default-pages-every-branch (we want that)", []),
        ("# pagerduty-events: ignore unnamed-steps", ["default-pages-every-branch"]),
    ],
)
def test_a_comment_silences_its_code_on_the_line_and_above_it(comment, expected):
    bad = (Path(__file__).parent / "examples/default-pages-every-branch/bad.yml").read_text()
    (line,) = [line for line in bad.splitlines() if line.endswith("# here")]
    assert codes(bad.replace("# here", comment)) == expected
    assert codes(bad.replace(line, f"{' ' * 10}{comment}\n{line}")) == expected


CONDITION = 'STATUS == "FAILED" || (STATUS == "SUCCESSFUL" && TYPE != "custom")'


@pytest.mark.parametrize(
    ("condition", "known", "expected"),
    [
        (CONDITION, {"STATUS": "FAILED"}, True),
        (CONDITION, {"STATUS": "SUCCESSFUL", "TYPE": "custom"}, False),
        (CONDITION, {"STATUS": "SUCCESSFUL", "TYPE": "default"}, True),
        (CONDITION, {"STATUS": "SUCCESSFUL"}, True),
        ('!(STATUS == "FAILED")', {"STATUS": "FAILED"}, False),
        ("glob(NAME, 'night*') && STATUS == 'FAILED'", {"NAME": "nightly", "STATUS": "FAILED"}, True),
        ("glob(NAME, 'night*')", {"NAME": "weekly"}, False),
        ("glob(NAME, 'night*')", {}, True),
        ("NAME", {"NAME": "x"}, True),
        ('STATUS === "FAILED"', {"STATUS": "SUCCESSFUL"}, True),
        ("(", {}, True),
        ("", {}, True),
    ],
)
def test_a_condition_may_hold_where_nothing_says_that_it_does_not(condition, known, expected):
    assert may_hold(condition, known) is expected


TAGS = """
pipelines:
  tags:
    'v*': [step: {name: A, script: [make a], after-script: [PAGE]}]
    '%s': [step: {name: B, script: [make b], after-script: [PAGE]}]
""".replace("PAGE", PAGE)


@pytest.mark.parametrize(("pattern", "expected"), [("v*.*.*", ["name-shared"]), ("web-v*", [])])
def test_tags_of_two_lines_share_no_name(pattern, expected):
    assert codes(TAGS % pattern) == expected


def test_a_told_pager_pages_for_every_branch_too():
    recipe = (Path(__file__).parent / "examples/told-loop/fixed.yml").read_text()
    assert codes(recipe.replace("  branches:\n    main:\n      - step", "  default:\n      - step")) == [
        "default-pages-every-branch",
        "told-of-failures-only",
    ]


def test_two_pagers_can_start_each_other():
    text = """
triggers:
  pipeline-completed:
    - {condition: BITBUCKET_TRIGGER_PIPELINE_SELECTOR_PATTERN == "two", pipelines: [one]}
    - {condition: BITBUCKET_TRIGGER_PIPELINE_SELECTOR_PATTERN == "one", pipelines: [two]}
pipelines:
  custom:
    one: [step: {name: One, script: [PAGE]}]
    two: [step: {name: Two, script: [PAGE]}]
""".replace("PAGE", PAGE.replace("EXIT_CODE: $BITBUCKET_EXIT_CODE", "BITBUCKET_ACCESS_TOKEN: $BITBUCKET_ACCESS_TOKEN"))
    assert codes(text) == ["told-loop", "told-loop"]


def test_one_branch_stands_for_each_pattern_and_for_each_two_that_meet():
    assert common("feature/*", "**-fix") == "feature/-fix"
    assert common("feature/*", "release/*") == ""
    labels = [ref.label for ref in branches(["main", "feature/*", "**-fix", "["])]
    assert labels == ["main", "feature/*", "**-fix", "feature/* that fit **-fix too", "other branches"]


def test_steps_and_items_stand_where_the_run_reads_them():
    """Merges, groups, stages, imports, keys in odd places: the linter's own walk meets the same steps in the same order."""
    found = report(Path("x.yml"), (ROOT / "tests/check/files/04-stages-deployments.yml").read_bytes()).file
    for step in found.steps:
        assert step.body.get("name", "") == step.step.name
    assert len(found.uses) == sum(len(step.step.items) for step in found.steps)
