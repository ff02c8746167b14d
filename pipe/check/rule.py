"""A rule of the linter: its code, why it matters and what to write as data, and one function that finds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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

    def rows_of(self, use: Use) -> list[Row]:
        """All of the item as it is written, wherever an anchor takes it."""
        return [row for row in self.rows if row.use.node is use.node]


Finder = Callable[[Checked], Iterator[Found]]


@dataclass(frozen=True)
class Rule:
    code: str  # comments silence it by this word
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
