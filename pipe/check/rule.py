"""A rule of the linter: its code, why it matters and what to write as data, and one function that finds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from pipe.check.model import File, Use
from pipe.check.table import Row


class Found(NamedTuple):
    """`write`: in place of the rule's own."""

    line: int
    what: str
    write: str = ""


@dataclass(frozen=True)
class Checked:
    file: File
    rows: tuple[Row, ...]

    @cached_property
    def _by_node(self) -> dict[int, list[Row]]:
        found: dict[int, list[Row]] = {}
        for row in self.rows:
            found.setdefault(id(row.use.node), []).append(row)
        return found

    def rows_of(self, use: Use) -> list[Row]:
        """All of the item as it is written, wherever an anchor takes it."""
        return self._by_node.get(id(use.node), [])


Finder = Callable[[Checked], Iterator[Found]]


@dataclass(frozen=True)
class Rule:
    code: str  # never changes: comments silence it by this word
    why: str
    write: str  # YAML
    find: Finder


@dataclass(frozen=True)
class Finding:
    code: str
    line: int
    what: str
    why: str
    write: str


RULES: list[Rule] = []


def rule(code: str, why: str, write: str) -> Callable[[Finder], Finder]:
    def add(find: Finder) -> Finder:
        RULES.append(Rule(code, why, write.strip("\n"), find))
        return find

    return add
