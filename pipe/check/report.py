"""What was found, for people, for programs (JSON), and for tools that collect findings (SARIF)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pipe import VERSION
from pipe.check.model import File
from pipe.check.promise import PAGES, WARNING
from pipe.check.rule import RULES, Finding
from pipe.check.table import Row
from pipe.definition import Pipeline
from pipe.lib.text import one_line

HEAD = ("step", "on failure", "on success", "dedup key")
MAX_STEP_WIDTH = 60  # characters
MAX_LINE = 400  # characters
SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
KEYS = "Each key begins with `bitbucket:<workspace>/<repository>:`{}."
GIVEN_KEYS = "; a DEDUP_KEY stands as it is"
LINE = "$LINE is the tag up to where its version begins."
BOLD, YELLOW, GREEN, FAINT, PLAIN = "\x1b[1m", "\x1b[33m", "\x1b[32m", "\x1b[2m", "\x1b[0m"


@dataclass(frozen=True)
class Report:
    file: File
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]

    def as_json(self) -> str:
        return json.dumps({"file": str(self.file.path), "table": self._table(), "findings": self._findings()}, indent=2)

    def as_sarif(self) -> str:
        """SARIF 2.1.0, as far as a list of findings needs it."""
        driver = {
            "name": "pagerduty-events check",
            "version": VERSION,
            "rules": [{"id": rule.code, "shortDescription": {"text": rule.why}} for rule in RULES],
        }
        results = [_result(str(self.file.path), finding) for finding in self.findings]
        return json.dumps(
            {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]},
            indent=2,
        )

    def as_text(self, *, colours: bool = False) -> str:
        text = "\n".join((*self._lines_of_table(), *self._lines_of_findings(), ""))
        return text if colours else _without_colours(text)

    def _table(self) -> list[dict[str, str | int]]:
        return [
            {
                "pipeline": row.pipeline,
                "refs": row.refs,
                "step": row.step,
                "line": row.line,
                "on_failure": row.promise.shown[0],
                "on_success": row.promise.shown[1],
                "dedup_key": _key(row),
                "why_by_hand": "" if row.promise.withheld else row.promise.by_hand,
            }
            for row in self.rows
        ]

    def _findings(self) -> list[dict[str, str | int]]:
        return [vars(one) for one in self.findings]

    def _lines_of_table(self) -> Iterator[str]:
        if not self.file.uses:  # a finding says why, or all is imported
            yield from () if self.findings else (f"{self.file.path}: no step that is seen here uses this pipe.", "")
            return
        cells = [_cells(row) for row in self.rows]
        widths = [max(map(len, column)) for column in zip(HEAD, *cells, strict=True)]
        yield f"{FAINT}  {_padded(HEAD, widths)}{PLAIN}"
        by_pipeline = {label: list(rows) for label, rows in groupby(self.rows, key=lambda row: row.pipeline)}
        for pipeline in self.file.definition.pipelines:
            rows = by_pipeline.get(pipeline.label, [])
            yield f"{BOLD}{pipeline.label}{PLAIN}{'' if rows else self._why_no_rows(pipeline)}"
            yield from dict.fromkeys(_coloured(row, _padded(_cells(row), widths)) for row in rows)
            if rows and (quiet := self._quiet(pipeline.label)):
                yield f"{FAINT}  no page for: {', '.join(quiet)}{PLAIN}"
        yield ""
        given = any(row.use.item.dedup_key and _key(row) for row in self.rows)
        yield KEYS.format(GIVEN_KEYS if given else "") + (
            f" {LINE}" if any("$LINE" in row.promise.key for row in self.rows) else ""
        )
        yield ""

    def _why_no_rows(self, pipeline: Pipeline) -> str:
        if any(use.is_told for use in self.file.uses_of(pipeline)):
            return ": pages for pipelines that end"
        return ": imported, not seen here" if pipeline.imported else ": nobody is paged"

    def _quiet(self, label: str) -> list[str]:
        """Steps without the pipe, where nothing speaks for the whole pipeline."""
        rows = [row for row in self.rows if row.pipeline == label]
        if any(not row.use.is_by_exit_code for row in rows):
            return []
        steps = [step for step in self.file.steps if step.pipeline.label == label]
        return [step.name for step in steps if not step.step.items]

    def _lines_of_findings(self) -> Iterator[str]:
        for one in self.findings:
            yield f"{BOLD}{self.file.path}:{one.line}{PLAIN}: {YELLOW}{one.code}{PLAIN}"
            yield f"  {_shown(one.what)}"
            yield f"  {one.why}"
            yield "  Write:"
            yield from (f"      {line}".rstrip() for line in one.write.splitlines())
            yield ""
        count = len(self.findings)
        yield f"{count} finding{'s' * (count != 1)}." if count else f"{GREEN}No findings.{PLAIN}"


def _cells(row: Row) -> tuple[str, str, str, str]:
    step = f"{row.step} {row.refs}" if row.refs else row.step
    return one_line(step, MAX_STEP_WIDTH), *row.promise.shown, _shown(_key(row))


def _key(row: Row) -> str:
    return "" if row.promise.withheld else row.promise.key


def _padded(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _coloured(row: Row, line: str) -> str:
    on_failure, on_success = row.promise.shown
    fine = on_failure == PAGES and on_success.startswith("resolves")
    doubtful = row.promise.by_hand or row.promise.withheld or WARNING in (on_failure, on_success)
    return f"  {YELLOW if doubtful else GREEN if fine else FAINT}{line}{PLAIN}"


def _shown(text: str) -> str:
    return one_line(text, MAX_LINE)


def _without_colours(text: str) -> str:
    for colour in (BOLD, YELLOW, GREEN, FAINT, PLAIN):
        text = text.replace(colour, "")
    return text


def _result(path: str, finding: Finding) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": path}, "region": {"startLine": finding.line}}
    message = f"{finding.what} {finding.why} Write:\n{finding.write}"
    return {
        "ruleId": finding.code,
        "level": "warning",
        "message": {"text": message},
        "locations": [{"physicalLocation": place}],
    }
