"""`bitbucket-pipelines.yml`, read only: which steps hold this pipe, and which of them would have this run's key.

The file is read the way Bitbucket does, anchors and `<<` merges included. What is not understood is passed over where
it cannot hold a step, and searched for steps where it can.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipe import globs
from pipe.build import Build

NAME = "bitbucket-pipelines.yml"
LARGEST = 1024 * 1024  # bytes; a real one has some tens of thousands
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

    def has_key(self, alert_name: str, dedup_key: str) -> bool:
        """Whether it could have the key that a run with these variables has, in the same place."""
        if dedup_key:
            return self.dedup_key == dedup_key or _any(self.dedup_key)
        same_name = self.name == alert_name or _any(self.name)
        return same_name and (not self.dedup_key or _any(self.dedup_key))


@dataclass(frozen=True)
class Step:
    name: str = ""
    environment: str = ""
    on_fail: str = ""  # "ignore", "retry", "fail" or ""; a parallel group's or stage's holds for its steps
    manual: bool = False
    final: bool = False
    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True)
class Pipeline:
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
        unnamed = "the final step" if self.step.final else "an unnamed step"
        return f'"{self.step.name or unnamed}" in {self.pipeline.label}'


@dataclass(frozen=True)
class Definition:
    pipelines: tuple[Pipeline, ...] = ()
    unread: str = ""  # why the file could not be read at all

    def possible(self, build: Build, dedup_key: str = "") -> tuple[Pipeline, ...]:
        """The pipelines that could open this run's key."""
        if build.environment or dedup_key:
            return self.pipelines
        found: list[Pipeline] = []
        if build.pull_request:
            found = self._matching("pull-requests", build.branch)
        elif build.tag:
            found = self._in("tags")  # all of them: one key for all tags
        elif build.branch:
            found = self._matching("branches", build.branch) or self._in("default")
        return (*found, *self._in("custom"))  # custom pipelines run on any ref

    def holders(self, build: Build, alert_name: str = "", dedup_key: str = "") -> tuple[Holder, ...]:
        """Every step that could open an alert with this run's key, whichever pipeline it stands in."""
        return tuple(
            holder for holder in self._with_key(build, alert_name, dedup_key) if any(a.opens for a in holder.alerts)
        )

    def resolvers(self, build: Build, alert_name: str = "", dedup_key: str = "") -> tuple[Holder, ...]:
        """The steps that say `EVENT_ACTION: resolve` for this run's key."""
        return tuple(
            holder
            for holder in self._with_key(build, alert_name, dedup_key)
            if any(alert.action == "resolve" for alert in holder.alerts)
        )

    def _with_key(self, build: Build, alert_name: str, dedup_key: str) -> Iterator[Holder]:
        for pipeline in self.possible(build, dedup_key):
            for step in pipeline.steps:
                if dedup_key or _same_environment(step.environment, build.environment):
                    alerts = tuple(alert for alert in step.alerts if alert.has_key(alert_name, dedup_key))
                    if alerts:
                        yield Holder(pipeline, step, alerts)

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
        return exact or [pipeline for pipeline in here if globs.matches(branch, [pipeline.pattern])]


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
        document = yaml.load(text, Loader=_loader(yaml))
        sections = document["pipelines"]
        return Definition(pipelines=tuple(_pipelines(sections)))
    except (yaml.YAMLError, UnicodeError, ValueError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f" in line {line + 1}" if line is not None else ""
        return Definition(unread=f"{NAME} is not valid YAML{where}")
    except RecursionError:
        return Definition(unread=f"{NAME} is nested too deeply")
    except (KeyError, TypeError, AttributeError):
        return Definition(unread=f"{NAME} has no pipelines that could be read")


def _loader(yaml: Any) -> type:
    """Every scalar is the string that stands there (a branch `1.10` is not the number 1.1); `<<` merges."""
    loader = type("Strings", (yaml.SafeLoader,), {"yaml_implicit_resolvers": {}})
    loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])
    return loader


def _pipelines(sections: dict[str, Any]) -> Iterator[Pipeline]:
    for section, content in sections.items():
        if section == "default":
            yield _pipeline(Pipeline(section), content)
        elif isinstance(content, dict):
            for pattern, items in content.items():
                yield _pipeline(Pipeline(section, str(pattern).strip()), items)


def _pipeline(pipeline: Pipeline, items: Any) -> Pipeline:
    imported = isinstance(items, dict) and "import" in items
    return replace(pipeline, imported=imported, steps=() if imported else tuple(_steps(items, Step())))


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
    strategy = on_fail.get("strategy", "") if isinstance(on_fail, dict) else on_fail or ""
    return replace(
        group,
        environment=_text(node.get("deployment") or node.get("environment")) or group.environment,
        on_fail=_text(strategy) or group.on_fail,
        manual=group.manual or node.get("trigger") == "manual",
    )


def _step(node: dict[str, Any], group: Step, *, final: bool) -> Step:
    alerts = [
        *_alerts(node.get("script"), after_script=False),
        *_alerts(node.get("after-script"), after_script=True),
    ]
    return replace(_inherited(node, group), name=_text(node.get("name")), final=final, alerts=tuple(alerts))


def _alerts(items: Any, *, after_script: bool) -> Iterator[Alert]:
    for item in items if isinstance(items, list) else ():
        if not isinstance(item, dict) or "pipe" not in item:
            continue
        variables = item.get("variables")
        variables = variables if isinstance(variables, dict) else {}
        if "INTEGRATION_KEY" in variables or "pagerduty" in _text(item["pipe"]).lower():
            yield Alert(
                name=_text(variables.get("ALERT_NAME")).strip(),
                dedup_key=_text(variables.get("DEDUP_KEY")).strip(),
                action=_text(variables.get("EVENT_ACTION")).strip().lower() or "auto",
                after_script=after_script,
            )


def _text(value: Any) -> str:
    """A scalar as it stands; anything else could be anything."""
    return value if isinstance(value, str) else "" if value is None else "$"


def _any(name: str) -> bool:
    return not SHELL.isdisjoint(name)


def _same_environment(one: str, other: str) -> bool:
    """`BITBUCKET_DEPLOYMENT_ENVIRONMENT` is the URL-friendly form of the name in the file."""
    if not one or not other:
        return one == other
    return _any(one) or _friendly(one) == _friendly(other)


def _friendly(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
