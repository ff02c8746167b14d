"""Runs all rules, and leaves out what a comment silences: `# pagerduty-events: ignore CODE` on the line or above it."""

from __future__ import annotations

import re

from pipe.check import rules
from pipe.check.model import File
from pipe.check.rule import RULES, Checked, Finding
from pipe.check.table import Row

__all__ = ["findings", "rules"]
_SILENCED = re.compile(r"#\s*pagerduty-events:\s*ignore\s+([\w-]+(?:[\s,]+[\w-]+)*)")


def findings(file: File, rows: tuple[Row, ...]) -> tuple[Finding, ...]:
    """In the order of the lines; one of each code for a line, which an anchor may lead to many times."""
    checked, lines = Checked(file, rows), file.text.splitlines()
    found: dict[tuple[int, str], Finding] = {}
    for rule in RULES:
        for line, what, write in rule.find(checked):
            if rule.code not in _silenced(lines, line):
                finding = Finding(rule.code, line, what, rule.why, write or rule.write)
                found.setdefault((line, rule.code), finding)
    return tuple(found[which] for which in sorted(found))


def _silenced(lines: list[str], line: int) -> set[str]:
    """The codes that a comment on this line or on the one above names."""
    near = lines[max(0, line - 2) : line]
    return {code for text in near for found in _SILENCED.finditer(text) for code in re.split(r"[\s,]+", found[1])}
