"""What the page tells beside the result, from the clone and, with a token, from Bitbucket's API."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from pipe import evidence
from pipe.bitbucket import FailedTests, Unreadable
from pipe.build import Build
from pipe.evidence import Evidence
from pipe.evidence.commit import MAX_AUTHOR, MAX_SUBJECT
from pipe.evidence.log_tail import tail
from pipe.inquiry import Answer
from pipe.lib.text import one_line
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
    reads_tests = settings.test_reports != ("none",)
    found = evidence.gather(
        clone=build.clone,
        commit=build.commit if here and not (run and run.commit_message) else "",
        test_reports=settings.test_reports,
        read_tests=failed and here and not run and reads_tests,
        conceal=settings.mask.text,
    )
    if run and run.commit_message:
        subject = re.split(r"\n\s*\n", run.commit_message.strip(), maxsplit=1)[0]
        found = found._replace(
            commit_message=one_line(settings.mask.text(one_line(subject, len(subject))), MAX_SUBJECT),
            commit_author=one_line(settings.mask.text(run.commit_author), MAX_AUTHOR),
        )
    step = outcome.failed_step_uuid or (build.step_uuid if outcome.of_step else "")
    if not failed or not settings.has_token or not step:
        return _without_log(settings, found, failed=failed)
    pipeline = answer.about.pipeline_uuid
    if run and reads_tests:
        found = _with_tests(settings, found, connect, pipeline, step)
    if settings.log_lines:
        found = _with_log(settings, found, connect, pipeline, step)
    return found


def _without_log(settings: Settings, found: Evidence, *, failed: bool) -> Evidence:
    if not (failed and settings.log_lines):
        return found
    why = "without a token there is no log" if not settings.has_token else "which step failed is not known"
    return found._replace(warnings=(*found.warnings, f"LOG_LINES does nothing here: {why}."))


def _with_tests(
    settings: Settings, found: Evidence, connect: Callable[[float], Source], pipeline: str, step: str
) -> Evidence:
    # Its patterns take a while to compile, and most runs come without a token.
    from pipe.evidence.failure import describe

    try:
        tests = connect(SECONDS).failed_tests(pipeline, step)
    except Unreadable as error:
        return found._replace(warnings=(*found.warnings, f"The test reports could not be read: {error.reason}."))
    entries = tuple(describe(*case, conceal=settings.mask.text) for case in tests.cases)
    return found._replace(failed_tests=entries, failed_tests_total=tests.failed, tests_total=tests.total)


def _with_log(
    settings: Settings, found: Evidence, connect: Callable[[float], Source], pipeline: str, step: str
) -> Evidence:
    try:
        raw, cut = connect(SECONDS).log_tail(pipeline, step)
        end = tail(raw, settings.log_lines, settings.mask.text, cut_in_front=cut)
    except Unreadable as error:
        return found._replace(warnings=(*found.warnings, f"The log's tail could not be read: {error.reason}."))
    return found._replace(log_tail=end)
