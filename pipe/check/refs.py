"""The refs on which a pipeline can run, as far as the file tells them apart: one for each combination of patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import combinations

from pipe.definition import matches
from pipe.lib.globs import Glob

MOST_STATES = 2000  # of a search for a name that fits two patterns
MOST_GLOBS = 12  # that are paired with each other
ELSEWHERE = "other branches"
NAMES = ("another-branch", "another/branch", "any/other/branch")


@dataclass(frozen=True)
class Ref:
    """A name that stands for all that fit the same patterns. `label`: how the file calls them."""

    name: str
    label: str
    exact: bool = False


def branches(patterns: Iterable[str]) -> tuple[Ref, ...]:
    """One branch for each pattern, one for each two that have a branch in common, and one for none."""
    readable = [pattern for pattern in dict.fromkeys(patterns) if _glob(pattern)]
    found = {pattern: Ref(pattern, pattern, exact=True) for pattern in readable if not is_glob(pattern)}
    globs = [pattern for pattern in readable if is_glob(pattern)]
    for pattern in globs:
        if name := _alone(pattern, globs) or common(pattern):
            found.setdefault(name, Ref(name, pattern))
    for one, other in combinations(globs[:MOST_GLOBS], 2):
        if name := common(one, other):
            found.setdefault(name, Ref(name, f"{one} that fit {other} too"))
    if name := _apart(readable):
        found.setdefault(name, Ref(name, ELSEWHERE))
    return tuple(found.values())


def is_glob(pattern: str) -> bool:
    return re.search(r"[*?\[\]{}\\]", pattern) is not None


@cache
def common(*patterns: str) -> str:
    """A name that fits all of them; empty where a short search finds none."""
    globs = [glob for pattern in patterns if (glob := _glob(pattern))]
    letters = ["x", *sorted(set("".join(patterns)) - set("*?[]{},!^\\ x"))]
    start = tuple(glob.start for glob in globs)
    seen, level = {start}, [(start, "")]
    while level and len(seen) < MOST_STATES:
        following = []
        for places, name in level:
            if name and all(glob.ends(here) for glob, here in zip(globs, places, strict=True)):
                return name
            for letter in letters:
                there = tuple(glob.after(here, letter) for glob, here in zip(globs, places, strict=True))
                if all(there) and there not in seen:
                    seen.add(there)
                    following.append((there, name + letter))
        level = following
    return ""


def _alone(pattern: str, globs: list[str]) -> str:
    """A branch that fits this pattern and no other one."""
    others = [one for one in globs if one != pattern]
    names = (name for name in (common(pattern), *NAMES) if name and matches(pattern, name))
    return next((name for name in names if not any(matches(one, name) for one in others)), "")


def _apart(patterns: list[str]) -> str:
    """A branch that fits none of the patterns."""
    return next((name for name in NAMES if not any(matches(pattern, name) for pattern in patterns)), "")


@cache
def _glob(pattern: str) -> Glob | None:
    try:
        return Glob(pattern)
    except ValueError:
        return None
