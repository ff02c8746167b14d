"""The project's own pipeline file, and every example of its pages that holds the pipe, have no findings."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pipe.check import report
from pipe.check.rule import RULES
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = [
    (f"{page.name}, example {number}", text)
    for page in PAGES
    for number, text in enumerate(re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.M | re.S), 1)
    if re.search(r"^pipelines:", text, re.M) and "pagerduty-events" in text
]


@pytest.mark.parametrize(
    "text",
    [*(text for _, text in EXAMPLES), (ROOT / "bitbucket-pipelines.yml").read_text()],
    ids=[*(name for name, _ in EXAMPLES), "our own"],
)
def test_it_has_no_findings(text):
    assert [
        (one.line, one.code, one.what) for one in report(Path("bitbucket-pipelines.yml"), text.encode()).findings
    ] == []


def test_the_page_about_the_findings_has_every_code_with_its_reason_and_what_to_write():
    """`CHECK_FILES=write` writes that part of the page anew."""
    page = ROOT / "docs" / "check.md"
    head, title, _ = page.read_text().partition("## Findings\n")
    findings = "".join(f"\n### {rule.code}\n\n{rule.why}\n\n```yaml\n{rule.write}\n```\n" for rule in RULES)
    if os.environ.get("CHECK_FILES") == "write":
        page.write_text(head + title + findings)
    assert page.read_text() == head + title + findings
