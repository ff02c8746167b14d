"""Rules about the file's own shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipe.check.rule import Checked, Found, rule
from pipe.check.source import Map, Seq

GROUPS = ("step", "parallel", "stage", "final")


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
