"""The only exceptions of the invariants: the limits that the design names, each with its sentence."""

from __future__ import annotations

from tests.histories.pagerduty import Alert
from tests.histories.sighting import Sighting
from tests.histories.truth import Check, Truth, failed_steps, where


def an_older_build_passes_late(truth: Truth, sighting: Sighting, alert: Alert) -> bool:
    """> An older build that passes late or is run again resolves a step's alert."""
    return sighting.of_step and not truth.red_steps(alert.key) and not truth.red_checks(alert.key, by_time=True)


def another_line_of_tags(truth: Truth, sighting: Sighting, alert: Alert) -> bool:
    """> An old line's release resolves a newer line's alert (`v1.9.5`, `v2.0.0`): put the line into ALERT_NAME"""
    red = [check.where for check in truth.red_checks(alert.key)]
    red += [where(run.ref) for run, _ in truth.red_steps(alert.key)]
    on_a_tag = sighting.where[0] == "tag"
    return on_a_tag and bool(red) and all(place[0] == "tag" and place != sighting.where for place in red)


def a_step_without_a_clone(truth: Truth, sighting: Sighting, alert: Alert) -> bool:
    """> A step without a clone cannot see that another has its name, nor that it stands in a `final:` step."""
    opener: Sighting | None = alert.opened_by
    return any(one and not one.place.step.slot.step.clone for one in (sighting, opener))


def build_status_at_its_word(truth: Truth, sighting: Sighting, alert: Alert) -> bool:
    """> BUILD_STATUS is taken at its word: no look at skipped steps or newer builds."""
    return sighting.goes_by_build_status


FALSE_RESOLVES = (
    an_older_build_passes_late,
    another_line_of_tags,
    a_step_without_a_clone,
    build_status_at_its_word,
)


def same_but_for_the_line_of_tags(one: Check, other: Check) -> bool:
    """> An old line's release resolves a newer line's alert (`v1.9.5`, `v2.0.0`): put the line into ALERT_NAME"""
    return (one.where[0], one.name, one.which) == (other.where[0], other.name, other.which) and one.where[0] == "tag"


def a_told_failure_in_an_after_script(sighting: Sighting) -> bool:
    """> The pager of a triggered pipeline belongs into `script`: in its after-script a told failure is reported in place
    > of the step's success."""
    return sighting.place.part == "after-script" and sighting.place.is_told


def a_success_is_never_told(alert: Alert) -> bool:
    """The file's own conditions: nobody is told of a success of this pipeline, so nobody can resolve its alert."""
    opener: Sighting = alert.opened_by
    run = opener.place.run
    if not run.about or opener.of_step:
        return False
    pattern = "" if run.about.pipeline.section == "default" else run.about.pipeline.pattern
    return not any(
        trigger.pipeline == run.pipeline.pattern and trigger.holds("SUCCESSFUL", run.about.pipeline.section, pattern)
        for trigger in opener.triggers
    )


def a_stop_by_nobody_unseen(sighting: Sighting) -> bool:
    """Not among the design's limits: a told STOPPED whose terminator cannot be looked up, without a token or an answer,
    is taken for a person's Stop; that a time-out may end as STOPPED is unknown [?]."""
    return sighting.place.is_told and not sighting.sees_the_api and sighting.place.run.about_status == "STOPPED"


def another_pipeline_of_this_branch(alert: Alert, sighting: Sighting) -> bool:
    """Not among the design's limits: an exact branch and a pattern that fits it have one key, and each page speaks only
    of its own pipeline. It is resolved when both are green."""
    opener: Sighting = alert.opened_by
    sections = (opener.about.pipeline.section, sighting.about.pipeline.section)
    if opener.of_step or sighting.of_step or opener.where != sighting.where or "custom" in sections:
        return False
    return opener.about.pipeline is not sighting.about.pipeline


def a_pipeline_broken_by_its_own_pager(truth: Truth, sighting: Sighting) -> bool:
    """Not among the design's limits: where the pipe cannot tell the result it exits 1, and the `final:` step breaks a
    pipeline whose other steps passed. To others that is a build that did not pass."""
    if sighting.of_step:
        return False
    return any(
        run.final and run.final.is_broken and not failed_steps(run)
        for run in truth.bitbucket.runs
        if where(run.ref) == sighting.where
    )


def namesakes_count_as_one(sighting: Sighting) -> bool:
    """> Steps are compared by trimmed name; namesakes, and those without a name, count as one. ("By the API")
    > `on-fail: ignore` ones left out, by the definition, by trimmed name, if every step of that name is so marked."""
    if sighting.of_step:
        return False
    names = [step.slot.step.name for step in sighting.about.steps]
    not_green = [step.slot.step.name for step in sighting.about.others if step.result != "SUCCESSFUL"]
    return any(names.count(name) > 1 for name in not_green)


def an_unnamed_step_is_never_ignored(sighting: Sighting) -> bool:
    """`step.name` is not in the specification of Bitbucket's answers: a step that comes without one is never taken for one
    that says `on-fail: ignore`, or a failure could be hidden behind it."""
    return not sighting.of_step and any(
        step.is_broken and not step.slot.step.name and step.slot.step.on_fail == "ignore"
        for step in sighting.about.others
    )


def a_pipeline_of_this_branch_failed_untold(truth: Truth, sighting: Sighting) -> bool:
    """The same hole: the other pipeline of the branch failed, and the file's conditions told nobody (`ERROR`)."""
    about = sighting.about
    return not sighting.of_step and any(
        run.result not in ("", "SUCCESSFUL")
        and run.pipeline is not about.pipeline
        and run.pipeline.section == "branches"
        for run in truth.bitbucket.runs
        if where(run.ref) == sighting.where
    )
