"""Rules about the file's own shape."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from pipe import definition_file
from pipe.check.model import File, Use
from pipe.check.rule import Checked, Found, rule
from pipe.check.source import Map, Seq, text_of

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
            yield Found(one.line, f"The pipe of {one.step} stands deeper in `{one.key}` than its items.")
        else:
            meant = next(iter(difflib.get_close_matches(one.key.lower(), SCRIPTS, n=1)), "after-script")
            what = f"The pipe of {one.step} stands under `{one.key}`, where Bitbucket looks for none."
            yield Found(one.line, what, f"{meant}:\n  - pipe: …/pagerduty-events:…")


class Unread(NamedTuple):
    line: int
    step: str
    key: str


def unread_items(file: File) -> Iterator[Unread]:
    """Items of this pipe inside of a step, where the run does not read them: one for each key."""
    ours = definition_file.references(file.document["pipelines"])
    for step in file.steps if ours else ():
        read = {id(node) for key in SCRIPTS for node in _list(step.body.get(key))}
        for key, value in step.body.items():
            if any(id(node) not in read and definition_file.is_ours(node, ours) for node in _maps(value)):
                yield Unread(step.body.line_of(key), step.name, key)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, Seq) else []


def _maps(node: Any) -> Iterator[Map]:
    if isinstance(node, Map):
        yield node
    for value in node.values() if isinstance(node, Map) else _list(node):
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
    for use in checked.file.uses:
        if use.misread:
            beside = [key for key in use.node if key not in ("pipe", "variables", "name")]
            line = use.node.line_of(beside[0] if beside else "variables")
            yield Found(line, f"In the pipe of {use.at.name} {_how(use)}.", _as_names(use))


def _how(use: Use) -> str:
    words = use.misread
    return words if words.startswith("`") else f"there stand {words}"


def _as_names(use: Use) -> str:
    """All of them where they belong."""
    pairs: list[tuple[str, Any]] = [(k, v) for k, v in use.node.items() if k not in ("pipe", "variables", "name")]
    for entry in _list(use.node.get("variables")):
        pairs += entry.items() if isinstance(entry, Map) else ()
    pairs += use.variables.items()
    shown = [f"  {name}: {_shown(name, value)}" for name, value in pairs]
    return "\n".join(["variables:", *shown]) if shown else ""


def _shown(name: str, value: Any) -> str:
    """A key or a token that is written out is no one's to repeat."""
    text = text_of(value)
    if not isinstance(value, str) or ("$" not in text and name.endswith(("KEY", "TOKEN"))):
        return "…"
    return text if "$" in text and " " not in text else json.dumps(text, ensure_ascii=False)
