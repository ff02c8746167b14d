"""Rules about the file's own shape."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from pipe import definition_file
from pipe.check.model import File, misread
from pipe.check.rule import Checked, Found, rule
from pipe.check.source import Map, Seq, holds_variable, items_of, mapping_of, text_of

GROUPS = ("step", "parallel", "stage", "final")
SCRIPTS = ("script", "after-script")


@rule(
    "file-name",
    "Bitbucket reads `bitbucket-pipelines.yml` only: nothing of this ever runs.",
    "# bitbucket-pipelines.yml",
)
def file_name(checked: Checked) -> Iterator[Found]:
    if checked.file.path.name == "bitbucket-pipelines.yaml":
        yield Found(
            1,
            f"The file is called {checked.file.path.name}.",
            "git mv bitbucket-pipelines.yaml bitbucket-pipelines.yml",
        )


@rule(
    "keys-beside-step",
    "They stand beside `- step:` and not in it, so they do not belong to the step.",
    """
- step:
    name: Build # two spaces further to the right
""",
)
def keys_beside_step(checked: Checked) -> Iterator[Found]:
    yield from _beside(checked.file.document["pipelines"])


def _beside(node: Any) -> Iterator[Found]:
    if isinstance(node, Seq):
        for item in node:
            if isinstance(item, Map) and (group := next((key for key in GROUPS if key in item), "")):
                others = [key for key in item if key != group]
                if others:
                    yield Found(item.line_of(others[0]), f"{', '.join(others)} beside `- {group}:`.")
            yield from _beside(item)
    elif isinstance(node, Map):
        for value in node.values():
            yield from _beside(value)


@rule(
    "unknown-key",
    "Bitbucket runs a pipe only as an item of its own in `script` or `after-script` of a step: here it never runs.",
    """
after-script:
  - pipe: …/pagerduty-events:…
""",
)
def unknown_key(checked: Checked) -> Iterator[Found]:
    for one in unread_items(checked.file):
        if one.key in SCRIPTS:
            yield Found(one.line, f"{one.whose} stands deeper in `{one.key}` than its items.")
        else:
            meant = next(iter(difflib.get_close_matches(one.key.lower(), SCRIPTS, n=1)), "after-script")
            what = f"{one.whose} stands under `{one.key}`, where Bitbucket looks for none."
            yield Found(one.line, what, f"{meant}:\n  - pipe: …/pagerduty-events:…")


class Unread(NamedTuple):
    line: int
    whose: str
    key: str


def unread_items(file: File) -> Iterator[Unread]:
    """Items of this pipe where the run does not read them: one for each key."""
    ours = definition_file.references(file.document["pipelines"])
    for step in file.steps if ours else ():
        read = {id(node) for key in SCRIPTS for node in items_of(step.body.get(key))}
        for key, value in step.body.items():
            if any(id(node) not in read and definition_file.is_ours(node, ours) for node in _maps(value)):
                yield Unread(step.body.line_of(key), f"The pipe of {step.name}", key)
    if ours:
        yield from _outside_of_steps(file.document["pipelines"], ours)


def _outside_of_steps(node: Any, ours: set[str]) -> Iterator[Unread]:
    """What stands beside a step, and an `after-script`, have rules of their own."""
    if isinstance(node, Seq):
        for item in node:
            yield from _outside_of_steps(item, ours)
    elif isinstance(node, Map) and not any(isinstance(node.get(key), Map) for key in ("step", "final")):
        for key, value in node.items():
            if any(definition_file.is_ours(one, ours) for one in definition_file.entries(value)):
                if key != "after-script":
                    yield Unread(node.line_of(key), "A pipe outside of any step", key)
            else:
                yield from _outside_of_steps(value, ours)


def _maps(node: Any) -> Iterator[Map]:
    if isinstance(node, Map):
        yield node
    for value in node.values() if isinstance(node, Map) else items_of(node):
        yield from _maps(value)


@rule(
    "variables-not-read",
    "Bitbucket takes a pipe's variables as `NAME: value`, two spaces further in than `variables:`, and these are not.",
    """
variables:
  INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY
""",
)
def variables_not_read(checked: Checked) -> Iterator[Found]:
    ours = {id(use.node) for use in checked.file.uses}
    for step in checked.file.steps:
        for item in (
            one for key in SCRIPTS for one in definition_file.entries(step.body.get(key)) if isinstance(one, Map)
        ):
            names = misread(item) if "pipe" in item else []
            if names and (id(item) in ours or "INTEGRATION_KEY" in dict(names)):
                is_list = isinstance(item.get("variables"), Seq)
                how = "`variables:` is a list" if is_list else f"{', '.join(dict(names))} beside `pipe:`"
                read = mapping_of(item.get("variables"))
                line = item.line_of("variables" if is_list else names[0][0])
                yield Found(line, f"In the pipe of {step.name}: {how}.", _as_names([*names, *read.items()]))


def _as_names(pairs: list[tuple[str, Any]]) -> str:
    """All of them where they belong."""
    return "\n".join(["variables:", *(f"  {name}: {_shown(name, value)}" for name, value in pairs)])


def _shown(name: str, value: Any) -> str:
    """A key or a token that is written out is no one's to repeat."""
    text = text_of(value)
    if not isinstance(value, str) or (not holds_variable(text) and name.endswith(("KEY", "TOKEN"))):
        return "…"
    return text if holds_variable(text) and " " not in text else json.dumps(text, ensure_ascii=False)
