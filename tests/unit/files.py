"""Small pipeline files for tests: steps with this pipe in them, as text."""

from __future__ import annotations

from pipe import ownership, subject
from pipe.build import Build
from pipe.definition import Definition
from pipe.definition_file import parse
from pipe.ownership import Ownership

PIPE = "{pipe: acme/pagerduty-events:1.0.0, variables: {INTEGRATION_KEY: $K%s}}"
PLAIN = "{step: {name: plain, script: [make]}}"
DEFAULT = "pipelines: {default: [%s]}"
BOTH = "pipelines: {branches: {main: [%s]}, custom: {nightly: [%s]}}"

MAIN = Build(repository="acme/shop", branch="main")
DEPLOY = Build(repository="acme/shop", branch="main", environment="production")
PR = Build(repository="acme/shop", branch="fix", pull_request="42", destination="main", is_pull_request=True)
TAG = Build(repository="acme/shop", tag="v1.0")
NOWHERE = Build(branch="main")  # without a repository there is no key


def pager(name: str = "", **variables: str) -> str:
    """`pager("lint", event_action="resolve")`"""
    given = {"ALERT_NAME": name, **{key.upper(): value for key, value in variables.items()}}
    return PIPE % "".join(f", {key}: {value}" for key, value in given.items() if value)


def step(
    name: str = "test",
    alert: str = "",
    kind: str = "step",
    where: str = "after-script",
    more: str = "",
    **variables: str,
) -> str:
    return f"{{{kind}: {{name: {name}, script: [make], {where}: [{pager(alert, **variables)}]{more}}}}}"


def read(text: str) -> Definition:
    return parse(text.encode())


def of_step(text: str | Definition, name: str = "", key: str = "", build: Build = MAIN) -> Ownership:
    definition = read(text) if isinstance(text, str) else text
    return ownership.of_step(definition, build, subject.of_step(build, name, key))


def of_pipeline(
    text: str | Definition,
    name: str = "",
    key: str = "",
    build: Build = MAIN,
    selector: tuple[str, str] = ("", ""),
) -> Ownership:
    definition = read(text) if isinstance(text, str) else text
    what = subject.of_pipeline(build, name, key, selector)
    return ownership.of_pipeline(definition, build, what, selector)
