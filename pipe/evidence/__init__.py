"""Evidence for the page: the commit, the failing tests, the log's tail. Each is optional, none may stop a page."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from pipe.build import Build
from pipe.interrupts import OutOfTime, at_most
from pipe.outcome import Outcome, Result
from pipe.variables import Settings

BUDGET = 2.0  # seconds for each kind of evidence
MOST_TESTS = 20  # failing tests that are named
TAIL_BYTES = 64 * 1024  # of a log, fetched by range


@dataclass(frozen=True)
class Evidence:
    """What the page tells beside the result; whatever is absent is empty."""

    commit_message: str = ""
    commit_author: str = ""
    failed_tests: tuple[str, ...] = ()
    failed_tests_total: int | None = None  # None where no report was read
    log_tail: str = ""
    warnings: tuple[str, ...] = ()


def gather(settings: Settings, build: Build, outcome: Outcome, log: Callable[[str], None]) -> Evidence:
    """What can be told within two seconds each. Where one fails, a warning names it and the rest goes on."""

    def commit(found: Evidence) -> Evidence:
        if not os.path.lexists(build.clone / ".git"):  # a step may do without a clone
            return found
        from pipe.evidence.commit import read_commit

        read = read_commit(build.clone, build.commit)
        return replace(found, commit_message=read.subject, commit_author=read.author)

    def tests(found: Evidence) -> Evidence:
        from pipe.evidence.reports import failing_tests

        ends = time.monotonic() + 0.9 * BUDGET  # so that what was read by then is kept
        read = failing_tests(build.clone, settings.test_reports or None, MOST_TESTS, ends, settings.mask.text)
        warnings = tuple(f"Test reports: {reason}." for reason in read.skipped)
        total = read.total if read.files else None
        return replace(found, failed_tests=read.entries, failed_tests_total=total, warnings=found.warnings + warnings)

    def log_tail(found: Evidence) -> Evidence:
        from pipe import bitbucket
        from pipe.evidence.log_tail import tail

        api = bitbucket.connect(settings, build, time.monotonic() + 0.9 * BUDGET, log)
        raw, cut = api.log_tail(build.pipeline_uuid, outcome.failed_step_uuid, TAIL_BYTES)
        return replace(found, log_tail=tail(raw, settings.log_lines, settings.mask.every, cut_in_front=cut))

    failed = outcome.result is Result.FAILED
    sources = [
        ("The commit", commit, bool(build.commit)),
        ("The test reports", tests, failed and settings.test_reports != ("none",)),
        ("The log's tail", log_tail, failed and settings.log_lines > 0 and bool(outcome.failed_step_uuid)),
    ]
    found = Evidence()
    for name, read, wanted in sources:
        try:
            with at_most(BUDGET):
                found = read(found) if wanted else found
        except OutOfTime:
            found = replace(found, warnings=(*found.warnings, f"{name} could not be read within {BUDGET:g} s."))
        except Exception as error:  # whatever it is, the page goes out
            reason = str(error) or type(error).__name__
            found = replace(found, warnings=(*found.warnings, f"{name} could not be read: {reason}."))
    return found
