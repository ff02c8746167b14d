"""The page's title, PagerDuty's summary: what broke, where, and what says most about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipe.decision import Decision
from pipe.lib.text import one_line
from pipe.outcome import Result
from pipe.settings import Settings

if TYPE_CHECKING:
    from pipe.event import Story

MAX_ERROR_LENGTH = 60  # characters of Bitbucket's error message


def of_alert(settings: Settings, story: Story, decision: Decision) -> str:
    """`acme/shop: unit tests failed on main (#812, 37 of 300 tests failed; newer #813 passed)`."""
    failed = decision.action == "trigger" and story.outcome.result is Result.FAILED
    passed = "passed" if story.outcome.result is Result.SUCCESSFUL else "resolved"
    verb = {"trigger": "failed" if failed else "paged", "resolve": passed, "acknowledge": "acknowledged"}
    subject = _named(settings, story) or _failed_steps(story) or _pipeline(story)
    newer = f"newer {story.newer_passed} passed" if story.newer_passed and failed else ""
    figure = _figure(story, settings.mask.text) if failed else ""
    return sentence(story, f"{subject} {verb[decision.action]}", figure, newer)


def _named(settings: Settings, story: Story) -> str:
    """The check's own name, with the environment where a deployment's does not hold it."""
    name, environment = settings.alert_name, story.build.environment
    if not name or not story.subject.is_deployment or environment.lower() in name.lower():
        return name
    return f"{name} in {environment}"


def _failed_steps(story: Story) -> str:
    if not story.outcome.failed_steps:
        return ""
    first, *more = story.outcome.failed_steps
    of = f" of {story.subject.custom}" if story.subject.custom else ""
    return f'"{first}"' + (f" and {len(more)} more" if more else "") + of


def _pipeline(story: Story) -> str:
    """What speaks where nothing is named: a deployment, the step, a custom pipeline, one whose ref is not known, the
    build."""
    build = story.build
    if story.subject.is_deployment:
        return f"deployment to {build.environment}"
    if story.step_name:
        return f'"{story.step_name}"'
    unplaced = "" if build.ref_known else " ".join(filter(None, build.told.selector))
    named = story.subject.custom or unplaced
    return f"pipeline {named}" if named else "build"


def _figure(story: Story, conceal: Callable[[str], str]) -> str:
    """What says most about the failure: how many tests failed, Bitbucket's error, the exit code."""
    evidence = story.evidence
    if evidence.failed_tests_total and evidence.tests_total:
        return f"{evidence.failed_tests_total} of {evidence.tests_total} tests failed"
    if story.outcome.error:
        words = re.sub(r"^Container '[^']*' ", "", conceal(story.outcome.error)).rstrip(".")
        return one_line(words, MAX_ERROR_LENGTH)
    return f"exit code {story.outcome.exit_code}" if story.outcome.exit_code else ""


def of_unknown(settings: Settings, story: Story, decision: Decision) -> str:
    label = story.build.label or "the build"
    what = f"{settings.alert_name} of {label}" if settings.alert_name else label
    if decision.action == "resolve":
        return " ".join(f"{_repository(story)}: the result of {what} {story.build.place} is known".split())
    return " ".join(f"{_repository(story)}: cannot tell whether {what} {story.build.place} passed".split())


def sentence(story: Story, what: str, figure: str = "", newer: str = "") -> str:
    behind = "; ".join(filter(None, (", ".join(filter(None, (story.build.label, figure))), newer)))
    return " ".join(f"{_repository(story)}: {what} {story.build.place} {behind and f'({behind})'}".split())


def _repository(story: Story) -> str:
    return story.build.repository or "unknown repository"
