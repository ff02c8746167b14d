"""What the table promises is what a run decides: over generated files, for builds on refs of all kinds, with real names.

The builds here are made apart from the linter's: another shell, other values, names of branches that it never saw.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipe.__main__ import Run
from pipe.bitbucket.runs import PipelineRun, StepRun
from pipe.check import report
from pipe.check.model import Use
from pipe.check.table import Row
from pipe.definition import Definition, matches
from pipe.definition_file import parse
from pipe.delivery import Receipt
from pipe.event import Event
from pipe.evidence import Evidence
from pipe.run import plan
from pipe.settings import nearest_variable
from pipe.subject import line_of
from tests.conftest import MORE

PIPE, DOCKER = "acme/pagerduty-events:1.0.0", "docker://acme/pagerduty-events:1.0.0"
BRANCHES = ("main", "develop", "feature/login", "feature/a-b", "fix/1", "release/1/2", "wip", "master")
TAGS = ("v1.2.3", "v2", "web-v2.0.0")
PATTERNS = ("main", "develop", "feature/*", "{feature/*,fix/*}", "release/**", "*", "**", "feature/a*")
ACCEPTED = Receipt(accepted=True, said="202")
DELIVERED: list[Event] = []  # by the last run
TELLS = 'BITBUCKET_TRIGGER_PIPELINE_STATUS == "FAILED"'
TELLS_SUCCESS = (
    'BITBUCKET_TRIGGER_PIPELINE_STATUS == "SUCCESSFUL" && BITBUCKET_TRIGGER_PIPELINE_SELECTOR_TYPE != "custom"'
)
SELECTOR = "BITBUCKET_TRIGGER_PIPELINE_SELECTOR_"
WHERE = ("branch/", "tag/", "pr/", "deployment/", "detached", "ref unknown")
ONLY_BY_PIPE_YML = (
    "BITBUCKET_TAG",
    "BITBUCKET_PR_ID",
    "BITBUCKET_PR_DESTINATION_BRANCH",
    "BITBUCKET_DEPLOYMENT_ENVIRONMENT",
)

_maybe = st.sampled_from((False, False, True))


def _one(*choices: str) -> st.SearchStrategy[str]:
    return st.sampled_from(choices)


@st.composite
def items(draw: st.DrawFn, speaks_for: str = "step") -> dict[str, Any]:
    docker = draw(_maybe)
    names = ("", "", "unit", "unit", "lint", "unit $TEAM", "n $BITBUCKET_PARALLEL_STEP")
    keys = ("", "", "", "", "build", "main-build")
    if speaks_for != "told":  # whose own branch is not the one that it is told of
        names, keys = (*names, "on $BITBUCKET_BRANCH"), (*keys, "build-$BITBUCKET_BRANCH", "$BITBUCKET_TAG-build")
    variables = {
        "INTEGRATION_KEY": "$PAGERDUTY_INTEGRATION_KEY",
        "EXIT_CODE": draw(_one("$BITBUCKET_EXIT_CODE", "$BITBUCKET_EXIT_CODE", "")) if speaks_for == "step" else "",
        "ALERT_NAME": draw(_one(*names)),
        "DEDUP_KEY": draw(_one(*keys)),
        "BRANCHES": draw(
            _one("", "", "", "main", "feature/*", "main feature/*", "master", "^main$", "$BRANCHES_OF_OURS")
        ),
        "TAGS": draw(_one("", "", "v*", "web-v*")),
        "PULL_REQUESTS": draw(_one("", "true", "yes", "$PULL_REQUESTS_OF_OURS")),
        "EVENT_ACTION": draw(_one("", "", "", "", "trigger", "resolve", "change", "acknowledge", "page")),
        "IGNORE_EXIT_CODES": draw(_one("", "", "130", "0 130", "1", "1,2")),
        "CHANGE_EVENT": draw(_one("", "true")),
        "DRY_RUN": draw(_one(*[""] * 8, "true", "false", "$DRY_RUN_OF_OURS", "perhaps")),
        "REGION": draw(_one(*[""] * 8, "eu", "europe", "$REGION_OF_OURS")),
        "EVENTS_URL": draw(_one(*[""] * 12, "https://relay.example", "relay.example")),
    }
    if draw(_maybe) and draw(_maybe):
        variables["INTEGRATION_KEY"] = draw(_one("", "c0ffee"))
    if speaks_for != "step":
        variables["BITBUCKET_ACCESS_TOKEN"] = draw(_one("$BITBUCKET_ACCESS_TOKEN", "$BITBUCKET_ACCESS_TOKEN", ""))
    if speaks_for == "pipeline":
        variables["BUILD_STATUS"] = draw(_one("", "$STATUS"))
    if docker and draw(st.booleans()):
        variables |= {name: f"${name}" for name in ONLY_BY_PIPE_YML}
    return {"pipe": DOCKER if docker else PIPE, "variables": {k: v for k, v in variables.items() if v}}


@st.composite
def steps(draw: st.DrawFn, item: dict[str, Any]) -> dict[str, Any]:
    own = draw(st.sampled_from((item, item, None))) or draw(items())
    body: dict[str, Any] = {"name": draw(_one("Unit", "Lint", "")), "script": ["make"]}
    if draw(st.sampled_from((True, True, True, False))):
        body["after-script"] = [own]
    elif draw(_maybe):
        body["script"] = ["make", own]
    if deployment := draw(_one("", "", "production", "Staging EU")):
        body["deployment"] = deployment
    if draw(_maybe) and draw(_maybe):
        body["clone"] = {"enabled": "false"}
    if draw(_maybe):
        body["condition"] = {"changesets": {"includePaths": ["src/**"]}}
    return {"step": body}


@st.composite
def pipelines(draw: st.DrawFn, item: dict[str, Any], final: bool = True) -> list[Any]:
    made: list[Any] = draw(st.lists(steps(item), min_size=1, max_size=3))
    if draw(_maybe):
        made = [{"parallel": made}]
    if final and draw(_maybe):
        place = draw(_one("script", "script", "after-script"))
        pager = draw(items("pipeline" if place == "script" else "step"))
        made.append({"final": {"name": "Final", "script": ["true"]} | {place: [pager]}})
    return made


@st.composite
def files(draw: st.DrawFn) -> str:
    item = draw(items())
    sections: dict[str, Any] = {}
    if draw(st.booleans()):
        sections["default"] = draw(pipelines(item))
    if patterns := draw(st.lists(st.sampled_from(PATTERNS), max_size=3, unique=True)):
        sections["branches"] = {pattern: draw(pipelines(item)) for pattern in patterns}
    if draw(_maybe):
        sections["tags"] = {draw(_one("v*", "**", "v1.2.3")): draw(pipelines(item))}
    if draw(_maybe):
        sections["pull-requests"] = {draw(_one("**", "feature/*")): draw(pipelines(item))}
    custom = {"nightly": draw(pipelines(item, final=False))} if draw(_maybe) or not sections else {}
    document: dict[str, Any] = {}
    if draw(_maybe):
        custom["pagerduty"] = [{"step": {"name": "Page", "script": [draw(items("told"))]}}]
        entries = [TELLS] + [TELLS_SUCCESS] * draw(st.integers(0, 1))
        document["triggers"] = {"pipeline-completed": [{"condition": c, "pipelines": ["pagerduty"]} for c in entries]}
    if custom:
        sections["custom"] = custom
    return yaml.safe_dump(document | {"pipelines": sections}, sort_keys=False)


@dataclass(frozen=True)
class Started:
    """A real run of one pipeline of the file, on a branch or tag; `into`: a pull request's destination."""

    section: str
    pattern: str
    name: str
    into: str = ""


def starts(row: Row) -> Iterator[Started]:
    """On every name that can start the row's pipeline."""
    pipeline = row.places[0].pipeline
    named = pipeline.section in ("branches", "tags", "pull-requests")
    for name in TAGS if pipeline.section == "tags" else BRANCHES:
        if not named or matches(pipeline.pattern, name):
            for into in ("main", "develop", "feature/z", "master") if pipeline.section == "pull-requests" else ("",):
                yield Started(pipeline.section, pipeline.pattern, name, into)


def shell(use: Use, started: Started, environment: str, *, success: bool) -> dict[str, str]:
    found = {"CI": "true", "BITBUCKET_REPO_FULL_NAME": "acme/shop", "BITBUCKET_BUILD_NUMBER": "812", "TEAM": "payments"}
    found |= {"REGION_OF_OURS": "eu", "DRY_RUN_OF_OURS": "false"}
    found |= {"BRANCHES_OF_OURS": "**", "PULL_REQUESTS_OF_OURS": "true"}
    found |= {"BITBUCKET_ACCESS_TOKEN": "a-secret-of-the-team", "STATUS": "successful" if success else "failed"}
    found["BITBUCKET_PIPELINE_UUID"] = "{own}"
    if use.is_told:
        found["BITBUCKET_TRIGGER_PIPELINE_STATUS"] = "SUCCESSFUL" if success else "FAILED"
        found |= {f"{SELECTOR}TYPE": started.section, f"{SELECTOR}PATTERN": started.pattern}
        return found | {"BITBUCKET_TRIGGER_PIPELINE_UUID": "{ended}"}
    found["BITBUCKET_TAG" if started.section == "tags" else "BITBUCKET_BRANCH"] = started.name
    found |= {"BITBUCKET_PR_ID": "7", "BITBUCKET_PR_DESTINATION_BRANCH": started.into} if started.into else {}
    found |= {"BITBUCKET_DEPLOYMENT_ENVIRONMENT": environment} if environment else {}
    found |= {"BITBUCKET_PARALLEL_STEP": "1"} if use.at.step.group else {}
    return found | ({"BITBUCKET_EXIT_CODE": "0" if success else "1"} if use.item.place == "after-script" else {})


def expand(text: str, values: dict[str, str]) -> str:
    return " ".join(re.sub(r"\$(\w+)", lambda found: values.get(found[1], ""), text).split())


def container(use: Use, values: dict[str, str]) -> dict[str, str]:
    reaching = {
        "CI",
        "BITBUCKET_REPO_FULL_NAME",
        "BITBUCKET_BUILD_NUMBER",
        "BITBUCKET_BRANCH",
        "BITBUCKET_PIPELINE_UUID",
    }
    if not use.by_docker:
        reaching |= {*ONLY_BY_PIPE_YML, "BITBUCKET_EXIT_CODE"}
        reaching |= {name for name in values if name.startswith("BITBUCKET_TRIGGER_")}
    found = {name: value for name, value in values.items() if name in reaching}
    found |= {} if use.by_docker else {"INTEGRATION_KEY": "c0ffee11c0ffee22c0ffee33c0ffee44"}
    key = {"PAGERDUTY_INTEGRATION_KEY": "c0ffee11c0ffee22c0ffee33c0ffee44"}
    return found | {name: expand(value, values | key) for name, value in use.variables.items() if value}


class Bitbucket:
    """What the API says of the pipeline: its one other step failed or passed."""

    time_left = 0.0

    def __init__(self, started: Started, *, success: bool, told: bool) -> None:
        self.started, self.result, self.told = started, "SUCCESSFUL" if success else "FAILED", told

    def pipeline(self, uuid: str) -> PipelineRun:
        about = self.started
        return PipelineRun(
            uuid,
            number=812,
            state="COMPLETED" if uuid == "{ended}" else "IN_PROGRESS",
            result=self.result if uuid == "{ended}" else "",
            ref_type={"tags": "tag", "pull-requests": "pullrequest"}.get(about.section, "branch"),
            ref_name=about.name,
            pull_request=7 if about.into else None,
            destination=about.into,
            selector_type=about.section,
            selector_pattern="" if about.section == "default" else about.pattern,
        )

    def steps(self, pipeline_uuid: str) -> tuple[StepRun, ...]:
        if self.told and pipeline_uuid == "{own}":  # the pager's own pipeline, which has no other step
            return ()
        return (StepRun("{1}", "Unit", "COMPLETED", result=self.result),)

    def builds(self, branch: str = "") -> tuple[PipelineRun, ...]:
        return ()


class Silence:
    """A log that nobody reads."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


QUIET: Any = Silence()
NEAREST = cache(nearest_variable)  # which takes a tenth of a run's time, for the same few names


def deliver(event: Event, *_: object) -> Receipt:
    DELIVERED.append(event)
    return ACCEPTED


@dataclass(frozen=True)
class Sent:
    """The table's word for what a run sent, the key of its alert, and whether a page was among it."""

    word: str
    key: str = ""
    paged: bool = False


def sent(use: Use, started: Started, environment: str, definition: Definition, *, success: bool) -> Sent:
    """By a whole run, whose events PagerDuty accepts."""
    environ = container(use, shell(use, started, environment, success=success))
    api = Bitbucket(started, success=success, told=use.is_told)
    one = Run(environ)
    one.log = QUIET
    made = plan(one.settings, one.build, definition, lambda *_: api, one.log)
    DELIVERED.clear()
    one.carry_out(made)
    decision = made.decision
    words = {"trigger": "pages", "resolve": "resolves", "acknowledge": "acknowledges", "change": "change event"}
    word = "a warning" if decision.result_unknown else words.get(decision.action, "nothing")
    if "Not resolving" in decision.warning or (success and "IGNORE_EXIT_CODES" in decision.reason):
        word = "by hand"
    if not DELIVERED and (made.events or one.settings.fatal or one.settings.dry_run):
        return Sent("nothing")
    paged = any(event.action == "trigger" for event in DELIVERED)
    key = made.events[0].dedup_key if decision.action not in ("", "change") else ""
    return Sent(f"{word}, change event" if decision.change_too else word, key, paged)


def row_of(rows: list[Row], started: Started, environment: str) -> Row | None:
    """The row that a reader would look at: the one that names the branch, else the one with the narrowest pattern that
    fits, else the one about all others. None: a filter keeps this ref out."""
    here = [row for row in rows if row.places[0].environment == environment]
    rated = [(rating, row) for row in here if (rating := _rating(row, started))]
    return max(rated, key=lambda one: one[0])[1] if rated else None


def _rating(row: Row, started: Started) -> int:
    if not row.refs:
        return 1
    word, _, labels = row.refs.partition(" ")
    name = started.into if word == "into" else started.name
    others = row.refs.endswith(("other branches", "other tags"))
    return max(others, *(_fit(label, name) for label in re.split(r", (?![^{]*})", labels)))


def _fit(label: str, name: str) -> int:
    patterns = [pattern for pattern in re.split(" that fit | too", label) if pattern]
    if label == name:
        return 10**6
    fitting = [_alternative(pattern, name) for pattern in patterns]
    text = "".join(fitting)
    literal = len(text.replace("*", ""))
    return 500 + 1000 * literal - 10 * text.count("**") - len(label) if all(fitting) else 0


def _alternative(pattern: str, name: str) -> str:
    """The part of `{feature/*,fix/*}` that fits; of another pattern, all of it."""
    parts = pattern[1:-1].split(",") if pattern.startswith("{") else [pattern]
    return next((part for part in parts if matches(part, name)), "")


def compare(
    use: Use, row: Row | None, started: Started, environment: str, definition: Definition, *, success: bool
) -> bool:
    """Whether the run paged."""
    promised = "nothing" if not row else row.promise.shown[success]
    if row and "not told" in (row.promise.on_failure, row.promise.on_success)[success]:
        return False  # no condition of a trigger is met by that end: there is no run
    made = sent(use, started, environment, definition, success=success)
    assert promised.partition(":")[0] == made.word, (started, row)
    two_keys = success and made.word == "a warning" and row and row.promise.on_failure == "pages"
    if made.key and row and not two_keys:
        values = shell(use, started, environment, success=success) | {"LINE": line_of(started.name)}
        if use.is_told:
            values |= {"BITBUCKET_BRANCH": started.name, "BITBUCKET_PR_ID": "7"}
        prefix = "bitbucket:acme/shop:" if row.promise.key.startswith(WHERE) else ""
        assert expand(prefix + row.promise.key, values) == made.key, (started, row)
    return made.paged


@settings(max_examples=30 * MORE)
@given(files())
def test_the_table_promises_what_a_run_sends_and_what_never_pages_has_a_finding(text):
    made = report(Path("bitbucket-pipelines.yml"), text.encode())
    table, definition, absent = made.rows, parse(text.encode()), Definition(absent=True)
    assert made.file.definition == definition
    together: dict[object, list[Row]] = {}
    paging: dict[int, bool] = {}  # by the item as it is written
    for row in table:
        together.setdefault((id(row.use), row.pipeline), []).append(row)
    with (
        mock.patch("pipe.run.gather", return_value=Evidence()),
        mock.patch("pipe.__main__.deliver", deliver),
        mock.patch("pipe.settings.nearest_variable", NEAREST),
    ):
        for rows in together.values():
            use = rows[0].use
            for started in starts(rows[0]):
                for environment in {place.environment for row in rows for place in row.places}:
                    row = row_of(rows, started, environment)
                    seen = definition if use.at.has_clone else absent
                    # A pipe in an ordinary script does not run after a failure at all.
                    for success in (True,) if use.placed.runs_only_after_a_success else (False, True):
                        paged = compare(use, row, started, environment, seen, success=success)
                        paging[id(use.node)] = paging.get(id(use.node), False) or paged
    for use in made.file.uses:
        if id(use.node) in paging:
            lines = {use.line, *(use.variables.line_of(name) for name in use.variables)}
            codes = {one.code for one in made.findings if one.line in lines}
            assert not (paging[id(use.node)] and "never-pages" in codes), use.node
            says_so = {"never-pages", "in-script", *(["unmapped"] * ("INTEGRATION_KEY" not in use.variables))}
            silent = not (paging[id(use.node)] or use.has_own_action or _pages_elsewhere(use, made.file.uses, paging))
            assert not silent or codes & says_so, use.node


def _pages_elsewhere(use: Use, uses: tuple[Use, ...], paging: dict[int, bool]) -> bool:
    """Whether it is a pull request's, and the same check pages outside of those."""
    alike = [one for one in uses if one.is_by_exit_code and one.item.alert_name == use.item.alert_name]
    return use.at.pipeline.section == "pull-requests" and any(paging.get(id(one.node)) for one in alike)


CONSEQUENCES = {"in-script", "by-hand", "cannot-tell", "belongs-in-script"}
WHY_A_WARNING = {"cannot-tell", "unmapped", "belongs-in-script", "in-script"}


@settings(max_examples=30 * MORE)
@given(files())
def test_what_is_by_hand_or_cannot_be_told_has_one_finding_that_says_why(text):
    made = report(Path("bitbucket-pipelines.yml"), text.encode())
    for row in made.rows:
        about = {one.code for one in made.findings if one.line == row.line or row.use.at.name in one.what}
        assert "by hand" not in row.promise.on_success or about & {
            "by-hand",
            "never-pages",
            "in-script",
            "belongs-in-script",
            "unmapped",
        }, row
        at_it = {one.code for one in made.findings if one.line == row.line}
        warns = "a warning" in (row.promise.on_failure, row.promise.on_success)
        assert not warns or at_it & WHY_A_WARNING, row
    nodes = Counter(id(use.node) for use in made.file.uses)
    for use in made.file.uses:
        codes = {one.code for one in made.findings if one.line == use.line}
        assert nodes[id(use.node)] > 1 or len(codes & CONSEQUENCES) <= 1, codes
