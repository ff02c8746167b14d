"""Who owns the key: whether this run's success proves that everything behind its alert is mended.

An exit code speaks for one step only; a pipeline's result speaks for all steps of its own pipeline. A step that could
open an alert with the same key is a *holder* (`definition.py`); a success owns the key where no other holder could
have opened it.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipe.build import Build
from pipe.definition import Definition, Holder, Step
from pipe.variables import Settings

WHAT_TO_WRITE = "Give each step an ALERT_NAME of its own, or report once, from a `final:` step."


@dataclass(frozen=True)
class Ownership:
    owns: bool = True
    why_not: str = ""  # one or two sentences: who else holds the key, and what to write
    sole: Step | None = None  # the only holder, where the file shows all of them
    step_name: str = ""  # the running step's name, where the file leaves no doubt which it is
    resolver: str = ""  # the step that resolves in its place (`EVENT_ACTION: resolve`)


def of_step(definition: Definition, build: Build, settings: Settings) -> Ownership:
    """Of a result that an exit code tells."""
    holders, whole, resolver = _seen(definition, build, settings)
    sole = holders[0].step if whole and len(holders) == 1 else None
    names = {holder.step.name for holder in holders}
    name = names.pop() if whole and len(names) == 1 else ""

    def no(why: str) -> Ownership:
        return Ownership(owns=False, why_not=why, sole=sole, step_name=name, resolver=resolver)

    finals = [holder for holder in holders if holder.step.final]
    if finals:
        return no(f"A step's exit code cannot answer for a `final:` step with the same key: {_named(finals)}.")
    if settings.alert_name or build.environment:
        crowded = [h for h in holders if sum(other.pipeline == h.pipeline for other in holders) > 1]
        if crowded:
            return no(f"{len(crowded)} steps of one pipeline page under this key: {_named(crowded)}. {WHAT_TO_WRITE}")
        others = [h for h in holders if settings.dedup_key and all(a.name != settings.alert_name for a in h.alerts)]
        if others:
            return no(f"Another alert has the same DEDUP_KEY: {_named(others)}. {WHAT_TO_WRITE}")
        return Ownership(sole=sole, step_name=name, resolver=resolver)
    if not whole:
        why = definition.unread or "bitbucket-pipelines.yml imports a pipeline that could page under this key"
        return no(
            f"An alert without a name needs proof that no other step pages under its key, but {why}. Set ALERT_NAME."
        )
    if not holders:
        return no("bitbucket-pipelines.yml shows no step with this pipe and this key. Set ALERT_NAME.")
    if len(holders) > 1:
        return no(f"{len(holders)} steps page under this key: {_named(holders)}. {WHAT_TO_WRITE}")
    return Ownership(sole=sole, step_name=name, resolver=resolver)


def of_pipeline(
    definition: Definition, build: Build, settings: Settings, selector: tuple[str, str] = ("", "")
) -> Ownership:
    """Of a pipeline's own result; `selector` is what Bitbucket says started it (type and pattern), where known."""
    holders, _, resolver = _seen(definition, build, settings)
    own = definition.own(*selector)
    others = [holder for holder in holders if holder.pipeline != (own or holders[0].pipeline)]
    if others:
        labels = _named(others if own else holders)
        return Ownership(
            owns=False,
            why_not=f"Steps of another pipeline page under this key too: {labels}. "
            "Give each pipeline an ALERT_NAME of its own.",
            resolver=resolver,
        )
    return Ownership(resolver=resolver)


def _seen(definition: Definition, build: Build, settings: Settings) -> tuple[tuple[Holder, ...], bool, str]:
    """The holders, whether the file shows all of them, and the step that says `EVENT_ACTION: resolve`."""
    imported = any(pipeline.imported for pipeline in definition.possible(build, settings.dedup_key))
    holders = definition.holders(build, settings.alert_name, settings.dedup_key)
    resolvers = definition.resolvers(build, settings.alert_name, settings.dedup_key)
    return holders, not definition.unread and not imported, resolvers[0].label if resolvers else ""


def _named(holders: list[Holder] | tuple[Holder, ...]) -> str:
    labels = [holder.label for holder in holders]
    return ", ".join(labels[:5]) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")
