"""What a clone tells, and that no clone costs more than time and a warning: its reader is behind the wall."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipe.evidence import Evidence, gather
from tests import hostile


def look(clone: Path, commit: str = hostile.COMMIT, *patterns: str, read_tests: bool = True) -> Evidence:
    return gather(clone=clone, commit=commit, test_reports=patterns, read_tests=read_tests, conceal=str)


def test_a_clone_without_git_and_reports_tells_nothing_and_that_is_no_reason_to_warn(tmp_path):
    assert look(tmp_path) == Evidence()


def test_no_process_is_started_for_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fork", None)
    assert look(tmp_path, read_tests=False) == Evidence()
    (tmp_path / ".git").mkdir()
    assert look(tmp_path, commit="", read_tests=False) == Evidence()


def test_tests_and_commit_are_told_independently(tmp_path):
    hostile.plain(tmp_path)
    (tmp_path / ".git").mkdir()
    assert look(tmp_path) == Evidence(
        failed_tests=(hostile.FAILED,), failed_tests_total=1, tests_total=1,
        warnings=("The commit could not be read: not in this clone.",),
    )  # fmt: skip
    assert look(tmp_path, "", "out/*.xml", "test-results/*") == Evidence(
        failed_tests=(hostile.FAILED,), failed_tests_total=1, tests_total=1,
        warnings=("Test reports: out/*.xml: no such file.",),
    )  # fmt: skip


def test_secrets_are_concealed_behind_the_wall(tmp_path):
    hostile.plain(tmp_path)
    found = gather(
        clone=tmp_path, commit="", test_reports=(), read_tests=True, conceal=lambda text: text.replace("count", "****")
    )
    assert found.failed_tests == ("tests.test_cart.test_****: assert 3 == 4",)


READ_BY_THE_CHILD = """
import sys
from pathlib import Path
from pipe.evidence import gather
found = gather(clone=Path(sys.argv[1]), commit="ab" * 20, test_reports=(), read_tests=True, conceal=str)
assert found.failed_tests and found.warnings
print(*(name for name in sys.modules if name.startswith(("dulwich", "xml", "pyexpat"))))
"""


def test_the_libraries_are_imported_in_the_child_alone(tmp_path):
    hostile.plain(tmp_path)
    (tmp_path / ".git").mkdir()
    run = subprocess.run(
        [sys.executable, "-c", READ_BY_THE_CHILD, tmp_path], capture_output=True, text=True, check=True
    )
    assert run.stdout == "\n"


NO_COMMIT = "The commit could not be read: "
NO_TESTS = "Test reports: test-results/junit.xml: "
READ_BEFORE = "; what stands before was read."
NO_TIME = "Test reports: the search: stopped for lack of time."
ANY_REASON = "(no time to read it to its end|too large|broken XML in line 1)"  # by the parser's release and the machine
# Quickly made ones; the others are for the image. Of each: whether the failing test is told, and the warnings.
HARM = {
    "delta_of_500_mb": (False, f"{NO_COMMIT}too large."),
    "chain_of_200_000_deltas": (False, f"{NO_COMMIT}too large."),
    "delta_of_itself": (False, f"{NO_COMMIT}not understood (UnresolvedDeltas)."),
    "truncated_pack": (False, f"{NO_COMMIT}not understood (ChecksumMismatch)."),
    "borrowing_in_a_circle": (False, f"{NO_COMMIT}not understood (RecursionError)."),
    "git_of_itself": (False, f"{NO_COMMIT}not understood (NotADirectoryError)."),
    "fifos": (False, f"{NO_COMMIT}no answer within 2 s."),
    "entity_bomb": (False, f"{NO_TESTS}REASON."),
    "entity_in_a_circle": (False, f"{NO_TESTS}broken XML in line 1."),
    "entity_from_outside": (True, f"{NO_TESTS}broken XML in line 1{READ_BEFORE}"),
    "report_without_an_end": (True, f"{NO_TESTS}REASON{READ_BEFORE}"),
    "nesting_without_an_end": (True, f"{NO_TESTS}REASON{READ_BEFORE}"),
    "names_without_an_end": (True, f"{NO_TESTS}REASON{READ_BEFORE}"),
    "report_of_1_gb_of_nothing": (False, f"{NO_TESTS}REASON."),
}


LOOK = """
import json, re, sys
from pathlib import Path
import pipe.evidence

def peak():  # KiB of memory that this process has had at most
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

pipe.evidence.SECONDS = float(sys.argv[3])
before = peak()
clone = Path(sys.argv[1])
found = pipe.evidence.gather(clone=clone, commit=sys.argv[2], test_reports=(), read_tests=True, conceal=str)
print(json.dumps([found._asdict(), peak() - before]))
"""


@pytest.mark.parametrize("harm", HARM)
def test_no_clone_costs_more_than_time_and_a_warning(tmp_path, harm):
    clone = tmp_path / "clone"
    clone.mkdir()
    hostile.ALL[harm](clone)
    # a busy machine shall not make "no answer" of the rest
    command = [sys.executable, "-c", LOOK, str(clone), hostile.COMMIT, "2" if harm == "fifos" else "20"]
    found, grown = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert grown < 2 * 1024
    told, warning = HARM[harm]
    warnings = found.pop("warnings")
    expected = Evidence(failed_tests=(hostile.FAILED,) if told else ())._asdict()
    del expected["warnings"]
    assert found == {**expected, "failed_tests": [*expected["failed_tests"]]}
    assert re.fullmatch(re.escape(warning).replace("REASON", ANY_REASON), warnings[0])
    assert warnings[1:] in ([], [NO_TIME])
    shutil.rmtree(tmp_path)


def test_ten_thousand_tests_in_20_mb_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("pipe.evidence.SECONDS", 20)  # in the image 2 are enough, here a tracer may be at work
    monkeypatch.setattr("pipe.evidence.SECONDS_WITHIN", 19)
    hostile.report_of_20_mb(tmp_path)
    assert (tmp_path / hostile.REPORT).stat().st_size > 20_000_000
    assert look(tmp_path) == Evidence(failed_tests=(hostile.FAILED,), failed_tests_total=1, tests_total=10_000)
    shutil.rmtree(tmp_path)
