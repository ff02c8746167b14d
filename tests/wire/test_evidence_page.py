"""Evidence in the page, end to end: what a real process finds in a real clone, and that nothing of it stops the page."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest

from tests.conftest import KEY, MAIN

FAILS = {**MAIN, "EXIT_CODE": "2"}


def report(*cases: str) -> str:
    return f'<testsuites><testsuite name="s">{"".join(cases)}</testsuite></testsuites>'


def failing(name: str, message: str = "assert 3 == 4") -> str:
    return (
        f'<testcase classname="tests.test_cart" name="{name}"><failure message="{message}">trace</failure></testcase>'
    )


PASSING = '<testcase classname="tests.test_cart" name="test_ok"/>'


@pytest.fixture
def commit(pipe) -> str:
    """A commit in the pipe's clone; its hash."""
    if not shutil.which("git"):
        pytest.skip("git, which makes the repository, is not on this machine")

    def git(*words: str) -> str:
        who = ["-c", "user.name=Ada Lovelace", "-c", "user.email=ada@example.org"]
        return subprocess.run(["git", *who, *words], cwd=pipe.clone, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "Count the cart's items again\n\nThey were wrong.")
    return git("rev-parse", "HEAD").strip()


def reports(pipe, text: str, folder: str = "test-results") -> None:
    (pipe.clone / folder).mkdir(parents=True, exist_ok=True)
    (pipe.clone / folder / "junit.xml").write_text(text)


def test_a_page_names_the_failing_tests_and_whose_commit_it_was(pipe, received, commit):
    reports(pipe, report(PASSING, failing("test_count"), failing("test_sum", "1 != 2")))
    assert pipe({**FAILS, "BITBUCKET_COMMIT": commit}).status == 0
    assert received.details["failed_tests"] == [
        "tests.test_cart.test_count: assert 3 == 4",
        "tests.test_cart.test_sum: 1 != 2",
    ]
    assert received.details["failed_tests_total"] == 2
    assert received.details["commit_message"] == "Count the cart's items again"
    assert received.details["commit_author"] == "Ada Lovelace"
    assert "ada@example.org" not in str(received.only)


def test_a_resolve_names_the_commit_but_no_tests(pipe, received, commit):
    reports(pipe, report(failing("test_count")))
    pipe({**MAIN, "EXIT_CODE": "0", "BITBUCKET_COMMIT": commit})
    assert received.only["event_action"] == "resolve"
    assert received.details["commit_author"] == "Ada Lovelace"
    assert "failed_tests" not in received.details


def test_at_most_twenty_tests_are_named_and_all_are_counted(pipe, received):
    reports(pipe, report(*(failing(f"test_{n}") for n in range(500))))
    pipe(FAILS)
    assert len(received.details["failed_tests"]) == 20
    assert received.details["failed_tests_total"] == 500


@pytest.mark.parametrize(
    ("value", "folder", "total"),
    [("", "test-results", 1), ("out/**/*.xml", "out/a", 1), ("out/*.xml", "test-results", None), ("none", "test-results", None),
     ("../*.xml", "test-results", None)],
)  # fmt: skip
def test_where_reports_are_looked_for(pipe, received, value, folder, total):
    reports(pipe, report(failing("test_count")), folder)
    (pipe.clone.parent / "secret.xml").write_text(report(failing("secret")))
    assert pipe({**FAILS, "TEST_REPORTS": value}).status == 0
    assert received.details.get("failed_tests_total") == total


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<testsuites><testsuite", "broken XML"),
        ('<!DOCTYPE testsuites [<!ENTITY a SYSTEM "file:///etc/passwd">]><testsuites>&a;</testsuites>', "broken XML"),
        ("<coverage/>", "not a JUnit report"),
    ],
)
def test_a_report_that_cannot_be_read_is_named_in_a_warning_and_the_page_goes_out(pipe, received, text, says):
    reports(pipe, text)
    run = pipe({**FAILS, "TEST_REPORTS": "test-results/*.xml"})
    assert run.status == 0
    assert says in received.details["pipe_warnings"][0]
    assert "root:" not in str(received.only)
    assert f"WARNING: {received.details['pipe_warnings'][0]}" in run.log


def test_a_commit_that_is_not_in_the_clone_is_a_warning(pipe, received, commit):
    assert pipe({**FAILS, "BITBUCKET_COMMIT": "0" * 40}).status == 0
    assert received.details["pipe_warnings"] == ["The commit could not be read: not in this clone."]


def test_a_clone_that_is_none_is_no_reason_to_warn(pipe, received):
    pipe(FAILS)
    assert "pipe_warnings" not in received.details


def test_evidence_that_hangs_is_cut_off_and_the_page_goes_out(pipe, received):
    os.makedirs(pipe.clone / ".git/objects/info")
    os.mkfifo(pipe.clone / ".git/objects/info/alternates")  # opening it never ends
    started = time.monotonic()
    run = pipe({**FAILS, "BITBUCKET_COMMIT": "ab" * 20})
    assert run.status == 0
    assert time.monotonic() - started < 20
    assert received.details["pipe_warnings"] == ["The commit could not be read: no answer within 2 s."]


def test_a_rerun_says_so(pipe, received):
    run = pipe({**FAILS, "BITBUCKET_STEP_RUN_NUMBER": "2"})
    assert received.details["rerun"] == 2
    assert "run 2 of the step" in run.log


def test_a_secret_that_is_cut_in_a_test_s_name_stays_masked(pipe, received):
    reports(pipe, report(failing("test_" + "x" * 165 + KEY + "y" * 50)))
    pipe(FAILS)
    assert KEY[:8] not in received.details["failed_tests"][0]


def test_secrets_in_the_commit_or_a_test_are_masked(pipe, received):
    token = "ATCTT3xFfGN0-a-token"
    reports(pipe, report(failing("test_count", f"got {token}")))
    pipe({**FAILS, "BITBUCKET_ACCESS_TOKEN": token})
    assert received.details["failed_tests"] == ["tests.test_cart.test_count: got ****"]
