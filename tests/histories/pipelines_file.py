"""What a team writes into `bitbucket-pipelines.yml`: the truth of it as values, and its YAML, which the pipe's reader reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import yaml

from pipe import definition_file
from pipe.definition import Definition

PIPE = "acme/pagerduty-events:1.0.0"
TOLD_VARIABLES = ("STATUS", "UUID", "SELECTOR_TYPE", "SELECTOR_PATTERN")


@dataclass(frozen=True)
class Pager:
    """One item of the pipe; values as they stand in the file, for the step's shell to expand."""

    alert_name: str = ""
    dedup_key: str = ""
    build_status: str = ""
    event_action: str = ""
    branches: str = ""
    pull_requests: bool = True
    ignore_exit_codes: str = ""
    token: bool = False
    service: str = "PAGERDUTY_INTEGRATION_KEY"
    pipe: str = PIPE
    bare: bool = False  # without `variables:`

    def variables(self) -> dict[str, str]:
        if self.bare:
            return {}
        given = {
            "INTEGRATION_KEY": f"${self.service}",
            "EXIT_CODE": "$BITBUCKET_EXIT_CODE",
            "ALERT_NAME": self.alert_name,
            "DEDUP_KEY": self.dedup_key,
            "BUILD_STATUS": self.build_status,
            "EVENT_ACTION": self.event_action,
            "BRANCHES": self.branches,
            "PULL_REQUESTS": "true" if self.pull_requests else "",
            "IGNORE_EXIT_CODES": self.ignore_exit_codes,
            "BITBUCKET_ACCESS_TOKEN": "$BITBUCKET_ACCESS_TOKEN" if self.token else "",
        }
        return {name: value for name, value in given.items() if value}

    def item(self) -> dict[str, Any]:
        return {"pipe": self.pipe} | ({"variables": self.variables()} if not self.bare else {})


@dataclass(frozen=True)
class Step:
    name: str = ""
    after: Pager | None = None  # in its after-script
    inside: Pager | None = None  # in its script
    deployment: str = ""
    condition: bool = False
    manual: bool = False
    on_fail: str = ""  # "ignore", "retry" or ""
    clone: bool = True


@dataclass(frozen=True)
class Parallel:
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Stage:
    steps: tuple[Step, ...]
    name: str = ""
    deployment: str = ""
    condition: bool = False
    manual: bool = False


Element = Step | Parallel | Stage


@dataclass(frozen=True)
class Slot:
    """One step's place in a pipeline, with what its group or stage hands down to it."""

    index: int
    step: Step
    block: int  # steps of one block run beside each other
    shard: int = -1  # BITBUCKET_PARALLEL_STEP; -1 outside of parallel groups
    shards: int = 0
    gate: bool = False  # a person has to let the pipeline go on here
    may_be_skipped: bool = False  # by a condition
    environment: str = ""  # as BITBUCKET_DEPLOYMENT_ENVIRONMENT has it
    final: bool = False

    @property
    def label(self) -> str:
        return (self.step.name or f"step {self.index + 1}") + (f"[{self.shard}]" if self.shard >= 0 else "")


@dataclass(frozen=True)
class Pipeline:
    section: str  # default, branches, tags, pull-requests, custom
    pattern: str = ""
    elements: tuple[Element, ...] = ()
    final: Step | None = None

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """Its steps, and behind them the `final:` one."""
        found = list(_slots(self.elements))
        if self.final:
            found.append(Slot(len(found), self.final, 1 + max((s.block for s in found), default=-1), final=True))
        return tuple(replace(slot, index=index) for index, slot in enumerate(found))

    @property
    def label(self) -> str:
        return f"{self.section}: {self.pattern}" if self.pattern else self.section


@dataclass(frozen=True)
class Trigger:
    """An entry under `pipeline-completed`: it starts `pipeline` when any of `statuses` comes of any of the `kinds` of
    pipelines, but not of a pipeline called one of `but`."""

    pipeline: str
    statuses: tuple[str, ...] = ("FAILED",)
    kinds: tuple[str, ...] = ()
    but: tuple[str, ...] = ()

    def holds(self, status: str, kind: str, pattern: str) -> bool:
        return status in self.statuses and (not self.kinds or kind in self.kinds) and pattern not in self.but

    @property
    def condition(self) -> str:
        def one_of(name: str, words: tuple[str, ...]) -> str:
            return "(" + " || ".join(f'BITBUCKET_TRIGGER_PIPELINE_{name} == "{word}"' for word in words) + ")"

        parts = [one_of("STATUS", self.statuses)]
        parts += [one_of("SELECTOR_TYPE", self.kinds)] if self.kinds else []
        parts += [f'BITBUCKET_TRIGGER_PIPELINE_SELECTOR_PATTERN != "{name}"' for name in self.but]
        return " && ".join(parts)


@dataclass(frozen=True)
class File:
    pipelines: tuple[Pipeline, ...]
    triggers: tuple[Trigger, ...] = ()

    @cached_property
    def yaml(self) -> str:
        """As a team could have written it: what is the same in several steps stands in an anchor."""
        pagers: dict[Pager, list[dict[str, Any]]] = {}
        sections: dict[str, Any] = {}
        for pipeline in self.pipelines:
            items = [_element(element, pagers) for element in pipeline.elements]
            if pipeline.final:
                items.append({"final": _step(pipeline.final, pagers)})
            if pipeline.section == "default":
                sections["default"] = items
            else:
                sections.setdefault(pipeline.section, {})[pipeline.pattern] = items
        document: dict[str, Any] = {}
        if self.triggers:
            document["triggers"] = {
                "pipeline-completed": [{"condition": t.condition, "pipelines": [t.pipeline]} for t in self.triggers]
            }
        return yaml.dump(document | {"pipelines": sections}, Dumper=_DUMPER, sort_keys=False, width=120)

    @property
    def definition(self) -> Definition:
        """What the pipe's own reader makes of the YAML."""
        return _parsed(self.yaml)


_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@lru_cache(maxsize=256)
def _parsed(text: str) -> Definition:
    return definition_file.parse(text.encode())


def expand(text: str, environ: Mapping[str, str]) -> str:
    """What the step's shell makes of a value: an unset variable is an empty string."""
    return re.sub(r"\$\{?(\w+)\}?", lambda found: environ.get(found[1], ""), text)


def friendly(environment: str) -> str:
    """The URL-friendly form of an environment's name."""
    return re.sub(r"[^a-z0-9]+", "-", environment.lower()).strip("-")


def _slots(elements: tuple[Element, ...]) -> Iterator[Slot]:
    block = 0
    for element in elements:
        steps = (element,) if isinstance(element, Step) else element.steps
        stage = element if isinstance(element, Stage) else Stage(())
        parallel = isinstance(element, Parallel)
        for index, step in enumerate(steps):
            yield Slot(
                0,
                step,
                block,
                index if parallel else -1,
                len(steps) if parallel else 0,
                gate=step.manual or (stage.manual and index == 0),
                may_be_skipped=step.condition or stage.condition,
                environment=friendly(step.deployment or stage.deployment),
            )
            block += 0 if parallel else 1
        block += 1 if parallel else 0


def _element(element: Element, pagers: dict[Pager, list[dict[str, Any]]]) -> dict[str, Any]:
    if isinstance(element, Step):
        return {"step": _step(element, pagers)}
    steps = [{"step": _step(step, pagers)} for step in element.steps]
    if isinstance(element, Parallel):
        return {"parallel": {"steps": steps}}
    about = {"name": element.name, "deployment": element.deployment, "trigger": "manual" if element.manual else ""}
    return {"stage": {n: v for n, v in about.items() if v} | _condition(element.condition) | {"steps": steps}}


def _step(step: Step, pagers: dict[Pager, list[dict[str, Any]]]) -> dict[str, Any]:
    def items(pager: Pager) -> list[dict[str, Any]]:
        return pagers.setdefault(pager, [pager.item()])

    about: dict[str, Any] = {
        "name": step.name,
        "deployment": step.deployment,
        "trigger": "manual" if step.manual else "",
        "on-fail": {"strategy": step.on_fail} if step.on_fail else "",
        "clone": "" if step.clone else {"enabled": "false"},
    }
    script: list[Any] = ["make"] if not step.inside else items(step.inside)
    after = {"after-script": items(step.after)} if step.after else {}
    return {n: v for n, v in about.items() if v} | _condition(step.condition) | {"script": script} | after


def _condition(has_one: bool) -> dict[str, Any]:
    return {"condition": {"changesets": {"includePaths": ["src/**"]}}} if has_one else {}
