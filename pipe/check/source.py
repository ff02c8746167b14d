"""Reads a pipeline file into strings, lists and mappings that know their lines; anchors and `<<` are resolved."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pipe import definition_file

MAX_FILE_BYTES = 4 * 1024 * 1024


class Unreadable(Exception):
    """The file tells nothing. The message begins with its place, `file:line:column`, where there is one."""


class Text(str):
    """A scalar. `plain`: it has no quotes; `block`: its text begins on the line below."""

    line: int
    plain: bool
    block: bool


class Seq(list[Any]):
    line: int


class Map(dict[Any, Any]):
    """`lines`: where each key stands."""

    line: int
    lines: dict[str, int]

    def line_of(self, key: str) -> int:
        return self.lines.get(key, self.line)


def document(path: Path, text: bytes) -> Map:
    """The file's first document. Raises `Unreadable`."""
    if len(text) > MAX_FILE_BYTES:
        raise Unreadable(f"{path}: larger than {MAX_FILE_BYTES // 1024**2} MiB")
    try:
        found = definition_file.load(text, _construct)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise Unreadable(f"{path}{place}: not valid YAML: {error.problem or error.context}") from None
    if not isinstance(found, Map) or not isinstance(found.get("pipelines"), Map):
        line = found.line if isinstance(found, (Map, Seq, Text)) else 1
        raise Unreadable(f"{path}:{line}:1: no `pipelines:` that hold anything, so Bitbucket runs nothing")
    return found


def _construct(loader: Any, node: Any) -> Any:
    """What the loader of the run itself makes, with its lines."""
    if isinstance(node, yaml.ScalarNode):
        text = Text(node.value)
        text.plain, text.block = node.style is None, node.style in ("|", ">")
        return _placed(text, node)
    if isinstance(node, yaml.SequenceNode):
        return _placed(Seq(loader.construct_sequence(node, deep=True)), node)
    return _mapping(loader, node)


def _mapping(loader: Any, node: Any) -> Map:
    loader.flatten_mapping(node)
    found: Map = _placed(Map(), node)
    found.lines = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(None, None, "found unhashable key", key_node.start_mark)
        found.lines[key] = key_node.start_mark.line + 1
        found[key] = loader.construct_object(value_node, deep=True)
    return found


def _placed(value: Any, node: Any) -> Any:
    value.line = node.start_mark.line + 1
    return value


def text_of(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def texts_of(value: Any) -> list[str]:
    """Of an array, or of one string."""
    return [text_of(one) for one in (value if isinstance(value, Seq) else [value])]


def holds_variable(text: str) -> bool:
    """Whether the step's shell makes something else of it. The `$` at the end of a regular expression stays."""
    return re.search(r"\$[\w{(?]|`", text) is not None


def items_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def mapping_of(value: Any) -> Map:
    if isinstance(value, Map):
        return value
    empty = Map()
    empty.line, empty.lines = getattr(value, "line", 1), {}
    return empty


def shell_lines(value: Any) -> Iterator[tuple[int, str]]:
    """The lines of one entry of a script, with where each stands."""
    if isinstance(value, Text):
        for number, line in enumerate(value.splitlines(), value.line + value.block):
            if line.strip():
                yield number, line.strip()
