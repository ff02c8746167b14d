"""Runs all rules, and leaves out what a comment silences: `# pagerduty-events: ignore CODE` on the line or above it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from pipe.check.model import File
from pipe.check.rule import RULES, Checked, Finding, Found, rule
from pipe.check.rules import layout, paging, places, resolving, shell, variables
from pipe.check.table import Row

__all__ = ["findings", "layout", "paging", "places", "resolving", "shell", "variables"]
_COMMENT = re.compile(r"#\s*pagerduty-events:\s*ignore\b[ \t]*([\w-]*(?:[\s,]+[\w-]+)*)")


def findings(file: File, rows: tuple[Row, ...]) -> tuple[Finding, ...]:
    """In the order of the lines; one of each code for a line, which an anchor may lead to many times."""
    checked, lines = Checked(file, rows), file.text.splitlines()
    found: dict[tuple[int, str], Finding] = {}
    for one in RULES:
        for line, what, write in one.find(checked):
            if one.code not in _silenced(lines, line):
                found.setdefault((line, one.code), Finding(one.code, line, what, one.why, write or one.write))
    return tuple(found[which] for which in sorted(found))


def _silenced(lines: list[str], line: int) -> set[str]:
    """The codes that a comment on this line or on the one above names."""
    near = lines[max(0, line - 2) : line]
    return {code for text in near for found in _COMMENT.finditer(text) for code in re.split(r"[\s,]+", found[1])}


@rule("unknown-code", "The comment silences nothing.", "# pagerduty-events: ignore manual-gate")
def unknown_code(checked: Checked) -> Iterator[Found]:
    codes = [one.code for one in RULES]
    for number, text in enumerate(checked.file.text.splitlines(), 1):
        for found in _COMMENT.finditer(text):
            for word in _meant_as_codes(found[1]):
                if word not in codes:
                    near = next(iter(get_close_matches(word, codes, n=1)), "")
                    write = f"# pagerduty-events: ignore {near}" if near else "# docs/check.md has all codes"
                    yield Found(number, f"`{word}` is no code of a finding." if word else "It names no code.", write)


def _meant_as_codes(words: str) -> Iterator[str]:
    """The first one, and what stands behind a comma or has a hyphen; the rest says why."""
    first, *others = re.split(r"([\s,]+)", words)
    yield first
    for between, word in zip(others[::2], others[1::2], strict=True):
        if "," in between or "-" in word:
            yield word
