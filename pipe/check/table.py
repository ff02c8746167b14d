"""The table: for each pipeline, who is paged when, and under which dedup key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipe.check.conditions import may_hold
from pipe.check.model import File, Use
from pipe.check.promise import FILTERS, NOTHING, Promise, promise
from pipe.check.refs import ELSEWHERE, branches, is_glob
from pipe.check.source import Map, text_of, texts_of
from pipe.check.surroundings import SELECTOR, Place
from pipe.definition import TRIGGER_STATUS, Definition, Pipeline, matches
from pipe.outcome import PASSED
from pipe.placement import friendly_name

NO_FILE = Definition(absent=True)
NOT_TOLD = f"{NOTHING}: not told"  # no condition of a trigger is met by that end
MOST_LABELS = 6  # in one row


@dataclass(frozen=True)
class Row:
    """One item on the refs on which it does the same. `refs`: how the file calls them; empty: all. `keys`: with the
    name of each of them."""

    pipeline: str
    refs: str
    promise: Promise
    use: Use
    places: tuple[Place, ...]
    keys: frozenset[str]

    @property
    def step(self) -> str:
        return f"{self.use.at.name} (told)" if self.use.is_told else self.use.at.name

    @property
    def line(self) -> int:
        return self.use.line

    @property
    def label(self) -> str:
        where = " ".join(filter(None, (self.pipeline, self.refs)))
        return f"{self.use.at.name} ({'told of ' if self.use.is_told else ''}{where})"


def rows(file: File) -> tuple[Row, ...]:
    return tuple(_Rows(file).all())


class _Rows:
    def __init__(self, file: File) -> None:
        self.file = file
        patterns: dict[str, list[str]] = {}
        for pipeline in file.definition.pipelines:
            patterns.setdefault(pipeline.section, []).append(pipeline.pattern)
        into = [pattern for use in file.uses for pattern in _literal(use, "BRANCHES")]
        words = [word for use in file.uses for word in _words(use.item.dedup_key)]
        self.branches = branches([*patterns.get("branches", ()), *into, *words])
        self.tags = branches([*patterns.get("tags", ()), *(p for use in file.uses for p in _literal(use, "TAGS"))])
        self.sources = branches([*patterns.get("pull-requests", ()), *patterns.get("branches", ()), *into])
        self.into = branches(into)

    def all(self) -> Iterator[Row]:
        for pipeline in self.file.definition.pipelines:
            for use in self.file.uses_of(pipeline):
                if not use.is_told:
                    yield from self._of(use, self._in_each_environment(use))
            for use in self.file.uses:
                if use.is_told and pipeline.pattern not in self.file.definition.pagers():
                    yield from self._of(use, self._places(pipeline))

    def _in_each_environment(self, use: Use) -> Iterator[Place]:
        for place in self._places(use.at.pipeline):
            for environment in use.at.step.environments:
                yield replace(place, environment=environment if "$" in environment else friendly_name(environment))

    def _places(self, pipeline: Pipeline) -> Iterator[Place]:
        section = pipeline.section
        named = section in ("branches", "tags", "pull-requests")
        for ref in {"tags": self.tags, "pull-requests": self.sources}.get(section, self.branches):
            if not named or matches(pipeline.pattern, ref.name):
                for into in self.into if section == "pull-requests" else (None,):
                    yield Place(pipeline, ref, into)

    def _of(self, use: Use, places: Iterator[Place]) -> Iterator[Row]:
        """One row for all places where the promise is the same but for the ref's name in the key. Where a filter keeps
        some refs out, the others say enough."""
        groups: dict[object, list[tuple[Place, Promise]]] = {}
        for place in places:
            made = self._promise(use, place)
            groups.setdefault((made.on_failure, made.on_success, place.environment), []).append((place, made))
        sending = [members for members in groups.values() if not _filtered(members[0][1])]
        for members in sending or list(groups.values())[:1]:
            here, made = tuple(place for place, _ in members), members[0][1]
            keys = frozenset(one.key_here for _, one in members)
            if any(one.key != made.key for _, one in members):  # with `$…` where the key differs
                made = self._promise(use, replace(here[0], ref=replace(here[0].ref, exact=False)))
            others = [place for group in groups.values() if group is not members for place, _ in group]
            others = [place for place in others if place.environment == here[0].environment]
            refs = _refs(here, others) if others and sending else ""
            yield Row(here[0].pipeline.label, refs, made, use, here, keys)

    def _promise(self, use: Use, place: Place) -> Promise:
        made = promise(use, place, self.file.definition if use.at.has_clone else NO_FILE)
        if not use.is_told:
            return made
        told = [starts_on(self.file, use.at.pipeline.pattern, place.pipeline, ends) for ends in (("FAILED",), PASSED)]
        words = [word if one else NOT_TOLD for word, one in zip((made.on_failure, made.on_success), told, strict=True)]
        return replace(made, on_failure=words[0], on_success=words[1])


def starts_on(file: File, pager: str, ended: Pipeline, statuses: tuple[str, ...]) -> bool:
    """Whether the end of a pipeline in one of these ways can start the custom pipeline `pager`. (Which word Bitbucket
    has for a success is not known.)"""
    return any(pager in started and meets(entry, ended, statuses) for entry, started in file.told_entries())


def meets(entry: Map, ended: Pipeline, statuses: tuple[str, ...]) -> bool:
    """Whether the end of a pipeline can meet the condition of an entry."""
    known = {f"{SELECTOR}TYPE": ended.section}
    if ended.section != "default":
        known[f"{SELECTOR}PATTERN"] = ended.pattern
    condition = text_of(entry.get("condition"))
    return any(may_hold(condition, {**known, TRIGGER_STATUS: status}) for status in statuses)


def _literal(use: Use, name: str) -> list[str]:
    """The patterns of a filter, as far as they stand in the file."""
    return [word for text in texts_of(use.variables.get(name)) for word in text.split() if "$" not in word]


def _words(dedup_key: str) -> list[str]:
    """Those that could be a branch: whether its name stands in a DEDUP_KEY decides."""
    return re.findall(r"\w+", re.sub(r"\$\{?\w+\}?", " ", dedup_key))


def _filtered(made: Promise) -> bool:
    return made.sends_nothing and (made.on_failure.endswith(FILTERS) or made.on_success.endswith(FILTERS))


def _refs(places: tuple[Place, ...], others: list[Place]) -> str:
    """What tells these places from the others: the branch, or a pull request's destination, or its source."""
    into = [place.into.label for place in places if place.into]
    if into and set(into).isdisjoint(place.into.label for place in others if place.into):
        return f"into {_named(into, '')}"
    pattern = places[0].pipeline.pattern
    names = _named([place.ref.label for place in places], pattern)
    if names == ELSEWHERE:  # what another row's pattern fits too is called by its name
        globs = {place.ref.label for place in others if is_glob(place.ref.label)} - {pattern}
        own = dict.fromkeys(p.ref.label for p in places if any(matches(one, p.ref.name) for one in globs))
        names = ", ".join([*(label for label in own if label not in (ELSEWHERE, pattern)), ELSEWHERE])
    if places[0].pipeline.section == "tags":
        names = names.replace(ELSEWHERE, "other tags")
    return f"{'from' if into else 'on'} {names}"


def _named(labels: list[str], own: str) -> str:
    """`own`: the pipeline's pattern, which stands for all that no other one tells apart."""
    if not {ELSEWHERE, own}.isdisjoint(labels):
        return ELSEWHERE
    names = list(dict.fromkeys(labels))
    return ", ".join(names[:MOST_LABELS] + ["…"] * (len(names) > MOST_LABELS))
