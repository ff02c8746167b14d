"""Who owns the key: whether this run's success proves that everything behind its alert is mended.

An exit code speaks for one step only; a pipeline's result speaks for all steps of its own pipeline. A step that could
open an alert with the same key is a *holder* (`definition.py`); a success owns the key where no other holder could
have opened it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pipe.build import Build
from pipe.definition import Definition, Holder, Step
from pipe.variables import Settings

WHAT_TO_WRITE = "Give each step an ALERT_NAME of its own, or report once, from a `final:` step."


@dataclass(frozen=True)
class Ownership:
    """Whether this run owns its key, and whom the file shows to hold it."""

    owns: bool = True
    why_not: str = ""  # one or two sentences: who else holds the key, and what to write
    sole: Step | None = None  # the only holder, where the file shows all of them
    step_name: str = ""  # the running step's name, where the file leaves no doubt which it is
    resolver: str = ""  # the step that resolves in its place (`EVENT_ACTION: resolve`)


def of_step(definition: Definition, build: Build, settings: Settings) -> Ownership:
    """Of a result that an exit code tells."""
    seen = _seen(definition, build, settings)
    holders, sole = seen.holders, seen.holders[0].step if seen.whole and len(seen.holders) == 1 else None
    names = {holder.step.name for holder in holders}
    name = names.pop() if seen.whole and len(names) == 1 else ""

    def no(why: str) -> Ownership:
        return Ownership(owns=False, why_not=why, sole=sole, step_name=name, resolver=seen.resolver)

    finals = [holder for holder in holders if holder.step.final]
    if finals:
        return no(f"A step's exit code cannot answer for a `final:` step with the same key: {_named(finals)}.")
    if several := _several_refs(build, settings, holders):
        return no(several)
    if settings.alert_name or build.environment:
        in_one = Counter(id(holder.pipeline) for holder in holders)
        crowded = [h for h in holders if in_one[id(h.pipeline)] * definition.times_run(h.pipeline) > 1]
        if crowded:
            return no(f"One pipeline pages more than once under this key: {_named(crowded)}. {WHAT_TO_WRITE}")
        others = [h for h in holders if settings.dedup_key and all(a.name != settings.alert_name for a in h.alerts)]
        if others:
            return no(f"Another alert has the same DEDUP_KEY: {_named(others)}. {WHAT_TO_WRITE}")
        return Ownership(sole=sole, step_name=name, resolver=seen.resolver)
    if not seen.whole:
        why = definition.unread or "bitbucket-pipelines.yml imports a pipeline that could page under this key"
        return no(
            f"Without ALERT_NAME it takes proof that no other step pages under this key, but {why}. Set ALERT_NAME."
        )
    if not holders:
        return no("bitbucket-pipelines.yml shows no step with this pipe and this key. Set ALERT_NAME.")
    if len(holders) > 1 or definition.times_run(holders[0].pipeline) > 1:
        return no(f"More than one step run pages under this key: {_named(holders)}. {WHAT_TO_WRITE}")
    return Ownership(sole=sole, step_name=name, resolver=seen.resolver)


def of_pipeline(
    definition: Definition, build: Build, settings: Settings, selector: tuple[str, str] = ("", "")
) -> Ownership:
    """Of a pipeline's own result; `selector` is what Bitbucket says started it (type and pattern), where known."""
    seen = _seen(definition, build, settings)
    own = definition.own(*selector)
    if not own and seen.holders:
        # The one that the ref selects goes before a custom one, which somebody has to start; but an imported one may be
        # ours as well.
        own = min(seen.holders, key=lambda holder: holder.pipeline.section == "custom").pipeline
        if own.section == "custom" and not seen.whole:
            own = None
    others = [holder for holder in seen.holders if holder.pipeline is not own]
    why = _several_refs(build, settings, seen.holders)
    if others:
        why = f"Another pipeline pages under this key too: {_named(others)}. Give each an ALERT_NAME of its own."
    return Ownership(owns=not why, why_not=why, resolver=seen.resolver)


@dataclass(frozen=True)
class _Seen:
    """The holders of a key, as far as the file shows them."""

    holders: tuple[Holder, ...]
    whole: bool  # whether the file shows all of them
    resolver: str  # the step beside them that says `EVENT_ACTION: resolve`


def _seen(definition: Definition, build: Build, settings: Settings) -> _Seen:
    with_key = definition.with_key(build, settings.alert_name, settings.dedup_key)
    holders = tuple(holder for holder in with_key if any(alert.opens for alert in holder.alerts))
    beside = {id(holder.pipeline) for holder in holders}
    resolvers = [
        holder.label
        for holder in with_key
        if id(holder.pipeline) in beside and any(alert.action == "resolve" for alert in holder.alerts)
    ]
    imported = any(pipeline.imported for pipeline in definition.possible(build))
    return _Seen(holders, not definition.unread and not imported, resolvers[0] if resolvers else "")


def _several_refs(build: Build, settings: Settings, holders: tuple[Holder, ...]) -> str:
    """Why a DEDUP_KEY that is the same on every ref cannot be resolved by a build of one; empty where it can."""
    if not settings.dedup_key or build.environment or build.tag:
        return ""
    fixed = [h for h in holders if any(alert.dedup_key == settings.dedup_key for alert in h.alerts)]
    shared = [h for h in fixed if not (h.pipeline.section == "branches" and h.pipeline.pattern == build.branch)]
    if not shared:
        return ""
    return f"The same DEDUP_KEY pages on other refs too: {_named(shared)}. Put $BITBUCKET_BRANCH into it."


def _named(holders: list[Holder] | tuple[Holder, ...]) -> str:
    labels = [holder.label for holder in holders]
    return ", ".join(labels[:5]) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")
