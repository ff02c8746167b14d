"""`bitbucket-pipelines.yml`, read only: which steps hold this pipe, and which of them would have this run's key.

The file is read the way Bitbucket does, anchors and `<<` merges included. What is not understood is passed over where
it cannot hold a step, and searched for steps where it can.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from pipe import globs
from pipe.build import Build
from pipe.key import dedup_key

NAME = "bitbucket-pipelines.yml"
LARGEST = 1024 * 1024  # bytes; a real one has some tens of thousands
MOST_STEPS = 5_000  # in all pipelines; aliases can make any number of them
LABEL = 80  # characters of a name in a log line
SECTIONS = ("default", "branches", "tags", "pull-requests", "custom")
# An item with one of these among its variables, or with "pagerduty" in its reference, is this pipe: a team may call it
# what it likes, and leave the key to pipe.yml's default.
OURS = {"ALERT_NAME", "EXIT_CODE", "INTEGRATION_KEY"}
_NO_STRING = re.compile(r"(?i)y|n|yes|no|on|off|true|false|[-+]?[.0-9][-+.:_0-9a-fox]*")
SHELL = frozenset("$`\\")  # what the step's shell replaces: a name with one of these could be any name


@dataclass(frozen=True)
class Alert:
    """One item of this pipe in a step."""

    name: str = ""
    dedup_key: str = ""
    action: str = "auto"
    after_script: bool = False

    @property
    def opens(self) -> bool:
        """Whether it can open an alert; `EVENT_ACTION: resolve` and the like cannot."""
        return self.action not in ("resolve", "acknowledge", "change")

@dataclass(frozen=True)
class Step:
    """One step of a pipeline, with what its group or stage hands down to it."""

    name: str = ""
    environments: tuple[str, ...] = ("",)  # "" for none; both where it cannot be told
    on_fail: str = ""  # "ignore", "retry", "fail" or ""; a parallel group's or stage's holds for its steps
    manual: bool = False
    final: bool = False
    child: str = ""  # the custom pipeline that a step of `type: pipeline` runs
    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True)
class Pipeline:
    """One pipeline of the file: its section, its pattern or name there, and its steps in order."""

    section: str  # default, branches, tags, pull-requests, custom
    pattern: str = ""
    steps: tuple[Step, ...] = ()
    imported: bool = False

    @property
    def label(self) -> str:
        return f"{self.section}: {self.pattern}" if self.pattern else self.section


@dataclass(frozen=True)
class Holder:
    """A step that would have this run's key, and the pipeline it stands in."""

    pipeline: Pipeline
    step: Step
    alerts: tuple[Alert, ...] = ()

    @property
    def label(self) -> str:
        name = self.step.name or ("the final step" if self.step.final else "an unnamed step")
        return f'"{name[:LABEL]}" in {self.pipeline.label[:LABEL]}'


@dataclass(frozen=True)
class Definition:
    """All pipelines of the file."""

    pipelines: tuple[Pipeline, ...] = ()
    unread: str = ""  # why the file could not be read at all

    def possible(self, build: Build) -> tuple[Pipeline, ...]:
        """The pipelines that could open an alert about the same thing as this run's."""
        if build.environment:
            return self.pipelines
        found: list[Pipeline] = []
        if build.pull_request:
            found = self._matching("pull-requests", build.branch)
        elif build.tag:
            found = self._in("tags")  # all of them: one key for all tags
        elif build.branch:
            found = self._matching("branches", build.branch) or self._in("default")
        # custom pipelines run on any ref, and what a section to come does is not known
        return (*found, *(p for p in self.pipelines if p.section == "custom" or p.section not in SECTIONS))

    def with_key(self, build: Build, alert_name: str = "", override: str = "") -> tuple[Holder, ...]:
        """Every step that could have this run's key, whichever pipeline it stands in. `override` is its DEDUP_KEY:
        where the file does not show it, it changes nothing."""
        wanted = dedup_key(build, alert_name, override)

        def by_its_own_key(alert: Alert, here: bool) -> bool:
            return bool(alert.dedup_key) and (_any(alert.dedup_key) or alert.dedup_key == wanted)

        def by_name(alert: Alert, here: bool) -> bool:
            if alert.dedup_key and not _any(alert.dedup_key):
                return alert.dedup_key == wanted
            return here and (_any(alert.name) or dedup_key(build, alert.name) in (wanted, derived))

        derived = dedup_key(build, alert_name)
        shown = self._holders(build, by_its_own_key) if override and override != derived else ()
        return shown or self._holders(build, by_name)

    def _holders(self, build: Build, same: Callable[[Alert, bool], bool]) -> tuple[Holder, ...]:
        possible = {id(pipeline) for pipeline in self.possible(build)}
        found = []
        for pipeline in self.pipelines:
            for step in pipeline.steps:
                here = id(pipeline) in possible and any(_same(name, build.environment) for name in step.environments)
                alerts = tuple(alert for alert in step.alerts if same(alert, here))
                if alerts:
                    found.append(Holder(pipeline, step, alerts))
        return tuple(found)

    def times_run(self, pipeline: Pipeline) -> int:
        """How often one run of a parent may run this pipeline as its child; 1 for all others."""
        parents = (sum(step.child == pipeline.pattern for step in parent.steps) for parent in self.pipelines)
        return max(1, *parents) if pipeline.section == "custom" and self.pipelines else 1

    def own(self, selector_type: str, pattern: str) -> Pipeline | None:
        """The pipeline that a selector of Bitbucket's API names, where the file shows it."""
        section = {"pullrequests": "pull-requests", "pull_requests": "pull-requests"}.get(selector_type, selector_type)
        named = [
            p
            for p in self.pipelines
            if (p.section == section and p.pattern == pattern) or p.section == section == "default"
        ]
        return named[0] if len(named) == 1 else None

    def _in(self, section: str) -> list[Pipeline]:
        return [pipeline for pipeline in self.pipelines if pipeline.section == section]

    def _matching(self, section: str, branch: str) -> list[Pipeline]:
        """An exact name wins over patterns. Which of several patterns wins ("the most specific") is not defined
        exactly enough to be relied on, so all that match could be this run's."""
        here = self._in(section)
        exact = [pipeline for pipeline in here if pipeline.pattern == branch]
        return exact or [pipeline for pipeline in here if globs.matches(branch, (pipeline.pattern,))]


def read(clone: Path) -> Definition:
    """The definition in a clone. Never raises for what the file holds: `unread` says why it says nothing."""
    path = clone / NAME
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return Definition(unread=f"{NAME} is not a file")
            text = file.read(LARGEST + 1)
    except OSError as error:
        return Definition(unread=f"{NAME} could not be read ({error.strerror})")
    if len(text) > LARGEST:
        return Definition(unread=f"{NAME} is larger than {LARGEST} bytes")
    return parse(text)


def parse(text: bytes) -> Definition:
    import yaml

    try:
        # Bitbucket has run the file, so whatever this reader stumbles over is passed over where that can be done.
        decoded = yaml.reader.Reader.NON_PRINTABLE.sub(" ", text.decode("utf-8-sig", "replace"))
        document = next(iter(yaml.load_all(decoded, Loader=_loader(yaml))))
        return Definition(pipelines=tuple(_pipelines(document["pipelines"])))
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f" in line {line + 1}" if line is not None else ""
        return Definition(unread=f"{NAME} is not valid YAML{where}")
    except RecursionError:
        return Definition(unread=f"{NAME} is nested too deeply")
    except TooManySteps:
        return Definition(unread=f"{NAME} has more than {MOST_STEPS} steps")
    except Exception:  # whatever the file holds, it must not cost a page
        return Definition(unread=f"{NAME} has no pipelines that could be read")


class TooManySteps(Exception):
    """No file of Bitbucket's: a pipeline has at most 100 steps."""


def _loader(yaml: Any) -> type:
    """Every scalar is the string that stands there (a branch `1.10` is not the number 1.1), whatever its tag; `<<`
    merges."""

    def construct(loader: Any, node: Any) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return node.value
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_mapping(node, deep=True)

    loader = type(
        "Strings",
        (yaml.SafeLoader,),
        {"yaml_implicit_resolvers": {}, "yaml_constructors": {None: construct}, "yaml_multi_constructors": {}},
    )
    loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])
    return loader


def _pipelines(sections: dict[str, Any]) -> Iterator[Pipeline]:
    steps = 0
    for section, content in sections.items():
        named = {"": content} if section == "default" or not isinstance(content, dict) else content
        for pattern, items in named.items():
            imported = isinstance(items, dict) and "import" in items
            found = [] if imported else list(islice(_steps(items, Step()), MOST_STEPS))
            steps += len(found)
            if steps >= MOST_STEPS:
                raise TooManySteps
            yield Pipeline(section, str(pattern).strip(), tuple(found), imported)


def _steps(node: Any, group: Step) -> Iterator[Step]:
    """Every step below a node, in order; `group` holds what a parallel group or stage hands down to its steps."""
    if isinstance(node, list):
        for item in node:
            yield from _steps(item, group)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in ("step", "final") and isinstance(value, dict):
                yield _step(value, group, final=key == "final")
            elif isinstance(value, dict):
                yield from _steps(value, _inherited(value, group))
            elif isinstance(value, list):
                yield from _steps(value, group)


def _inherited(node: dict[str, Any], group: Step) -> Step:
    on_fail = node.get("on-fail")
    strategy = on_fail.get("strategy") if isinstance(on_fail, dict) else on_fail
    environments = group.environments
    if deployment := _text(node.get("deployment")):
        environments = (deployment,)
    elif environment := _text(node.get("environment")):
        environments = (*environments, environment)  # in the schema beside `deployment`; what it does is not documented
    return replace(
        group,
        environments=environments,
        on_fail=_text(strategy) or group.on_fail,
        manual=group.manual or node.get("trigger") == "manual",
    )


def _step(node: dict[str, Any], group: Step, *, final: bool) -> Step:
    alerts = [
        *_alerts(node.get("script"), after_script=False),
        *_alerts(node.get("after-script"), after_script=True),
    ]
    child = _text(node.get("custom")) if node.get("type") == "pipeline" else ""
    return replace(
        _inherited(node, group), name=_text(node.get("name")), final=final, child=child, alerts=tuple(alerts)
    )


def _alerts(items: Any, *, after_script: bool) -> Iterator[Alert]:
    for item in items if isinstance(items, list) else ():
        if not isinstance(item, dict) or "pipe" not in item:
            continue
        variables = item.get("variables")
        variables = variables if isinstance(variables, dict) else {}
        if OURS & variables.keys() or "pagerduty" in _text(item["pipe"]).lower():
            yield Alert(
                name=_variable(variables.get("ALERT_NAME")),
                dedup_key=_variable(variables.get("DEDUP_KEY")),
                action=_variable(variables.get("EVENT_ACTION")).lower() or "auto",
                after_script=after_script,
            )


def _text(value: Any) -> str:
    """A scalar as it stands; anything else could be anything."""
    if not isinstance(value, str):
        return "" if value is None else "$"
    return "" if value in ("~", "null", "Null", "NULL") else value.strip()


def _variable(value: Any) -> str:
    """A pipe's variable. What YAML takes for a number or a boolean (`yes`, `1.10`) may reach the pipe in other words,
    so it could be anything."""
    text = _text(value)
    return "$" if _NO_STRING.fullmatch(text) else text


def _any(name: str) -> bool:
    return not SHELL.isdisjoint(name)


def _same(one: str, other: str) -> bool:
    """`BITBUCKET_DEPLOYMENT_ENVIRONMENT` is the URL-friendly form of the name in the file."""
    if not one or not other:
        return one == other
    return _any(one) or not one.isascii() or _friendly(one) == _friendly(other)


def _friendly(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
