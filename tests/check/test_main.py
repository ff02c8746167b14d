"""`python -m pipe check` as a process: what it prints, and its exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import tests.warm
from pipe.check import READING_TIME
from pipe.check.source import MAX_FILE_BYTES
from tests.conftest import ROOT

EXAMPLES = Path(__file__).parent / "examples"


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    with tests.warm.running(tmp_path_factory.mktemp("warm"), "pipe.check") as address:
        yield address


@pytest.fixture
def check(warm):
    """Runs the check in a folder, from stdin or in a process that need not import it first."""

    def check(folder: Path, *argv: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        if stdin is not None:
            return started_from_nothing(folder, *argv, stdin=stdin)
        process = tests.warm.Started(warm, folder, {}, "check", *argv)
        stdout, stderr = process.communicate(timeout=60)
        assert "Traceback" not in stderr
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    return check


def started_from_nothing(folder: Path, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    run = subprocess.run(
        [sys.executable, "-P", "-m", "pipe", "check", *argv],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        input=stdin,
    )
    assert "Traceback" not in run.stderr
    return run


@pytest.fixture
def write(tmp_path):
    def write(text: str | bytes, name: str = "bitbucket-pipelines.yml") -> Path:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path

    return write


FIXED = (EXAMPLES / "by-hand" / "no-names" / "fixed.yml").read_text()
BAD = (EXAMPLES / "by-hand" / "no-names" / "bad.yml").read_text()


def test_without_findings_it_exits_0_and_with_some_1(check, write):
    run = check(write(FIXED))
    assert (run.returncode, run.stderr) == (0, "")
    assert "Unit tests  pages       resolves    branch/main:step/unit tests" in run.stdout
    assert run.stdout.endswith("No findings.\n")
    run = check(write(BAD))
    assert run.returncode == 1
    assert "bitbucket-pipelines.yml:9: by-hand" in run.stdout
    assert "\x1b" not in run.stdout


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pipelines:\n  default:\n    - step: {name: a\n", "bitbucket-pipelines.yml:4:1: not valid YAML: "),
        ("pipelines:\n\tdefault: []\n", "bitbucket-pipelines.yml:2:1: not valid YAML: "),
        ("pipelines:\n  default: *nothing\n", "bitbucket-pipelines.yml:2:12: not valid YAML: found undefined alias"),
        ("pipelines: &a\n  default: [*a]\n", "bitbucket-pipelines.yml:1:12: not valid YAML: "),
        ("image: python\n", "bitbucket-pipelines.yml:1:1: no `pipelines:`"),
        ("- step\n", "bitbucket-pipelines.yml:1:1: no `pipelines:`"),
        ("", "bitbucket-pipelines.yml:1:1: no `pipelines:`"),
        ("pipelines:\n", "bitbucket-pipelines.yml:1:1: no `pipelines:`"),
        (b"\xff\xfe\x00", "bitbucket-pipelines.yml:1:1: no `pipelines:`"),
        ("pipelines: {default: " + "[" * 700, "bitbucket-pipelines.yml: nested too deep"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_one_line_with_its_place(check, write, text, expected):
    run = check(write(text))
    assert run.returncode == 2
    assert run.stderr.startswith(expected)
    assert run.stderr.count("\n") == 1
    assert run.stdout == ""


def test_no_file(check, tmp_path):
    run = check(tmp_path)
    assert run.returncode == 2
    assert run.stderr.startswith(f"bitbucket-pipelines.yml: there is none in {tmp_path}. ")
    assert 'docker run --rm -v "$PWD:/repo:ro" -w /repo IMAGE check\n' in run.stderr
    run = check(tmp_path, "other.yml")
    assert (run.returncode, run.stderr) == (2, "other.yml: No such file or directory\n")


def test_from_stdin(check, tmp_path):
    run = check(tmp_path, "-", stdin=BAD)
    assert run.returncode == 1
    assert "bitbucket-pipelines.yml:9: by-hand" in run.stdout
    run = check(tmp_path, "-", stdin="")
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    run = check(tmp_path, "-", stdin=" " * (MAX_FILE_BYTES + 1))
    assert (run.returncode, run.stderr) == (2, "bitbucket-pipelines.yml: larger than 4 MiB\n")


def test_a_folder_and_the_name_that_bitbucket_does_not_read(check, write):
    folder = write(FIXED, "bitbucket-pipelines.yaml")
    for argv in ([], [str(folder)], ["bitbucket-pipelines.yaml"]):
        run = check(folder, *argv)
        assert run.returncode == 1
        assert "bitbucket-pipelines.yaml:1: file-name" in run.stdout


def test_json(check, write):
    run = check(write(BAD), "--format", "json")
    assert run.returncode == 1
    found = json.loads(run.stdout)
    assert found["file"] == "bitbucket-pipelines.yml"
    assert found["table"][0] == {
        "pipeline": "branches: main",
        "refs": "",
        "step": "Unit tests",
        "line": 9,
        "on_failure": "pages",
        "on_success": "by hand",
        "dedup_key": "branch/main:step",
        "why_by_hand": "Unit tests and Lint use the same key",
    }
    assert [(one["code"], one["line"]) for one in found["findings"]] == [("by-hand", 9)]
    assert set(found["findings"][0]) == {"code", "line", "what", "why", "write"}


def test_sarif(check, write):
    run = check(write(BAD), "--format", "sarif")
    (found,) = json.loads(run.stdout)["runs"]
    (result,) = found["results"]
    assert result["ruleId"] in {rule["id"] for rule in found["tool"]["driver"]["rules"]}
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "bitbucket-pipelines.yml"},
        "region": {"startLine": 9},
    }


def test_a_file_without_the_pipe(check, write):
    folder = write("image: node\npipelines: {default: [step: {script: [make]}]}")
    run = check(folder)
    assert run.returncode == 1
    assert run.stdout.startswith("bitbucket-pipelines.yml:2: no-pipe\n  No step uses this pipe, so it pages nobody.\n")
    assert run.stdout.count("No step") == run.stdout.count("nobody") == 1
    run = check(folder, "--format", "json")
    (found,) = json.loads(run.stdout)["findings"]
    assert (run.returncode, found["code"], found["line"]) == (1, "no-pipe", 2)
    run = check(folder, "--format", "sarif")
    (result,) = json.loads(run.stdout)["runs"][0]["results"]
    assert (run.returncode, result["ruleId"]) == (1, "no-pipe")
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 2}


def test_colours_where_they_are_asked_for(write, capsys):
    from pipe.check import main

    assert main([str(write(BAD))], colours=True) == 1
    assert "\x1b[33mby-hand\x1b[0m" in capsys.readouterr().out


def test_a_normal_run_does_not_import_it():
    code = "import sys, pipe.__main__; print([name for name in sys.modules if name.startswith('pipe.check')])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


WITH_LESS_TIME = """
import runpy, sys
from pipe import check
check.READING_TIME = 1.0
sys.argv = ["pipe", "check"]
runpy.run_module("pipe", run_name="__main__", alter_sys=True)
"""


def test_a_file_that_expands_without_end_ends_only_itself(write):
    levels = "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 30))
    run = subprocess.run(
        [sys.executable, "-P", "-c", WITH_LESS_TIME],
        cwd=write(f"a0: &a0 {{k: v}}\n{levels}{FIXED}"),
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert "Traceback" not in run.stderr
    assert "no answer within" in run.stderr or "too large" in run.stderr or "killed" in run.stderr
    assert READING_TIME <= 10  # seconds
