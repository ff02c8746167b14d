"""Every finding has bad examples, each with exactly it on the line marked `# here`, and a fixed one beside each."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipe.check import report
from pipe.check.rule import RULES

EXAMPLES = Path(__file__).parent / "examples"
CODES = [rule.code for rule in RULES]
CASES = sorted(path.parent for path in EXAMPLES.rglob("fixed.yml"))


def found(file: Path) -> list[tuple[int, str]]:
    return [(one.line, one.code) for one in report(file, file.read_bytes()).findings]


def name(case: Path) -> str:
    return str(case.relative_to(EXAMPLES))


def test_every_code_has_its_examples_and_no_code_stands_twice():
    assert sorted(path.name for path in EXAMPLES.iterdir()) == sorted(set(CODES))
    assert len(CODES) == len(set(CODES))


@pytest.mark.parametrize("case", CASES, ids=name)
def test_the_bad_example_has_exactly_its_finding(case):
    (file,) = [path for path in case.iterdir() if path.name != "fixed.yml"]
    (line,) = [number for number, text in enumerate(file.read_text().splitlines(), 1) if text.endswith("# here")]
    assert found(file) == [(line, case.relative_to(EXAMPLES).parts[0])]


@pytest.mark.parametrize("case", CASES, ids=name)
def test_the_fixed_example_has_none(case):
    assert found(case / "fixed.yml") == []


@pytest.mark.parametrize("rule", RULES, ids=CODES)
def test_what_is_to_be_written_is_yaml(rule):
    yaml.safe_load(rule.write.replace("…/", "acme/").replace(":…", ":1"))
