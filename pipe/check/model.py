"""What the rules and the table look at: the definition as the run reads it, and where each part of it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipe import definition_file
from pipe.check.source import Map, Seq, Unreadable, document, items_of, mapping_of, shell_lines, text_of
from pipe.definition import TRIGGER_STATUS, Definition, Item, Pipeline, Step
from pipe.placement import Placed, stand
from pipe.settings import ACTIONS, FALLBACKS, FROM_CONTEXT

TOKENS = ("BITBUCKET_ACCESS_TOKEN", "ATLASSIAN_API_TOKEN")
SCRIPTS = ("script", "after-script")


@dataclass(frozen=True, eq=False)
class StepUse:
    """A step: as the run reads it, and as it stands in the file."""

    pipeline: Pipeline
    step: Step
    body: Map
    has_clone: bool
    behind_gate: bool  # a manual gate stands at it or before it

    @property
    def name(self) -> str:
        return Placed(self.pipeline, self.step, Item()).name

    @property
    def label(self) -> str:
        return f"{self.name} ({self.pipeline.label})"

    def shell(self, *places: str) -> Iterator[tuple[int, str]]:
        for place in places:
            for entry in definition_file.entries(self.body.get(place)):
                yield from shell_lines(entry)


@dataclass(frozen=True, eq=False)
class Use:
    """One item of this pipe, where it stands."""

    at: StepUse
    item: Item
    node: Map
    placed: Placed
    told: bool  # in a pipeline that `pipeline-completed` starts

    @property
    def line(self) -> int:
        return self.node.line

    @property
    def variables(self) -> Map:
        return mapping_of(self.node.get("variables"))

    @property
    def misread(self) -> list[tuple[str, Any]]:
        return misread(self.node)

    @property
    def by_docker(self) -> bool:
        """Without a pipe.yml, so with no defaults."""
        return text_of(self.node.get("pipe")).startswith("docker://")

    @property
    def unmapped(self) -> list[str]:
        """What only pipe.yml would fill in, in this place."""
        needed = self._needed() if self.by_docker and not self.misread else ()
        mapped = {name for name, value in self.variables.items() if text_of(value)}
        return [name for name in needed if mapped.isdisjoint((name, FALLBACKS.get(name, name)))]

    def _needed(self) -> Iterator[str]:
        section = self.at.pipeline.section
        yield "INTEGRATION_KEY"
        if self.is_by_exit_code and not (self.item.build_status or self.at.step.final):
            yield "EXIT_CODE"
        if section == "pull-requests":
            yield from ("BITBUCKET_PR_ID", "BITBUCKET_PR_DESTINATION_BRANCH")
        elif section == "tags":
            yield "BITBUCKET_TAG"
        if any(self.at.step.environments) and self.is_by_exit_code and section != "pull-requests":
            yield "BITBUCKET_DEPLOYMENT_ENVIRONMENT"
        if self.is_told:
            told = (name for name in FROM_CONTEXT if name.startswith("BITBUCKET_TRIGGER_"))
            yield from (name for name in told if name != TRIGGER_STATUS or name not in self.item.build_status)

    @property
    def has_token(self) -> bool:
        return any(text_of(self.variables.get(name)) for name in TOKENS)

    @property
    def is_told(self) -> bool:
        """Whether it speaks for the pipeline that ended, and not for a step of its own."""
        return self.told and self.item.place == "script"

    @property
    def is_by_exit_code(self) -> bool:
        return self.item.place == "after-script"

    @property
    def keeps_a_code(self) -> bool:
        """Whether its script goes on after a failure, and hands over the exit code that it has kept."""
        return self.item.place == "script" and self.placed.sees_exit_code

    @property
    def keeps_a_status(self) -> bool:
        """The same of a BUILD_STATUS: its own script sets the variable."""
        names = re.findall(r"\$\{?(\w+)", self.item.build_status)
        lines = " ".join(line for _, line in self.at.shell("script"))
        return any(re.search(rf"\b{name}=", lines) for name in names)

    @property
    def has_own_action(self) -> bool:
        return "$" in self.item.action or self.item.action in ACTIONS[1:]  # a bad one counts as `auto`, the first


@dataclass(frozen=True, eq=False)
class File:
    path: Path
    text: str
    document: Map
    definition: Definition
    steps: tuple[StepUse, ...]
    uses: tuple[Use, ...]

    def steps_of(self, pipeline: Pipeline) -> tuple[StepUse, ...]:
        return tuple(step for step in self.steps if step.pipeline is pipeline)

    def uses_of(self, pipeline: Pipeline) -> tuple[Use, ...]:
        return tuple(use for use in self.uses if use.at.pipeline is pipeline)

    def told_entries(self) -> Iterator[tuple[Map, list[str]]]:
        """Each entry under `pipeline-completed`, and the custom pipelines that it starts."""
        for entry in items_of(mapping_of(self.document.get("triggers")).get("pipeline-completed")):
            if isinstance(entry, Map):
                yield entry, [text_of(name) for name in items_of(entry.get("pipelines"))]


def read(path: Path, text: bytes) -> File:
    """Raises `Unreadable`."""
    found = document(path, text)
    try:
        definition = definition_file.of_document(found)
    except (TypeError, AttributeError) as error:
        raise Unreadable(f"{path}:{found.line_of('pipelines')}:1: pipelines that Bitbucket would not take") from error
    steps = tuple(_steps(found, definition))
    ours = definition_file.references(found["pipelines"])
    uses = tuple(use for step in steps for use in _uses(step, definition, ours))
    return File(path, text.decode("utf-8", "replace"), found, definition, steps, uses)


def misread(item: Map) -> list[tuple[str, Any]]:
    """The names and values that stand beside `pipe:`, or in a list, where Bitbucket reads none of them."""
    found = [(name, value) for name, value in item.items() if name not in ("pipe", "variables", "name")]
    for entry in items_of(item.get("variables")):
        found += entry.items() if isinstance(entry, Map) else [(text_of(entry), "")]
    return found


def _bodies(node: Any, *, manual: bool = False) -> Iterator[tuple[Map, bool]]:
    """Every step below a node in the run's own order: its mapping, and whether it is a gate."""
    if isinstance(node, Seq):
        for item in node:
            yield from _bodies(item, manual=manual)
    elif isinstance(node, Map):
        manual = manual or node.get("trigger") == "manual"
        for key, value in node.items():
            if key in ("step", "final") and isinstance(value, Map):
                yield value, manual or value.get("trigger") == "manual"
            elif isinstance(value, (Map, Seq)):
                yield from _bodies(value, manual=manual)


def _steps(found: Map, definition: Definition) -> Iterator[StepUse]:
    """The steps as the run reads them beside their own mappings: both walk the file in one order."""
    contents: list[Any] = []
    for section, content in found["pipelines"].items():
        contents += [content] if section == "default" or not isinstance(content, Map) else content.values()
    for pipeline, content in zip(definition.pipelines, contents, strict=True):
        gate = False
        for step, (body, manual) in zip(pipeline.steps, () if pipeline.imported else _bodies(content), strict=True):
            gate = gate or manual
            own = body.get("clone") if isinstance(body.get("clone"), Map) else found.get("clone")
            has_clone = text_of(mapping_of(own).get("enabled")).lower() != "false"
            yield StepUse(pipeline, step, body, has_clone, gate)


def _uses(step: StepUse, definition: Definition, ours: set[str]) -> Iterator[Use]:
    told = step.pipeline.section == "custom" and step.pipeline.pattern in definition.told
    entries = (entry for place in SCRIPTS for entry in definition_file.entries(step.body.get(place)))
    nodes = [entry for entry in entries if definition_file.is_ours(entry, ours)]
    for item, node in zip(step.step.items, nodes, strict=True):
        yield Use(step, item, node, stand(definition, step.pipeline, step.step, item), told)
