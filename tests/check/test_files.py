"""Files of real size and shape: no crash, each under a second, and the report as it was reviewed by hand.

CHECK_FILES=write .venv/bin/python -m pytest tests/check/test_files.py    writes the expected outputs anew
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pipe.check import report
from pipe.definition_file import parse

FOLDER = Path(__file__).parent / "files"
FILES = sorted(FOLDER.glob("*.yml"))
MAX_SECONDS = 1.0  # of one processor
MAX_TIMES = 8  # as long as the run's own reader, which takes a sixth of a second for 2,000 lines


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_report_is_the_one_that_was_reviewed(file):
    started = time.process_time()
    definition = parse(file.read_bytes())
    reading = time.process_time() - started
    made = report(Path("bitbucket-pipelines.yml"), file.read_bytes())
    found = made.as_text()
    seconds = time.process_time() - started - reading
    assert made.file.definition == definition
    expected = file.with_suffix(".txt")
    if os.environ.get("CHECK_FILES") == "write":
        expected.write_text(found)
    assert found == expected.read_text()
    assert seconds < max(MAX_SECONDS, MAX_TIMES * reading)  # on a busy machine both take longer


def test_there_are_at_least_twenty_and_one_has_2000_lines():
    assert len(FILES) >= 20
    assert max(len(file.read_text().splitlines()) for file in FILES) >= 2000
