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


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_report_is_the_one_that_was_reviewed(file):
    seconds = MAX_SECONDS
    for _ in range(3):  # the machine may be busy
        started = time.process_time()
        made = report(Path("bitbucket-pipelines.yml"), file.read_bytes())
        found = made.as_text()
        if (seconds := time.process_time() - started) < MAX_SECONDS:
            break
    assert made.file.definition == parse(file.read_bytes())
    expected = file.with_suffix(".txt")
    if os.environ.get("CHECK_FILES") == "write":
        expected.write_text(found)
    assert found == expected.read_text()
    assert seconds < MAX_SECONDS


def test_there_are_at_least_twenty_and_one_has_2000_lines():
    assert len(FILES) >= 20
    assert max(len(file.read_text().splitlines()) for file in FILES) >= 2000
