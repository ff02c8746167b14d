"""What the page tells beside the result, from the clone and, with a token, from Bitbucket's API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from pipe import evidence
from pipe.bitbucket import FailedTests, Unreadable
from pipe.build import Build
from pipe.evidence import Evidence
from pipe.inquiry import Answer
from pipe.outcome import Result
from pipe.settings import Settings

SECONDS = 2.0  # for each thing that Bitbucket's API is asked


class Source(Protocol):
    def failed_tests(self, pipeline_uuid: str, step_uuid: str) -> FailedTests: ...

    def log_tail(self, pipeline_uuid: str, step_uuid: str) -> tuple[bytes, bool]: ...


def gather(settings: Settings, build: Build, answer: Answer, connect: Callable[[float], Source]) -> Evidence:
    """`answer`: how it went; where Bitbucket's API told it, the tests and the commit come from there too."""
    outcome, run = answer.outcome, answer.run
    failed = outcome.result is Result.FAILED
    here = outcome.of_step or not outcome.told
    found = evidence.gather(
        clone=build.clone,
        commit=build.commit if here and not (run and run.commit_message) else "",
        test_reports=settings.test_reports,
        read_tests=failed and here and not run,
        conceal=settings.mask.text,
    )
    if run and run.commit_message:
        message, author = evidence.described_commit(run.commit_message, run.commit_author, settings.mask.text)
        found = replace(found, commit_message=message, commit_author=author)
    step = outcome.failed_step_uuid or (build.step_uuid if outcome.of_step else "")
    if not failed or not settings.has_token or not step:
        return _without_log(settings, found, failed=failed)
    pipeline = answer.about.pipeline_uuid
    if run and settings.test_reports != ("none",):
        found = _with_tests(settings, found, connect, pipeline, step)
    if settings.log_lines:
        found = _with_log(settings, found, connect, pipeline, step)
    return found


def _without_log(settings: Settings, found: Evidence, *, failed: bool) -> Evidence:
    if not (failed and settings.log_lines):
        return found
    why = "without a token there is no log" if not settings.has_token else "which step failed is not known"
    return replace(found, warnings=(*found.warnings, f"LOG_LINES does nothing here: {why}."))


def _with_tests(
    settings: Settings, found: Evidence, connect: Callable[[float], Source], pipeline: str, step: str
) -> Evidence:
    try:
        tests = connect(SECONDS).failed_tests(pipeline, step)
    except Unreadable as error:
        return replace(found, warnings=(*found.warnings, f"The test reports could not be read: {error.reason}."))
    entries = tuple(evidence.describe(*case, settings.mask.text) for case in tests.cases)
    return replace(found, failed_tests=entries, failed_tests_total=tests.failed, tests_total=tests.total)


def _with_log(
    settings: Settings, found: Evidence, connect: Callable[[float], Source], pipeline: str, step: str
) -> Evidence:
    try:
        raw, cut = connect(SECONDS).log_tail(pipeline, step)
        tail = evidence.tail(raw, settings.log_lines, settings.mask.text, cut_in_front=cut)
    except Unreadable as error:
        return replace(found, warnings=(*found.warnings, f"The log's tail could not be read: {error.reason}."))
    return replace(found, log_tail=tail)
