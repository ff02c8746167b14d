"""Who owns a step's key: over random files, owned means that no other step's run can have this very key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings

from pipe import ownership, subject
from pipe.build import Build
from pipe.settings import Settings
from tests.conftest import MORE
from tests.histories.bitbucket import Ref, Run, StepRun
from tests.histories.pager import Place, environment
from tests.histories.pipelines_file import File, Pipeline, Slot
from tests.histories.strategies import files, starts
from tests.histories.truth import where


class StepsKey(NamedTuple):
    """The key that one step's run has, and whether its success would resolve it."""

    pipeline: Pipeline
    slot: Slot
    ref: Ref
    key: tuple[str, str]
    named: bool
    owned: bool

    def may_share_with(self, other: StepsKey) -> bool:
        """The same step; or the same name in another pipeline, which is the same check by definition; of tags, those of
        one line. Not the same step elsewhere."""
        if where(self.ref, self.slot.environment) != where(other.ref, other.slot.environment):
            return {self.ref.kind, other.ref.kind} == {"tag"} and not self.slot.environment
        if self.pipeline is other.pipeline:
            return self.slot.index == other.slot.index
        return self.named and other.named


def keys(file: File) -> Iterator[StepsKey]:
    """Of every step's run that the model can produce."""
    for number, (pipeline, ref) in enumerate(starts(file), 1):
        steps = [StepRun(slot, "{0}") for slot in pipeline.slots]
        run = Run(number, pipeline, ref, steps)
        for step in steps:
            pager = step.slot.step.after
            if not pager:
                continue
            environ = environment(Place(run, step, "after-script", pager, 1))
            given_settings, build = Settings.read(environ), Build.read(environ)
            about = subject.of_step(build, given_settings.alert_name, given_settings.dedup_key)
            owned = not ownership.of_step(file.definition, build, about).why_not
            named = bool(given_settings.alert_name or given_settings.dedup_key)
            yield StepsKey(pipeline, step.slot, ref, (given_settings.integration_key, about.key), named, owned)


@settings(max_examples=100 * MORE, deadline=None, suppress_health_check=list(HealthCheck))
@given(files())
def test_what_a_step_owns_no_other_step_can_open(file: File) -> None:
    found = list(keys(file))
    for one in found:
        if not one.owned or not one.slot.step.clone:
            continue
        for other in found:
            assert other.key != one.key or one.may_share_with(other), (
                f"{one.slot.label} of {one.pipeline.label} on {one.ref} owns {one.key[1]}, and {other.slot.label} of "
                f"{other.pipeline.label} on {other.ref} can open it\n\n{file.yaml}"
            )


@settings(max_examples=40 * MORE, deadline=None, suppress_health_check=list(HealthCheck))
@given(files())
def test_an_only_step_with_a_name_owns_its_key(file: File) -> None:
    """And not by owning nothing: a named step without a namesake in any pipeline owns its key."""
    for one in keys(file):
        pager, slots = one.slot.step.after, [slot for pipeline in file.pipelines for slot in pipeline.slots]
        named = pager and pager.alert_name
        others = [slot.step.after.alert_name for slot in slots if slot.step.after]
        namesakes = [name for name in others if named in (name, name.partition(" $")[0])]  # what comes may be empty
        if named and not pager.dedup_key and len(namesakes) == 1 and not one.slot.final:
            assert one.owned, f"{one.slot.label} of {one.pipeline.label} on {one.ref}\n\n{file.yaml}"
