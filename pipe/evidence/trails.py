"""Which files of a clone are asked for: Bitbucket's glob patterns, taken apart so that a walk can follow them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

Note = Callable[[str, str], None]  # a path or a pattern, and why it was left out


class Segment(NamedTuple):
    """One part of a pattern, between slashes: `name` None for `**`, `literal` for a part without wildcards."""

    name: re.Pattern[str] | None
    literal: bool


class Trail(NamedTuple):
    """What is left of a pattern in some folder. `asked` once a part of it has named the way in so many words: what is
    wrong from there on is worth saying, what lies elsewhere in the clone is no business of ours."""

    asked: bool
    left: tuple[Segment, ...]


_ANY_DEPTH = Segment(None, False)
_ANY_NAME = Segment(re.compile(r".*\Z", re.DOTALL), False)
_XML = Segment(re.compile(r".*\.xml\Z", re.DOTALL), False)
# "./**/surefire-reports/**/*.xml" and so on, the folder no more than four deep in the clone
# (https://support.atlassian.com/bitbucket-cloud/docs/test-reporting-in-pipelines/).
_REPORTS = Segment(re.compile(r"(?:surefire-reports|failsafe-reports|test-results|test-reports|TestResults)\Z"), True)
BITBUCKETS_OWN = frozenset(Trail(False, (*[_ANY_NAME] * deep, _REPORTS, _ANY_DEPTH, _XML)) for deep in range(5))


def trails(root: Path, patterns: Sequence[str], note: Note) -> frozenset[Trail]:
    """Globs relative to the clone; one that cannot be read or leads out of the clone is noted and left out.
    A pattern that ends in a plain name may mean a folder: every `*.xml` in it and below."""
    found = set()
    for pattern in patterns:
        try:
            for plain in _without_braces(pattern):
                inside = plain.removeprefix(f"{root}/")
                parts = [part for part in inside.split("/") if part not in ("", ".")]
                if inside.startswith("/") or ".." in parts:
                    note(pattern, "leads out of the clone")
                    continue
                left = tuple(segment for part in parts for segment in _segments(part))
                if left[-1:] in ((), (_ANY_DEPTH,)):
                    left += (_XML,)
                found.add(Trail(False, left))
                if left[-1].literal:
                    found.add(Trail(False, (*left, _ANY_DEPTH, _XML)))
        except (TimeoutError, MemoryError):
            raise
        except Exception as error:  # the library exports no error of its own (1 000 alternatives and more)
            note(pattern, f"not a pattern ({type(error).__name__})")
    return frozenset(found)


def _without_braces(pattern: str) -> Iterable[str]:
    if "{" not in pattern:
        return (pattern,)
    from bracex import iexpand  # what wcmatch takes braces apart with

    return iexpand(pattern, keep_escapes=True)


def _segments(part: str) -> tuple[Segment, ...]:
    if "**" in part:  # crosses slashes, also where it shares its part with other characters (`junit-**.xml`)
        return (_ANY_DEPTH, *(_segments(re.sub(r"\*+", "*", part)) if part.strip("*") else ()))
    if not set("*?[\\") & set(part):
        return (Segment(re.compile(re.escape(part) + r"\Z"), True),)
    from wcmatch import glob  # 10 ms of import that Bitbucket's own folders do without

    (expression,), _ = glob.translate(part, flags=glob.DOTGLOB | glob.CASE | glob.FORCEUNIX)
    return (Segment(re.compile(expression), False),)


def here(below: Iterable[Trail]) -> frozenset[Trail]:
    """The trails as they start in a folder: `**` may stand for no folder at all."""
    every = frozenset(below)
    skipped = frozenset(Trail(asked, left[1:]) for asked, left in every if left[:1] == (_ANY_DEPTH,))
    return here(every | skipped) if skipped - every else every


def after(trails_here: Iterable[Trail], name: str) -> frozenset[Trail]:
    """The trails that go on in (or end at) the entry of that name."""
    return frozenset(
        Trail(asked, left) if left[0].name is None else Trail(asked or left[0].literal, left[1:])
        for asked, left in trails_here
        if left and (left[0].name is None or left[0].name.match(name))
    )


def ends(reached: Iterable[Trail]) -> bool:
    """Whether a file reached this way is one that was asked for."""
    return any(not left for _, left in reached)


def asked_for(reached: Iterable[Trail]) -> bool:
    return any(asked for asked, _ in reached)
