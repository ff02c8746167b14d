"""The edges of the rules: what else they find, and what they must leave alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from pipe.check import report
from pipe.check.conditions import may_hold
from pipe.check.refs import branches, common
from pipe.check.rule import Finding
from pipe.check.source import document
from pipe.check.values import wrong
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
    return of_script("make", after=page(**variables))


def page(**variables: str) -> str:
    given = {
        "INTEGRATION_KEY": "$PAGERDUTY_INTEGRATION_KEY",
        "EXIT_CODE": "$BITBUCKET_EXIT_CODE",
        "ALERT_NAME": "build",
    }
    return f"{{pipe: acme/pagerduty-events:1.0.0, variables: {{{', '.join(f'{k}: {v}' for k, v in (given | variables).items())}}}}}"


def found(text: str) -> list[Finding]:
    return list(report(Path("bitbucket-pipelines.yml"), text.encode()).findings)


def table(text: str) -> list[tuple[str, str]]:
    return [row.promise.shown for row in report(Path("bitbucket-pipelines.yml"), text.encode()).rows]


def pipelines(**steps: str) -> str:
    """One step for each, in the section, or the custom pipeline, that the name calls."""
    sections = {
        "main": "branches: {main: [STEP]}", "default": "default: [STEP]", "tags": "tags: {'v*': [STEP]}",
        "requests": "pull-requests: {'**': [STEP]}", "custom": "custom: {nightly: [STEP]}",
    }  # fmt: skip
    shown = [sections[name].replace("STEP", f"step: {{name: {name}, {body}}}") for name, body in steps.items()]
    return "pipelines:\n" + "".join(f"  {one}\n" for one in shown)


def after(*entries: str) -> str:
    return f"script: [make], after-script: [{', '.join(entries)}]"


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


@pytest.mark.parametrize(
    "lines",
    [
        ("set +e", "make test", "make lint"),
        ("set +e; make test; make lint",),
        ("set +ex", "make test", "exit 0"),
        ("set +o errexit", "make test", "set -e", "make lint"),
        ("set +e", "make test", "echo $?", "exit 0"),
        ("set +e", "make test", "CODE=$?", "echo done"),
        ("trap 'rm -rf tmp; exit 0' EXIT", "make test"),
    ],
)
def test_a_shell_that_does_not_stop_hides_a_failure(lines):
    assert of_script(*lines) == ["failure-hidden"]


@pytest.mark.parametrize(
    "lines",
    [
        ("set +e", "make test"),
        ("make test", "exit 0"),  # only where all before it passed
        ("set +e", "docker compose down", "set -e", "make test"),
        ("set +e", "make test", "CODE=$?", "set -e", "exit $CODE"),
        ("set +e", "make test", "if [ $? -ne 0 ]; then ./report.sh; exit 1; fi"),
        ("set +e", "make test || exit 1", "make lint || exit 1", "echo done"),
        ("set -e", "make test"),
        ("trap 'rm -rf tmp' EXIT", "make test"),
    ],
)
def test_a_shell_that_hides_none(lines):
    assert of_script(*lines) == []


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
        ({"IGNORE_EXIT_CODES": "'0 130'"}, ["by-hand"]),
        ({"severity": "critical"}, ["unknown-variable"]),
        ({"HTTPS_PROXY": "$HTTPS_PROXY"}, []),
        ({"BITBUCKET_BRANCH": "$BITBUCKET_BRANCH"}, []),
        ({"BITBUCKET_ACCESS_TOKEN": "ATCTT3xFfGN0abcdefgh"}, ["key-in-file"]),
        ({"SUMMARY": "$BITBUCKET_PIPELINE_STATUS"}, ["invented-variable"]),
        ({"SUMMARY": "$BITBUCKET_API_TOKEN_OF_OURS"}, []),
        ({"EVENT_ACTION": "resolve"}, ["never-pages"]),
        ({"EVENT_ACTION": "acknowledge"}, ["never-pages"]),
        ({"EVENT_ACTION": "page"}, ["bad-value"]),
        ({"EVENT_ACTION": "change"}, ["never-pages"]),
        ({"EVENT_ACTION": "resolve", "DEDUP_KEY": "$KEY"}, []),
        ({"DRY_RUN": "'true'"}, ["never-pages"]),
        ({"DRY_RUN": "true"}, ["never-pages"]),
        ({"DRY_RUN": "false"}, ["unquoted-value"]),
        ({"DRY_RUN": "'yes'"}, ["bad-value"]),
        ({"DRY_RUN": "$DRY_RUN"}, []),
        ({"REGION": "europe"}, ["never-pages"]),
        ({"REGION": "eu"}, []),
        ({"REGION": "$REGION"}, []),
        ({"REGION": "europe", "EVENTS_URL": "https://relay.example"}, ["bad-value"]),
        ({"EVENTS_URL": "relay.example"}, ["never-pages"]),
        ({"EVENTS_URL": "$RELAY"}, []),
        ({"IGNORE_EXIT_CODES": "'1 130'"}, ["never-pages"]),
        ({"IGNORE_EXIT_CODES": "'2 130'"}, []),
        ({"BRANCHES": "master"}, ["never-pages"]),
        ({"BRANCHES": "$BITBUCKET_BRANCH"}, []),
        ({"TAGS": "v*"}, []),
        ({"EXIT_CODE": "1"}, ["exit-code-not-the-step-s"]),
        ({"EXIT_CODE": "'1'"}, ["exit-code-not-the-step-s"]),
        ({"EXIT_CODE": "one"}, ["exit-code-not-the-step-s"]),
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
        ("# pagerduty-events: ignore by-hand", ["default-pages-every-branch"]),
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


@pytest.mark.parametrize(("pattern", "expected"), [("v*.*.*", ["alert-name-shared"]), ("web-v*", [])])
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
    names = [(ref.name, ref.label) for ref in branches(["**", "*"])]
    assert names == [("another/branch", "**"), ("x", "*")]
    labels = [ref.label for ref in branches(["main", "feature/*", "**-fix", "["])]
    assert labels == ["main", "feature/*", "**-fix", "feature/* that fit **-fix too", "other branches"]


def test_steps_and_items_stand_where_the_run_reads_them():
    """Merges, groups, stages, imports, keys in odd places: the linter's own walk meets the same steps in the same order."""
    found = report(Path("x.yml"), (ROOT / "tests/check/files/04-stages-deployments.yml").read_bytes()).file
    for step in found.steps:
        assert step.body.get("name", "") == step.step.name
    assert len(found.uses) == sum(len(step.step.items) for step in found.steps)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (pipelines(main=after(page(DRY_RUN="'true'"))), [("nothing: DRY_RUN", "nothing: DRY_RUN")]),
        (pipelines(main=after(page(REGION="europe"))), [("nothing: REGION", "nothing: REGION")]),
        (pipelines(main=after(page(REGION="europe", DRY_RUN="'true'"))), [("nothing: REGION", "nothing: REGION")]),
        (
            pipelines(main=after(page(INTEGRATION_KEY="abc"))),
            [("nothing: INTEGRATION_KEY", "nothing: INTEGRATION_KEY")],
        ),
        (pipelines(main=after(page(EVENTS_URL="x"))), [("nothing: EVENTS_URL", "nothing: EVENTS_URL")]),
        (pipelines(main=after(page(BRANCHES="master"))), [("nothing: BRANCHES", "nothing: BRANCHES")]),
        (
            pipelines(main=after(page(BRANCHES="master", DRY_RUN="'true'"))),
            [("nothing: BRANCHES", "nothing: BRANCHES")],
        ),
        (pipelines(requests=after(page())), [("nothing: PULL_REQUESTS", "nothing: PULL_REQUESTS")]),
        (pipelines(main=after(page(IGNORE_EXIT_CODES="'1'"))), [("nothing: IGNORE_EXIT_CODES", "resolves")]),
        (pipelines(main=after(page(DRY_RUN="$DRY", REGION="$REGION"))), [("pages", "resolves")]),
    ],
)
def test_the_table_says_what_keeps_a_page_back(text, expected):
    assert table(text) == expected


@pytest.mark.parametrize(
    ("text", "what", "write"),
    [
        (pipelines(main=after(page(DRY_RUN="'true'"))), "DRY_RUN", "# leave DRY_RUN out"),
        (pipelines(main=after(page(REGION="europe"))), 'REGION: "europe" is not one of us, eu', "REGION: eu"),
        (pipelines(main=after(page(REGION="mars"))), 'REGION: "mars" is not', "REGION: us # or eu"),
        (pipelines(main=after(page(EVENTS_URL="x"))), "EVENTS_URL: it is not a base address", "# leave EVENTS_URL out"),
        (pipelines(main=after(page(INTEGRATION_KEY="''"))), "INTEGRATION_KEY: it is missing",
         "INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY"),
        (pipelines(main=after(page(BRANCHES="master"))), "BRANCHES (master) fits no branch on which branches: main runs.",
         "BRANCHES: main # or take the pipe out here"),
        (pipelines(tags=after(page(TAGS="[web-*, api-*]"))), "TAGS (web-* api-*) fits no tag", "TAGS: v* # or take"),
        (pipelines(requests=after(page())), "requests runs in pull-requests: **, and PULL_REQUESTS is false.",
         'PULL_REQUESTS: "true" # or take'),
        (pipelines(main=after(page(EVENT_ACTION="resolve"))), "EVENT_ACTION of main (branches: main) is resolve",
         "EVENT_ACTION: auto"),
        (pipelines(main=after(page(EVENT_ACTION="resolve"), page(ALERT_NAME="other"))), "EVENT_ACTION", "EVENT_ACTION:"),
        (pipelines(main=after(page(IGNORE_EXIT_CODES="'1 130'"))), "Exit code 1", 'IGNORE_EXIT_CODES: "130"'),
        (pipelines(main=after(page(IGNORE_EXIT_CODES="'1'"))), "Exit code 1", "# leave IGNORE_EXIT_CODES out"),
    ],
)  # fmt: skip
def test_an_item_that_never_pages(text, what, write):
    (one,) = found(text)
    assert one.code == "never-pages"
    assert one.what.startswith(what)
    assert one.write.startswith(write)


KEPT_CODE = f"""script: ["set +e; make; code=$?", {page(EXIT_CODE="$code")}]"""
KEPT_STATUS = f"""script: ["make && STATUS=passed || STATUS=failed", {page(BUILD_STATUS="$STATUS", EXIT_CODE="''")}]"""


@pytest.mark.parametrize("text", [KEPT_CODE, KEPT_STATUS])
def test_a_script_that_keeps_how_it_went_pages_and_resolves(text):
    assert table(pipelines(main=text)) == [("pages", "resolves")]
    assert found(pipelines(main=text)) == []


def test_an_after_script_without_an_exit_code_has_a_finding_wherever_none_may_arrive():
    def codes(**more):
        return [one.code for one in found(pipelines(main=after(page(**more))))]

    assert codes(EXIT_CODE="''") == ["cannot-tell"]
    assert codes(EXIT_CODE="$BITBUCKET_EXIT_CODE") == []


ON_ANY_BRANCH = f"""
pipelines:
  branches:
    develop: [step: {{name: A, script: [make]}}]
    main: [step: {{name: A, script: [make], after-script: [{page()}]}}]
  custom: {{fixed: [step: {{name: B, script: [{page(EVENT_ACTION="resolve")}]}}]}}
"""
TOLD = page(EXIT_CODE="''", DEDUP_KEY="release", BITBUCKET_ACCESS_TOKEN="$BITBUCKET_ACCESS_TOKEN")
TOLD_ONE_KEY = """
triggers:
  pipeline-completed:
    - {condition: BITBUCKET_TRIGGER_PIPELINE_SELECTOR_PATTERN == "main", pipelines: [pager]}
pipelines:
  branches: {main: [step: {name: A, script: [make]}]}
  custom:
    pager: [step: {name: B, script: [PAGE, ACKNOWLEDGE]}] # pagerduty-events: ignore by-hand
""".replace("PAGE", TOLD).replace(
    "ACKNOWLEDGE", TOLD.replace("variables: {", "variables: {EVENT_ACTION: acknowledge, ")
)
OWN_BUILD = f"""
definitions: {{page: &page [{page()}]}}
pipelines:
  branches: {{main: [step: {{name: A, script: [make], after-script: *page}}]}}
  pull-requests: {{'**': [step: {{name: A, script: [make], after-script: *page}}]}}
"""


@pytest.mark.parametrize(
    "text",
    [
        pipelines(main=after(page(), page(EVENT_ACTION="resolve"))),
        pipelines(main=after(page(), page(EVENT_ACTION="acknowledge"))),
        pipelines(main=after(page(), page(EVENT_ACTION="change", ALERT_NAME="x"))),
        pipelines(main=after(page(DEDUP_KEY="'k $BITBUCKET_BRANCH'"), page(DEDUP_KEY="'k $BITBUCKET_BRANCH'", EVENT_ACTION="resolve"))),
        pipelines(main=after(page()), custom=f"script: [{page(EVENT_ACTION='resolve', DEDUP_KEY='$KEY')}]"),
        pipelines(custom=f"script: [{page(EVENT_ACTION='trigger')}]"),
        ON_ANY_BRANCH,  # the custom pipeline's own branch can be one of those
        TOLD_ONE_KEY,
        OWN_BUILD,  # it is taken elsewhere too, and pages there
        (Path(__file__).parent / "examples/told-loop/fixed.yml").read_text(),
    ],
)  # fmt: skip
def test_an_item_that_pages_or_is_not_meant_to(text):
    assert codes(text) == []


def test_a_silent_item_beside_one_of_which_nothing_is_sent_has_none_to_follow():
    text = pipelines(main=after(page(DRY_RUN="'true'"), page(EVENT_ACTION="resolve")))
    assert codes(text) == ["never-pages"]  # both stand in one line
    assert "DRY_RUN" in found(text)[0].what


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pipelines: {default: [step: {script: [make]}]}", ["no-pipe"]),
        ("pipelines: {default: [step: {script: [{pipe: acme/pager:1}]}]}", ["no-pipe"]),
        (f"definitions: {{page: [{PAGE}]}}\npipelines: {{default: [step: {{script: [make]}}]}}", ["no-pipe"]),
        ("pipelines: {custom: {a: {import: b}}}", []),
        (pipelines(main=f"script: [{page(BUILD_STATUS='$STATUS', EXIT_CODE='')}]"), ["in-script"]),
        (f"after-script: [{PAGE}]\npipelines: {{default: [step: {{script: [make]}}]}}", ["not-run"]),
        (f"pipelines: {{default: [step: {{script: [make]}}, after-script: [{PAGE}]]}}", ["not-run"]),
        (f"pipelines: {{default: [step: {{script: [make], after_script: [{PAGE}]}}]}}", ["not-run"]),
        (f"pipelines: {{default: [step: {{script: [make], afterscript: [{PAGE}]}}]}}", ["not-run"]),
        (f"pipelines: {{default: [step: {{script: [make], after-scripts: [{PAGE}]}}]}}", ["not-run"]),
        (f"pipelines: {{default: [step: {{script: [make], after-script: [[{PAGE}]]}}]}}", ["default-pages-every-branch", "not-run"]),
        (f"pipelines: {{default: [step: {{script: [make], on-fail: {{script: [{PAGE}]}}}}]}}", ["not-run"]),
        (f"pipelines: {{default: [step: {{script: [make]}}, after_script: [{PAGE}]]}}", ["not-run"]),
        (pipelines(main=after("{pipe: docker://acme/pager:1, variables: [INTEGRATION_KEY: $K]}")), ["variables-not-read"]),
        (pipelines(default=after("{pipe: acme/pagerduty-events:1, BRANCHES: main}")), ["variables-not-read"]),
        (
            "pipelines: {default: [step: {name: A, BODY}, step: {name: B, BODY}]}".replace(
                "BODY", after("{pipe: acme/pagerduty-events:1, variables: [ALERT_NAME: a]}")
            ),
            ["variables-not-read"],  # twice in one line
        ),
        (pipelines(main=after("{pipe: acme/slack:1, variables: [A: b]}", page())), ["behind-a-line"]),
        (pipelines(main=after("{pipe: acme/pagerduty-events:1, variables: null, ALERT_NAME: a}")), ["variables-not-read"]),
        (pipelines(main=after("{pipe: acme/pagerduty-events:1, variables: [ALERT_NAME: a, DEBUG: b]}")), ["variables-not-read"]),
        (pipelines(main=after("{pipe: docker://acme/pagerduty-events:1, variables: [ALERT_NAME: a]}")), ["variables-not-read"]),
    ],
)  # fmt: skip
def test_a_pipe_that_is_not_there_or_not_read(text, expected):
    assert codes(text) == expected


def test_what_stands_beside_the_pipe_is_shown_where_it_belongs():
    item = "{pipe: acme/pagerduty-events:1, variables: '', INTEGRATION_KEY: c0ffee11c0ffee22, ALERT_NAME: a b, EXIT_CODE: $X}"
    (one,) = found(pipelines(main=after(item)))
    assert one.write == "variables:\n  INTEGRATION_KEY: …\n  ALERT_NAME: …\n  EXIT_CODE: $X"


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("BRANCHES: main,develop", "BRANCHES: main develop"),
        ("BRANCHES: main, develop", "BRANCHES: main develop"),
        ("BRANCHES: '[main, develop]'", "BRANCHES: main develop"),
        ("BRANCHES: '[main;develop]'", "BRANCHES: main develop"),
        ("BRANCHES: main|release/.*", "BRANCHES: main release/*"),
        ("BRANCHES: ^main$", "BRANCHES: main"),
        ("BRANCHES: /^main$/", "BRANCHES: main"),
        ("BRANCHES: ^(main|develop)$", "BRANCHES: main develop"),
        ("BRANCHES: refs/heads/main", "BRANCHES: main"),
        ("BRANCHES: '{main}'", "BRANCHES: main"),
        ("BRANCHES: '!main'", "BRANCHES: main release/*"),
        ("BRANCHES: '*,main'", "BRANCHES: '* main'"),
        ("TAGS: ^v.*$", "TAGS: v*"),
        ("SEVERITY: high", "SEVERITY: critical"),
        ("SEVERITY: warn", "SEVERITY: warning"),
        ("SEVERITY: errorr", "SEVERITY: error"),
        ("SEVERITY: [critical]", "SEVERITY: critical"),
        ("SEVERITY: [High, low]", "SEVERITY: critical"),
        ("SEVERITY: purple", "SEVERITY: error # or critical, warning, info"),
        ("EVENT_ACTION: triggered", "EVENT_ACTION: trigger"),
        ("PULL_REQUESTS: 'yes'", 'PULL_REQUESTS: "true"'),
        ("CHANGE_EVENT: 'off'", 'CHANGE_EVENT: "false"'),
        ("CHANGE_EVENT: sometimes", 'CHANGE_EVENT: "false" # or true'),
        ("TIMEOUT: 60s", 'TIMEOUT: "60"'),
        ("TIMEOUT: 2m", 'TIMEOUT: "120"'),
        ("IGNORE_EXIT_CODES: 130,143", "IGNORE_EXIT_CODES: 130 143"),
        ("IGNORE_EXIT_CODES: '130;'", 'IGNORE_EXIT_CODES: "130"'),
        ("LOG_LINES: all", 'LOG_LINES: "50"'),
        ("CUSTOM_DETAILS: {team: shop}", 'CUSTOM_DETAILS: \'{"team": "shop"}\''),
        ("CUSTOM_DETAILS: {team: shop, tier: 1}", 'CUSTOM_DETAILS: \'{"team": "shop", "tier": 1}\''),
        ("CUSTOM_DETAILS: '{team: shop}'", 'CUSTOM_DETAILS: \'{"team": "shop"}\''),
        ("CUSTOM_DETAILS: team=shop", 'CUSTOM_DETAILS: \'{"team": "shop"}\''),
        ("CUSTOM_DETAILS: shop", 'CUSTOM_DETAILS: \'{"team": "shop"}\''),
        ("LINKS: '[Runbook](https://wiki.example/a)'", "LINKS:\n  - Runbook https://wiki.example/a"),
        ("LINKS: wiki", "LINKS:\n  - Runbook https://wiki.example/runbook"),
        ("BITBUCKET_API_URL: bitbucket.org", "# leave BITBUCKET_API_URL out"),
        ("SUMMARY: {a: b}", "SUMMARY: in words of your own"),
    ],
)
def test_what_to_write_in_place_of_a_bad_value_can_be_read(variable, expected):
    name = variable.partition(":")[0]
    text = (Path(__file__).parent / "examples/never-pages/fixed.yml").read_text()
    (one,) = found(re.sub(r"BRANCHES: main$", variable.replace("\\", "\\\\"), text, flags=re.M))
    assert (one.code, one.write) == ("bad-value", expected)
    assert one.what.startswith(f"{name}: ")
    fixed = document(Path("x"), f"pipelines: {{a: b}}\n{one.write}".encode())
    assert name not in fixed or not wrong(name, fixed[name])


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("ignore unnamed-steps", "`unnamed-steps` is no code of a finding."),
        ("ignore manual-gate, on-fail", "`on-fail` is no code of a finding."),
        ("ignore", "It names no code."),
        ("ignore manual-gate because we want that", ""),
        ("ignore manual-gate (it is so-called)", ""),
    ],
)
def test_a_comment_that_silences_nothing_is_told(comment, expected):
    text = (Path(__file__).parent / "examples/never-pages/fixed.yml").read_text()
    changed = text.replace("ALERT_NAME: build", f"ALERT_NAME: build # pagerduty-events: {comment}")
    assert changed != text
    assert [(one.code, one.line, one.what) for one in found(changed)] == (
        [("unknown-code", 13, expected)] if expected else []
    )


def test_a_commit_message_stands_on_the_page_already():
    (one,) = found(pipelines(main=after(page(SUMMARY="$BITBUCKET_COMMIT_MESSAGE"))))
    assert one.code == "invented-variable"
    assert "The page has the commit's subject" in one.what
    assert one.write == "# leave SUMMARY out"


SHARED = "Unit and Lint use the same key, and a green run of one says nothing of another. Give each step an ALERT_NAME of its own."
UNNAMED = page().replace(", ALERT_NAME: build", "")
TWO = "pipelines: {branches: {main: [step: {name: Unit, BODY}, step: {name: Lint, BODY}]}}"


def test_steps_that_share_a_key_are_named_once():
    (one,) = found(TWO.replace("BODY", after(UNNAMED)))
    assert (one.code, one.what) == ("by-hand", SHARED)
    assert one.write.startswith("ALERT_NAME: ")


def test_a_line_for_a_failure_that_is_written_as_proposed_has_no_finding():
    bad = "if [ $BITBUCKET_EXIT_CODE -eq 1 ]; then ./report.sh; fi"
    assert codes(pipelines(main=after(f"'{bad}'", page()))) == ["exit-code-1"]
    (one,) = found(pipelines(main=after(page(), f"'{bad}'")))
    *_, line = yaml.safe_load(one.write.replace("…/", "acme/").replace(":…", ":1"))["after-script"]
    assert codes(pipelines(main=after(page(), f"'{line}'"))) == []


def test_a_list_that_is_an_anchor_cannot_hold_another_name_each():
    (one,) = found(
        f"definitions: {{page: &page [{UNNAMED}]}}\n" + TWO.replace("BODY", "script: [make], after-script: *page")
    )
    assert (one.code, one.what) == ("by-hand", SHARED)
    assert "each step can add its name" in one.write
    assert "<<: *pager" in one.write


def test_each_step_with_a_dedup_key_that_others_have_has_its_finding():
    step = (
        f"      - step:\n          script: [make]\n          after-script:\n            - {page(DEDUP_KEY='build')}\n"
    )
    text = f"pipelines:\n  branches:\n    main:\n{step}{step}"
    assert [(one.code, one.line) for one in found(text)] == [("by-hand", 7), ("by-hand", 11)]


def test_what_another_row_s_pattern_fits_too_is_called_by_its_name():
    """Without its mapping a pull request's run is one of its source: there, only one unnamed step resolves."""
    step = "{name: Unit, " + after(UNNAMED.replace("acme/", "docker://acme/")) + "}"
    sections = "".join(f"    '{pattern}': [step: {step}]\n" for pattern in ("main", "feature/*", "{feature/*,fix/*}"))
    text = f"pipelines:\n  branches:\n{sections}  pull-requests: {{'**': [step: {step}]}}\n"
    rows = [row for row in report(Path("x.yml"), text.encode()).rows if row.pipeline == "pull-requests: **"]
    assert [(row.refs, row.promise.on_success) for row in rows] == [
        ("from main, {feature/*,fix/*}", "resolves"),
        ("from feature/*, other branches", "by hand"),
    ]


def test_a_step_that_is_an_anchor_is_one_check_under_one_name():
    text = f"""
definitions: {{steps: [step: &build {{name: Build, {after(UNNAMED)}}}]}}
pipelines:
  default: [step: {{name: Lint, {after(page(ALERT_NAME="lint", BRANCHES="main"))}}}, step: *build]
  branches: {{main: [step: *build]}}
"""
    by_code = {one.code: one for one in found(text)}
    assert set(by_code) == {"by-hand", "default-pages-every-branch"}
    assert by_code["by-hand"].write.startswith("ALERT_NAME: build # one name")


def test_each_step_without_a_clone_has_its_finding():
    step = f"      - step:\n          clone: {{enabled: false}}\n          script: [make]\n          after-script:\n            - {UNNAMED}\n"
    text = f"pipelines:\n  branches:\n    main:\n{step}{step}"
    assert table(text) == [("pages", "by hand")] * 2
    assert [(one.code, one.line) for one in found(text)] == [("by-hand", line) for line in (8, 13)]


def test_the_recipe_for_a_whole_repository_by_docker_lacks_only_what_is_unmapped():
    text = (
        (ROOT / "README.md")
        .read_text()
        .partition("**The whole repository**")[2]
        .partition("```yaml\n")[2]
        .partition("```")[0]
    )
    assert "BRANCHES: main" in text
    assert codes(text) == []
    assert codes(text.replace("your-workspace/", "docker://acme/")) == ["unmapped"]


STATUS_OF_ANOTHER = page(BUILD_STATUS="$BITBUCKET_TRIGGER_PIPELINE_STATUS", EXIT_CODE="''")


@pytest.mark.parametrize("text", [
    pipelines(main=f"script: [make, {STATUS_OF_ANOTHER}]"),
    f"pipelines: {{default: [step: {{name: A, script: [make]}}, final: {{name: B, script: [{STATUS_OF_ANOTHER}]}}]}}",
])  # fmt: skip
def test_the_status_of_another_pipeline_where_none_starts_this_one_tells_nothing(text):
    told = [one for one in found(text) if one.code == "cannot-tell"]
    assert [one.what.partition(": no ")[2] for one in told] == [
        "`pipeline-completed` starts this pipeline, so $BITBUCKET_TRIGGER_PIPELINE_STATUS is empty."
    ]
    assert "a warning" in {word for row in table(text) for word in row}


def test_what_a_told_pager_misses_is_written_so_that_it_is_met():
    recipe = (Path(__file__).parent / "examples/told-loop/fixed.yml").read_text()
    text = recipe.replace("  branches:\n    main:\n", "  tags:\n    'v*':\n")
    (one,) = found(text)
    assert (one.code, one.what) == ("told-of-failures-only", "No condition is met by a success of tags: v*.")
    condition = yaml.safe_load(one.write)["condition"]
    entry = f"    - condition: {condition}\n      pipelines:\n        - pagerduty\npipelines:"
    assert codes(text.replace("pipelines:\n  tags", f"{entry}\n  tags")) == []


def test_a_token_that_lacks_is_told_once_and_what_it_will_need_at_the_same_time():
    """A filter that is there already, but keeps nothing back without the token, has no finding of its own."""
    recipe = (Path(__file__).parent / "examples/by-hand/told-without-token/bad.yml").read_text()
    everywhere = recipe.replace("  branches:\n    main:\n      -", "  default:\n      -")
    everywhere = everywhere.replace('"branches"', '"default"')
    assert codes(everywhere) == ["by-hand", "default-pages-every-branch"]
    assert codes(f"{everywhere.rstrip()}\n                BRANCHES: main\n") == ["by-hand"]


def test_a_final_step_is_told_of_all_that_it_needs_at_once():
    step = "step: {name: Test, script: [make]}"
    final = f"final: {{name: Page, script: [{page(EXIT_CODE=chr(39) * 2, BRANCHES='main')}]}}"
    text = f"pipelines:\n  default:\n    - {step}\n    - {step}\n    - {final}\n"
    assert codes(text) == ["step-names", "cannot-tell"]
    token = "BITBUCKET_ACCESS_TOKEN: $BITBUCKET_ACCESS_TOKEN"
    assert codes(text.replace("EXIT_CODE: ''", token)) == ["step-names"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (pipelines(main=f"script: [make, {page(EVENT_ACTION='trigger')}]"), ["always-pages"]),
        (pipelines(main=after(page(EVENT_ACTION="trigger"))), ["always-pages"]),
        (pipelines(main=after(page(BUILD_STATUS="failed"))), ["always-pages"]),
        (pipelines(main=f"script: [make, {page(BUILD_STATUS='failed')}]"), ["always-pages"]),
        (pipelines(main=f"script: [{STATUS_OF_ANOTHER}, {page(EXIT_CODE=chr(39) * 2)}]"), ["in-script"]),
        (pipelines(main=after("'STATE=resolve'", page(EVENT_ACTION="$STATE"))), ["action-by-shell"]),
        (pipelines(main=after(page(EVENT_ACTION="$STATE"))), []),
        (pipelines(main=after(page(IGNORE_EXIT_CODES="1"))), ["never-pages"]),  # and not that it lacks quotes
        (pipelines(main=after(page(SUMMARY="by $BITBUCKET_COMMIT_AUTHOR"))), ["invented-variable"]),
        (
            pipelines(main=f"script: ['test $BITBUCKET_EXIT_CODE -eq 0', {page()}]"),
            ["exit-code-in-script", "in-script"],
        ),
    ],
)
def test_what_a_newcomer_writes(text, expected):
    assert codes(text) == expected


def test_shards_of_one_step_are_told_apart_by_their_number():
    shard = "step: &e2e {name: E2E, " + after(page(ALERT_NAME="e2e")) + "}"
    text = f"pipelines: {{branches: {{main: [parallel: [{shard}, step: *e2e]]}}}}"
    (one,) = found(text)
    assert (one.code, one.write.partition(" #")[0]) == ("by-hand", "ALERT_NAME: e2e $BITBUCKET_PARALLEL_STEP")
    assert codes(text.replace("ALERT_NAME: e2e", "ALERT_NAME: e2e $BITBUCKET_PARALLEL_STEP")) == []


def test_a_check_that_pages_elsewhere_may_keep_pull_requests_back():
    assert codes(pipelines(main=after(page()), requests=after(page()))) == []
    assert codes(pipelines(main=after(page()), requests=after(page(ALERT_NAME="other")))) == ["never-pages"]


def test_a_failure_that_the_script_hides_is_told_before_the_pipe_leaves_it():
    assert codes(pipelines(main=f"script: ['make || true', {page()}]")) == ["failure-hidden", "in-script"]


def test_one_name_twice_is_told_once_and_a_step_that_only_resolves_is_meant_to():
    steps = "step: {name: A, BODY}, step: {name: B, clone: {enabled: false}, BODY}"
    text = f"pipelines: {{branches: {{main: [{steps}]}}}}"
    assert codes(text.replace("BODY", after(page()))) == ["by-hand"]  # B's green run would resolve A's alert
    resolving = after(page(EVENT_ACTION="resolve"))
    assert codes(pipelines(main=after(page()), custom=resolving.replace("[make]", "[other]"))) == []


def test_a_list_that_is_an_item_of_another_list_is_told_where_another_step_takes_it_rightly():
    text = f"""
definitions: {{page: &page [{page()}]}}
pipelines:
  branches:
    develop: [step: {{name: A, script: [make], after-script: *page}}]
    main:
      - step:
          name: A
          script: [make]
          after-script:
            - *page
"""
    (one,) = found(text)
    assert (one.code, one.line, one.what) == (
        "not-run",
        10,
        "A pipe stands in a list of its own under `after-script` in `step`.",
    )


def test_a_file_of_a_told_pager_alone_is_shown_as_one():
    text = report(
        Path("x.yml"), TOLD_ONE_KEY.replace("  branches: {main: [step: {name: A, script: [make]}]}\n", "").encode()
    ).as_text()
    assert "custom: pager: pages for pipelines that end" in text
    only_imports = report(Path("x.yml"), b"pipelines: {custom: {a: {import: b}}}").as_text()
    assert only_imports == "x.yml: no step that is seen here uses this pipe.\n\nNo findings.\n"
