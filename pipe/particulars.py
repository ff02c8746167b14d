"""What the page tells beside the result, from the clone and, with a token, from Bitbucket's API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipe import evidence
from pipe.build import Build
from pipe.evidence import Evidence
from pipe.evidence.commit import MAX_AUTHOR, MAX_SUBJECT
from pipe.evidence.log_tail import tail
from pipe.lib.text import masked_line
from pipe.lib.wall import Unread
from pipe.outcome import Answer, Result
from pipe.settings import Settings

if TYPE_CHECKING:
    from pipe.bitbucket import Connect

SECONDS = 2.0  # for each thing that Bitbucket's API is asked


def gather(settings: Settings, build: Build, answer: Answer, connect: Connect) -> Evidence:
    """`answer`: how it went; where Bitbucket's API told it, the tests and the commit come from there too."""
    outcome, run, conceal = answer.outcome, answer.run, settings.mask.text
    failed = outcome.result is Result.FAILED
    here = not outcome.of_another
    reads_tests = failed and settings.test_reports != ("none",)
    found = evidence.gather(
        clone=build.clone,
        commit=build.commit if here and not (run and run.commit_message) else "",
        test_reports=settings.test_reports,
        read_tests=reads_tests and here and not run,
        conceal=conceal,
    )
    if run and run.commit_message:
        subject = re.split(r"\n\s*\n", run.commit_message.strip(), maxsplit=1)[0]
        found = found._replace(
            commit_message=masked_line(subject, conceal, MAX_SUBJECT),
            commit_author=masked_line(run.commit_author, conceal, MAX_AUTHOR),
        )
    pipeline = answer.about.pipeline_uuid
    step = outcome.failed_step_uuid or (build.step_uuid if outcome.of_step else "")
    if reads_tests and run and step:
        found = _with_tests(settings, found, connect, pipeline, step)
    if failed and settings.log_lines:
        if not settings.has_token:
            return found.warned("LOG_LINES does nothing here: without a token there is no log.")
        if not step:
            return found.warned("LOG_LINES does nothing here: which step failed is not known.")
        found = _with_log(settings, found, connect, pipeline, step)
    return found


def _with_tests(settings: Settings, found: Evidence, connect: Connect, pipeline: str, step: str) -> Evidence:
    # Its patterns take a while to compile, and most runs come without a token.
    from pipe.evidence.failure import describe

    try:
        tests = connect(SECONDS).failed_tests(pipeline, step)
    except Unread as error:
        return found.warned(f"The test reports could not be read: {error}.")
    entries = tuple(describe(*case, conceal=settings.mask.text) for case in tests.cases)
    return found._replace(failed_tests=entries, failed_tests_total=tests.failed, tests_total=tests.total)


def _with_log(settings: Settings, found: Evidence, connect: Connect, pipeline: str, step: str) -> Evidence:
    try:
        raw, cut = connect(SECONDS).log_tail(pipeline, step)
    except Unread as error:
        return found.warned(f"The log's tail could not be read: {error}.")
    return found._replace(log_tail=tail(raw, settings.log_lines, settings.mask.text, cut_in_front=cut))
