"""The table: for each pipeline, who is paged when, and under which dedup key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipe.check.conditions import may_hold
from pipe.check.container import SELECTOR, Place
from pipe.check.model import STATUS, File, Use
from pipe.check.promise import FILTERS, NOTHING, Promise, promise
from pipe.check.refs import ELSEWHERE, branches, is_glob
from pipe.check.source import Map, text_of, texts_of
from pipe.definition import Definition, Pipeline, matches
from pipe.placement import friendly_name

NO_FILE = Definition(absent=True)
NOT_TOLD = f"{NOTHING}: not told"  # no condition of a trigger is met by that end
MOST_LABELS = 6  # in one row


@dataclass(frozen=True)
class Row:
    """One item on the refs on which it does the same. `refs`: how the file calls them; empty: all."""

    pipeline: str
    refs: str
    step: str
    line: int
    promise: Promise
    use: Use
    places: tuple[Place, ...]


def rows(file: File) -> tuple[Row, ...]:
    return tuple(_Rows(file).all())


class _Rows:
    def __init__(self, file: File) -> None:
        self.file = file
        patterns: dict[str, list[str]] = {}
        for pipeline in file.definition.pipelines:
            patterns.setdefault(pipeline.section, []).append(pipeline.pattern)
        into = [pattern for use in file.uses for pattern in literal(use, "BRANCHES")]
        words = [word for use in file.uses for word in _words(use.item.dedup_key)]
        self.branches = branches([*patterns.get("branches", ()), *into, *words])
        self.tags = branches([*patterns.get("tags", ()), *(p for use in file.uses for p in literal(use, "TAGS"))])
        self.sources = branches([*patterns.get("pull-requests", ()), *patterns.get("branches", ()), *into])
        self.into = branches(into)
        self._known: dict[object, Promise] = {}

    def all(self) -> Iterator[Row]:
        for pipeline in self.file.definition.pipelines:
            for use in self.file.uses_of(pipeline):
                if not use.is_told:
                    yield from self._of(use, self._own_places(use))
            for use in self.file.uses:
                if use.is_told and pipeline.pattern not in self.file.definition.pagers():
                    yield from self._of(use, self._places(pipeline))

    def _own_places(self, use: Use) -> Iterator[Place]:
        for place in self._places(use.at.pipeline):
            for environment in use.at.step.environments:
                friendly = environment if "$" in environment else friendly_name(environment)
                yield Place(place.pipeline, place.ref, place.into, friendly)

    def _places(self, pipeline: Pipeline) -> Iterator[Place]:
        if pipeline.section == "pull-requests":
            found = [ref for ref in self.sources if matches(pipeline.pattern, ref.name)]
            yield from (Place(pipeline, ref, into) for ref in found for into in self.into)
        elif pipeline.section == "tags":
            yield from (Place(pipeline, ref) for ref in self.tags if matches(pipeline.pattern, ref.name))
        else:
            named = pipeline.section == "branches"
            found = [ref for ref in self.branches if not named or matches(pipeline.pattern, ref.name)]
            yield from (Place(pipeline, ref) for ref in found)

    def _of(self, use: Use, places: Iterator[Place]) -> Iterator[Row]:
        """One row for all places where the promise is the same but for the ref's name in the key. Where a filter keeps
        some refs out, the others say enough."""
        groups: dict[object, list[tuple[Place, Promise]]] = {}
        for place in places:
            made = self._promise(use, place)
            alike = (made.on_failure, made.on_success, place.environment)
            groups.setdefault(alike, []).append((place, made))
        sending = [members for members in groups.values() if not filtered(members[0][1])]
        for members in sending or list(groups.values())[:1]:
            here = [place for place, _ in members]
            others = [place for group in groups.values() if group is not members for place, _ in group]
            others = [place for place in others if place.environment == here[0].environment]
            refs = _refs(here, others) if others and sending else ""
            promised = self._merged(use, members)
            pipeline = members[0][0].pipeline
            step = f"{use.at.name} (told)" if use.is_told else use.at.name
            yield Row(pipeline.label, refs, step, use.line, promised, use, tuple(here))

    def _promise(self, use: Use, place: Place) -> Promise:
        """The same for all refs that fit the same pipelines and filters."""
        definition = self.file.definition if use.at.has_clone else NO_FILE
        names = [place.ref.name, place.into.name if place.into else ""]
        filters = [pattern for kind in ("BRANCHES", "TAGS") for pattern in literal(use, kind)]
        inside = [matches(pattern, name) for pattern in filters for name in names]
        around = [matches(one.pattern, place.ref.name) for one in definition.pipelines if one.section == "branches"]
        exact = place.ref if place.ref.exact or "DEDUP_KEY" in use.variables else None
        which = (id(use), id(place.pipeline), place.environment, tuple(inside), tuple(around), exact)
        if which not in self._known:
            made = promise(use, place, definition)
            self._known[which] = self._of_told(use, place, made) if use.is_told else made
        return self._known[which]

    def _merged(self, use: Use, members: list[tuple[Place, Promise]]) -> Promise:
        """With `$…` in the key, where that differs."""
        place, made = members[0]
        if len({one.key for _, one in members}) == 1:
            return made
        return self._promise(use, replace(place, ref=replace(place.ref, exact=False)))

    def _of_told(self, use: Use, place: Place, made: Promise) -> Promise:
        """Nothing, where no condition is met by that end."""
        words = []
        for word, status in ((made.on_failure, ("FAILED",)), (made.on_success, SUCCESSES)):
            starts = any(starts_on(self.file, use.at.pipeline.pattern, place.pipeline, one) for one in status)
            words.append(word if starts else NOT_TOLD)
        return replace(made, on_failure=words[0], on_success=words[1])


SUCCESSES = ("SUCCESSFUL", "PASSED", "SUCCESS")  # which of them Bitbucket says is not known


def starts_on(file: File, pager: str, ended: Pipeline, status: str) -> bool:
    """Whether the end of a pipeline can start the custom pipeline `pager`."""
    return any(pager in started and meets(entry, ended, status) for entry, started in file.told_entries())


def meets(entry: Map, ended: Pipeline, status: str) -> bool:
    """Whether the end of a pipeline can meet the condition of an entry."""
    known = {STATUS: status, f"{SELECTOR}TYPE": ended.section}
    if ended.section != "default":
        known[f"{SELECTOR}PATTERN"] = ended.pattern
    return may_hold(text_of(entry.get("condition")), known)


def literal(use: Use, name: str) -> list[str]:
    """The patterns of a filter, as far as they stand in the file."""
    return [word for text in texts_of(use.variables.get(name)) for word in text.split() if "$" not in word]


def _words(dedup_key: str) -> list[str]:
    """Those that could be a branch: whether its name stands in a DEDUP_KEY decides."""
    return re.findall(r"\w+", re.sub(r"\$\{?\w+\}?", " ", dedup_key))


def filtered(made: Promise) -> bool:
    return made.sends_nothing and (made.on_failure.endswith(FILTERS) or made.on_success.endswith(FILTERS))


def _refs(places: list[Place], others: list[Place]) -> str:
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
