"""What must hold after every run of the pipe, and at the end of a history."""

from __future__ import annotations

import re
from collections import Counter

from tests.histories import limits
from tests.histories.pagerduty import Alert, PagerDuty
from tests.histories.pipelines_file import Pipeline
from tests.histories.sighting import Sighting
from tests.histories.truth import Truth, where, words


class Violation(AssertionError):
    """An invariant is broken; the message says which, and tells the story."""


def no_silent_failure(sighting: Sighting, truth: Truth, excepted: Counter[str]) -> None:
    """Whatever fails where the pipe stands (and is not filtered, ignored or stopped by a person) opens an alert, or meets
    an open one whose page named it."""
    if not sighting.failed or sighting.kept_out or not sighting.can_tell_something:
        return
    if not sighting.opened and not sighting.merged_into:
        if limits.a_stop_by_nobody_unseen(sighting):
            excepted["a_stop_by_nobody_unseen"] += 1
            return
        raise Violation(f"no silent failure: {sighting.label} saw a failure, and nobody was paged")
    for alert in sighting.merged_into:
        if not _named(alert, sighting, truth, excepted):
            raise Violation(
                f"no silent failure: {sighting.label} saw a failure that the open alert swallowed, and its page did not "
                f'name it ("{alert.resolves}", opened by {alert.opened_by.label})'
            )


def _named(alert: Alert, sighting: Sighting, truth: Truth, excepted: Counter[str]) -> bool:
    opener: Sighting = alert.opened_by
    if alert.by_hand and (alert.names_what_it_swallows or opener.said.is_unknown):
        return True
    if opener.said.is_unknown:
        return opener.where == sighting.where or sighting.where[0] == "tag"
    if sighting.of_step != opener.of_step:
        return False
    if sighting.of_step:
        if sighting.check == opener.check:
            return True
        if sighting.check and opener.check and limits.same_but_for_the_line_of_tags(sighting.check, opener.check):
            excepted["another_line_of_tags"] += 1
            return True
        return _excepted(excepted, limits.a_step_without_a_clone(truth, sighting, alert), "a_step_without_a_clone")
    if sighting.where != opener.where and sighting.where[0] == opener.where[0] == "tag":
        excepted["another_line_of_tags"] += 1
        return True
    another = limits.another_pipeline_of_this_branch(alert, sighting)
    excepted["another_pipeline_of_this_branch"] += another
    return another or (opener.about.pipeline is sighting.about.pipeline and opener.where == sighting.where)


def _excepted(excepted: Counter[str], is_one: bool, name: str) -> bool:
    excepted[name] += is_one
    return is_one


def no_false_resolve(sighting: Sighting, truth: Truth, excepted: Counter[str]) -> None:
    """At each resolve, everything that could have opened that alert ran green last."""
    for alert in sighting.closed:
        if alert.opened_by.said.is_unknown:
            continue  # it is about the pipe's sight, see `what_a_page_says_comes_true`
        red = words(truth.red_checks(alert.key))
        steps = ", ".join(f"{step.slot.label} in #{run.number}" for run, step in truth.red_steps(alert.key))
        if not red and not steps:
            continue
        limit = next((one for one in limits.FALSE_RESOLVES if one(truth, sighting, alert)), None)
        if not limit:
            raise Violation(
                f"no false resolve: {sighting.label} resolved {alert.key[1]}, but {'; '.join(filter(None, (red, steps)))} "
                "did not run green last"
            )
        excepted[limit.__name__] += 1


def what_a_page_says_comes_true(sighting: Sighting, before: Alert | None, truth: Truth, excepted: Counter[str]) -> None:
    """A page that says `by hand` is resolved by no build (but as it says itself, by the next known result of a pipeline),
    any other by the run it names, and by no earlier and no other one. `before`: the alert that was open under the key of
    this run."""
    for alert in sighting.closed:
        if not _is_named_as_resolving(alert, sighting, truth) and not any(
            one(truth, sighting, alert) for one in limits.FALSE_RESOLVES
        ):
            raise Violation(f'what a page says: "{alert.resolves}", but {sighting.label} resolved it')
    if not before or before in sighting.closed or not sighting.green or sighting.kept_out:
        return
    if before.opened_by.said.is_unknown or not _is_named_as_resolving(before, sighting, truth):
        return
    if truth.red_checks(before.key) or truth.red_steps(before.key):
        return
    if not sighting.of_step and (
        sighting.about.number < before.opened_by.about.number or _a_newer_build_failed(sighting, truth)
    ):
        return  # what ran again is older than a failure: the page names none of those
    if limits.a_step_without_a_clone(truth, sighting, before):
        excepted["a_step_without_a_clone"] += 1
        return
    doubtful = {
        "a_pipeline_broken_by_its_own_pager": limits.a_pipeline_broken_by_its_own_pager(truth, sighting),
        "namesakes_count_as_one": limits.namesakes_count_as_one(sighting),
        "an_unnamed_step_is_never_ignored": limits.an_unnamed_step_is_never_ignored(sighting),
        "another_pipeline_of_this_branch": limits.a_pipeline_of_this_branch_failed_untold(truth, sighting),
    }
    if any(doubtful.values()):
        excepted[next(name for name, is_so in doubtful.items() if is_so)] += 1
        return
    raise Violation(
        f'what a page says: "{before.resolves}" ({before.key[1]}), and {sighting.label} was that, but did not resolve it'
    )


def _a_newer_build_failed(sighting: Sighting, truth: Truth) -> bool:
    """A finished one; a still newer one that has not finished may have fixed it."""
    return any(
        run.result not in ("", "SUCCESSFUL")
        and not run.terminator
        and run.number > sighting.about.number
        and run.pipeline is sighting.about.pipeline
        and where(run.ref) == sighting.where
        for run in truth.bitbucket.runs
    )


def _is_named_as_resolving(alert: Alert, sighting: Sighting, truth: Truth) -> bool:
    opener: Sighting = alert.opened_by
    if alert.by_next_known_result:
        return (not sighting.of_step and sighting.where == opener.where) or sighting.where[0] == "tag"
    if alert.by_hand:
        return False
    if sighting.of_step or opener.of_step:
        return sighting.of_step and sighting.check == opener.check
    if limits.another_pipeline_of_this_branch(alert, sighting):
        return True
    if sighting.about.pipeline is not opener.about.pipeline or not _same_place(sighting, opener):
        return False
    _, _, ran = alert.resolves.partition(" in which ")
    return all(_ran_green(sighting, opener, name, truth) for name in re.findall(r'"([^"]*)"', ran))


def _same_place(one: Sighting, other: Sighting) -> bool:
    """Of tags, those of one line, as the page says."""

    def line(place: tuple[str, ...]) -> tuple[str, ...]:
        return (place[0], place[1].rstrip("0123456789")) if place[0] == "tag" else place

    return line(one.where) == line(other.where)


def _ran_green(sighting: Sighting, opener: Sighting, name: str, truth: Truth) -> bool:
    """In this build, or in one since the page that the pipe could not see."""
    since = [
        run
        for run in truth.bitbucket.runs
        if run.pipeline is opener.about.pipeline
        and where(run.ref) == opener.where
        and opener.about.number <= run.number <= sighting.about.number
    ]
    steps = [step for run in since for step in run.others if step.slot.step.name == name]
    return any(step.result == "SUCCESSFUL" for step in steps) or not steps


def liveness(
    pagerduty: PagerDuty, since: int, told_at: set[tuple[str, ...]], never_green: list[Pipeline], excepted: Counter[str]
) -> None:
    """After every check has then been green once, no alert is open but those whose page says `by hand`. `since`: the first run of
    the pipe of that time. `told_at`: where
    a pipeline's result was known since then. `never_green`: what a
    pager that cannot tell anything breaks by itself."""
    for alert in pagerduty.open.values():
        opener: Sighting = alert.opened_by
        if alert.by_hand and not (alert.by_next_known_result and opener.sight in told_at):
            continue
        if opener.about.pipeline in never_green:
            excepted["a_pipeline_that_is_never_green"] += 1
        elif opener.order >= since and opener.said.is_unknown:
            excepted["no_result_is_ever_known"] += 1
        elif limits.a_success_is_never_told(alert):
            excepted["a_success_is_never_told"] += 1
        elif alert.by_next_known_result and opener.sight not in told_at:
            excepted["no_result_is_ever_known"] += 1
        else:
            raise Violation(
                f"liveness: everything was green once more, and {alert.key[1]} is still open, of which its page said "
                f'"{alert.resolves}"'
            )
    for alert in pagerduty.without_key:
        if not alert.by_hand:
            raise Violation(f'liveness: an alert without a key says "{alert.resolves}"')
