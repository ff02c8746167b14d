"""Evidence for the page: the commit and the failing tests, from the clone. Each is optional, none may stop a page."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pipe.lib.wall import Unread, ask_all

SECONDS = 2.0  # for each piece of evidence
SECONDS_WITHIN = 1.6  # after which the reader of the reports hands over what it has


class Evidence(NamedTuple):
    """What the page tells beside the result; whatever is not known is empty, or None."""

    commit_message: str = ""
    commit_author: str = ""
    failed_tests: tuple[str, ...] = ()  # `suite.case: what went wrong`, at most 20
    failed_tests_total: int | None = None
    tests_total: int | None = None  # all cases, skipped ones included
    log_tail: str = ""
    warnings: tuple[str, ...] = ()


def gather(
    *, clone: Path, commit: str, test_reports: tuple[str, ...], read_tests: bool, conceal: Callable[[str], str]
) -> Evidence:
    """What the clone tells, each piece within 2 s. Where one cannot be read, a warning says why and the rest goes on.

    `commit`: its hash or an unambiguous beginning, empty for none. `test_reports`: globs relative to the clone, empty
    for the folders where Bitbucket itself looks. `conceal` hides secrets; it sees every text before that is cut.
    """
    found = Evidence()
    questions: list[Callable[[], object]] = []
    takers = []
    if commit and os.path.lexists(clone / ".git"):  # a step may do without a clone
        questions.append(lambda: _commit(clone, commit, conceal))
        takers.append(_with_commit)
    if read_tests:
        questions.append(lambda: _tests(clone, test_reports, conceal))
        takers.append(_with_tests)
    for take, answer in zip(takers, ask_all(*questions, seconds=SECONDS), strict=True):
        found = take(found, answer)
    return found


def _commit(clone: Path, commit: str, conceal: Callable[[str], str]) -> tuple[str, str]:
    from .commit import read_commit  # brings dulwich along, and that only where it is needed

    return read_commit(clone, commit, conceal)


def _with_commit(found: Evidence, answer: Any) -> Evidence:
    if isinstance(answer, Unread):
        return _with_warning(found, f"The commit could not be read: {answer}.")
    subject, author = answer
    return found._replace(commit_message=subject, commit_author=author)


def _tests(clone: Path, patterns: tuple[str, ...], conceal: Callable[[str], str]) -> dict[str, Any]:
    from .reports import read_reports

    return read_reports(clone, patterns, SECONDS_WITHIN, conceal)


def _with_tests(found: Evidence, answer: Any) -> Evidence:
    if isinstance(answer, Unread):
        return _with_warning(found, f"The test reports could not be read: {answer}.")
    for note in answer["notes"]:
        found = _with_warning(found, f"Test reports: {note}.")
    return found._replace(
        failed_tests=tuple(answer["failed"]),
        failed_tests_total=answer["failed_total"],
        tests_total=answer["total"],
    )


def _with_warning(found: Evidence, warning: str) -> Evidence:
    return found._replace(warnings=(*found.warnings, warning))
