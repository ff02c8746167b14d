"""Evidence for the page: the commit, the failing tests, the log's tail. Each is optional, none may stop a page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Evidence:
    commit_message: str = ""
    commit_author: str = ""
    failed_tests: tuple[str, ...] = ()
    failed_tests_total: int | None = None  # None where no report was read
    log_tail: str = ""
    warnings: tuple[str, ...] = ()


def gather(settings, build, outcome) -> Evidence:
    return Evidence()
