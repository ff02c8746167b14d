"""Evidence for the page: the commit and the failing tests, from the clone. Each is optional, none may stop a page."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

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

    def warned(self, *warnings: str) -> Evidence:
        return self._replace(warnings=(*self.warnings, *warnings))


def gather(
    *, clone: Path, commit: str, test_reports: tuple[str, ...], read_tests: bool, conceal: Callable[[str], str]
) -> Evidence:
    """What the clone tells, each piece within 2 s. Where one cannot be read, a warning says why and the rest goes on.

    `commit`: its hash or an unambiguous beginning, empty for none. `test_reports`: globs relative to the clone, empty
    for the folders where Bitbucket itself looks. `conceal` hides secrets; it sees every text before that is cut.
    """
    questions: dict[str, Callable[[], object]] = {}
    if commit and os.path.lexists(clone / ".git"):  # a step may do without a clone
        questions["commit"] = lambda: _commit(clone, commit, conceal)
    if read_tests:
        questions["test reports"] = lambda: _tests(clone, test_reports, conceal)
    found = Evidence()
    for what, answer in zip(questions, ask_all(*questions.values(), seconds=SECONDS), strict=True):
        if isinstance(answer, Unread):
            found = found.warned(f"The {what} could not be read: {answer}.")
        elif what == "commit":
            found = found._replace(commit_message=answer[0], commit_author=answer[1])
        else:
            failed, total = tuple(answer["failed"]), answer["failed_total"]
            found = found._replace(failed_tests=failed, failed_tests_total=total, tests_total=answer["total"])
            found = found.warned(*(f"Test reports: {note}." for note in answer["notes"]))
    return found


def _commit(clone: Path, commit: str, conceal: Callable[[str], str]) -> object:
    from .commit import read_commit  # brings dulwich along, and that only where it is needed

    return read_commit(clone, commit, conceal)


def _tests(clone: Path, patterns: tuple[str, ...], conceal: Callable[[str], str]) -> object:
    from .reports import read_reports

    return read_reports(clone, patterns, SECONDS_WITHIN, conceal)
