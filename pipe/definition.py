"""What `bitbucket-pipelines.yml` defines: which steps hold this pipe, and which of them would have this run's key."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pipe import globs
from pipe.build import Build
from pipe.key import dedup_key

LABEL = 80  # characters of a name in a log line
SECTIONS = ("default", "branches", "tags", "pull-requests", "custom")
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


def _any(name: str) -> bool:
    return not SHELL.isdisjoint(name)


def _same(one: str, other: str) -> bool:
    """`BITBUCKET_DEPLOYMENT_ENVIRONMENT` is the URL-friendly form of the name in the file."""
    if not one or not other:
        return one == other
    return _any(one) or not one.isascii() or _friendly(one) == _friendly(other)


def _friendly(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
