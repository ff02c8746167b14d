"""Every finding has a bad example, with exactly it on the line marked `# here`, and a fixed one, which has none."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipe.check import report
from pipe.check.rule import RULES

EXAMPLES = Path(__file__).parent / "examples"
CODES = [rule.code for rule in RULES]


def found(file: Path) -> list[tuple[int, str]]:
    return [(one.line, one.code) for one in report(file, file.read_bytes()).findings]


def test_every_code_has_its_examples_and_no_code_stands_twice():
    assert sorted(path.name for path in EXAMPLES.iterdir()) == sorted(set(CODES))
    assert len(CODES) == len(set(CODES))


@pytest.mark.parametrize("code", CODES)
def test_the_bad_example_has_exactly_its_finding(code):
    (file,) = [path for path in (EXAMPLES / code).iterdir() if path.name != "fixed.yml"]
    (line,) = [number for number, text in enumerate(file.read_text().splitlines(), 1) if text.endswith("# here")]
    assert found(file) == [(line, code)]


@pytest.mark.parametrize("code", CODES)
def test_the_fixed_example_has_none(code):
    assert found(EXAMPLES / code / "fixed.yml") == []


@pytest.mark.parametrize("rule", RULES, ids=CODES)
def test_what_is_to_be_written_is_yaml(rule):
    yaml.safe_load(rule.write.replace("…/", "acme/").replace(":…", ":1"))
