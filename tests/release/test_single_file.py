"""The single file: run by another's Python, from a foreign folder, and where the system offers less."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sandbox import Sandbox
from tests.conftest import KEY, MAIN, ONE_STEP, ROOT, Run

BUILD = {**MAIN, "INTEGRATION_KEY": KEY, "TIMEOUT": "20", "PATH": "/usr/bin:/bin"}


@pytest.fixture(scope="session")
def archive(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("single") / "pagerduty-events.pyz"
    run = subprocess.run([sys.executable, ROOT / "image/zipapp.py", made], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return made


@pytest.fixture
def run(archive, tmp_path):
    (tmp_path / "bitbucket-pipelines.yml").write_text(ONE_STEP)

    def run(environ: dict[str, str], *words: str, python: tuple[str | Path, ...] = (sys.executable,)) -> Run:
        made = subprocess.run(
            [*python, archive, *words], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60
        )
        assert KEY not in made.stdout + made.stderr
        assert "Traceback" not in made.stdout + made.stderr
        return Run(made.returncode, made.stdout, made.stderr)

    return run


def test_it_holds_the_lock_and_nothing_for_one_platform(archive):
    with zipfile.ZipFile(archive) as file:
        names = file.namelist()
    assert {name for name in names if not name.endswith((".py", ".pyc", ".pem")) and "dist-info" not in name} == {
        "LICENSE"
    }
    held = {tuple(name.split(".dist-info")[0].split("-")) for name in names if ".dist-info/METADATA" in name}
    locked = set(re.findall(r"(?m)^([\w-]+)==(\S+)", (ROOT / "requirements/image.txt").read_text()))
    plain = {(name.replace("-", "_"), version) for name, version in locked}
    assert {(name.lower(), version) for name, version in held} == plain - {
        ("charset_normalizer", dict(plain)["charset_normalizer"])
    }


def test_the_same_sources_make_the_same_file(archive, tmp_path):
    again = tmp_path / "again.pyz"
    subprocess.run([sys.executable, ROOT / "image/zipapp.py", again], check=True, capture_output=True)
    assert again.read_bytes() == archive.read_bytes()


def test_an_empty_environment_ends_in_one_clear_line(run):
    ended = run({})
    assert ended.status == 1
    assert [line for line in ended.red if "INTEGRATION_KEY: it is missing" in line] == ended.red


def test_a_step_breaks_and_is_fixed(run, tmp_path):
    git = ["git", "-c", "user.name=Ada Lovelace", "-c", "user.email=ada@example.org", "-C", str(tmp_path)]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "Count again"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / "test-results").mkdir()
    (tmp_path / "test-results/junit.xml").write_text(
        "<testsuite><testcase classname='cart' name='count'><failure message='3 is not 4'/></testcase></testsuite>"
    )
    with Sandbox() as sandbox:
        environ = {**BUILD, "EVENTS_URL": sandbox.url, "BITBUCKET_COMMIT": head, "BITBUCKET_CLONE_DIR": str(tmp_path)}
        for code in ("2", "0"):
            ended = run({**environ, "EXIT_CODE": code})
            assert ended.status == 0, ended.log
        (incident,) = sandbox.incidents()
    assert incident["status"] == "resolved"
    details = json.loads(sandbox.requests[0].body)["payload"]["custom_details"]
    assert details["failed_tests"] == ["cart.count: 3 is not 4"]
    assert (details["commit_message"], details["commit_author"]) == ("Count again", "Ada Lovelace")


def test_check(run, tmp_path):
    ended = run({}, "check")
    assert (ended.status, ended.stderr) == (0, "")
    assert "branch/main:step" in ended.stdout
    assert ended.stdout.endswith("\nNo findings.\n")
    (tmp_path / "bitbucket-pipelines.yml").unlink()
    assert run({}, "check").status == 2


def test_what_the_job_has_installed_and_in_its_folder_is_not_imported(run, tmp_path):
    for name in ("json", "requests", "yaml", "pipe", "signal"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the job')")
    ended = run(
        {**BUILD, "EXIT_CODE": "1", "DRY_RUN": "true", "PYTHONPATH": f"{tmp_path}{os.pathsep}."},
        python=(sys.executable, "-S"),
    )
    assert ended.status == 0, ended.log
    assert '"event_action": "trigger"' in ended.stdout


def test_it_verifies_certificates_by_the_system_s(run, tls):
    with Sandbox(tls=tls) as secure:
        environ = {**BUILD, "EXIT_CODE": "1", "TIMEOUT": "2", "EVENTS_URL": f"https://localhost:{secure.port}"}
        assert "certificate does not verify" in run(environ).log
        assert run({**environ, "SSL_CERT_FILE": str(tls[0])}).status == 0
        assert run({**environ, "REQUESTS_CA_BUNDLE": str(tls[0])}).status == 0


# A system without what POSIX has, and without a file of certificates: what stands in for Windows here.
WINDOWS = """
import os, runpy, select, signal, ssl, sys
for module, names in (
    (os, "fork forkpty waitpid wait getuid geteuid WIFSIGNALED WTERMSIG"),
    (signal, "pthread_sigmask pthread_kill sigpending sigwait setitimer SIGKILL SIGALRM SIGHUP SIGPIPE"),
    (select, "poll epoll"),
):
    for name in names.split():
        delattr(module, name)
for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None
isfile = os.path.isfile
os.path.isfile = lambda path: not str(path).startswith(("/etc/", "/usr/lib/ssl")) and isfile(path)
ssl.get_default_verify_paths = lambda: ssl.DefaultVerifyPaths(None, None, "", "", "", "")
sys.argv[:] = sys.argv[1:]
sys.path[0] = sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def windows(run, tmp_path):
    (tmp_path / "windows.py").write_text(WINDOWS)
    (tmp_path / "temporary").mkdir()
    return lambda environ, *words: run(
        {**environ, "TMPDIR": str(tmp_path / "temporary")}, *words, python=(sys.executable, tmp_path / "windows.py")
    )


def test_where_no_child_can_be_started_the_page_goes_out_without_what_it_would_have_read(windows, tmp_path):
    (tmp_path / "test-results").mkdir()
    (tmp_path / "test-results/junit.xml").write_text("<testsuite><testcase name='a'><failure/></testcase></testsuite>")
    with Sandbox() as sandbox:
        environ = {**BUILD, "EVENTS_URL": sandbox.url, "BITBUCKET_CLONE_DIR": str(tmp_path)}
        failed, passed = windows({**environ, "EXIT_CODE": "2"}), windows({**environ, "EXIT_CODE": "0"})
        (incident,) = sandbox.incidents()
    assert failed.status == 0, failed.log
    assert incident["timeline"][0]["summary"] == "acme/shop: build failed on main (#812, exit code 2)"
    assert "bitbucket-pipelines.yml could not be read (no process can be started)" in failed.log
    assert "Not resolving" in passed.log  # the file that is there cannot be read: doubt
    assert incident["status"] == "triggered"
    assert list((tmp_path / "temporary").iterdir()) == []  # the certificates were unpacked there


def test_without_a_file_of_certificates_it_trusts_certifi_s(windows, tls, tmp_path):
    with Sandbox(tls=tls) as secure:
        environ = {**BUILD, "EXIT_CODE": "1", "TIMEOUT": "2", "EVENTS_URL": f"https://localhost:{secure.port}"}
        ended = windows(environ)
        assert "certificate does not verify" in ended.log
        assert windows({**environ, "REQUESTS_CA_BUNDLE": str(tls[0])}).status == 0
    assert list((tmp_path / "temporary").iterdir()) == []


def test_check_says_where_it_cannot_work(windows):
    ended = windows({}, "check")
    assert (ended.status, ended.stderr) == (2, "bitbucket-pipelines.yml: no process can be started\n")


@pytest.mark.container
def test_another_python_runs_it_too(archive, tmp_path):
    """The runtime image's, for which the archive holds no bytecode, on a disk that takes nothing."""
    image = re.findall(r"^ARG RUNTIME=(.+)$", (ROOT / "Dockerfile").read_text(), re.M)[0]
    if (
        not shutil.which("docker")
        or subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode
    ):
        pytest.skip(f"{image} is not on this machine")
    shutil.copy(archive, tmp_path)
    command = ["docker", "run", "--rm", "--read-only", "--user", "0", "--volume", f"{tmp_path}:/there:ro", "--env", "DRY_RUN=true",
               "--env", "EXIT_CODE=1", "--entrypoint", "/usr/bin/python3.13", image, f"/there/{archive.name}"]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert '"event_action": "trigger"' in ended.stdout
