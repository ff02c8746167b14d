"""The image, run as Bitbucket runs it: the real container, the exit status of `docker run`, the bytes at the sandbox."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePath

import pytest

from pipe.settings import VARIABLES
from sandbox import Sandbox
from tests.bitbucket_api import BitbucketApi, step
from tests.conftest import KEY, MAIN, ROOT
from tests.container.running import CLONE, HARDENED, HOST, IMAGE, Container

docker = pytest.importorskip("docker")
TRIES = 3  # of what takes most of the time that it is given: a busy machine is no counterexample
pytestmark = pytest.mark.container

# Exactly what Bitbucket passes: the mapped variables, arrays as a count and items, unset ones as empty strings.
BITBUCKET = {
    **MAIN,
    **{
        variable.name: "" for variable in VARIABLES if variable.name not in ("INTEGRATION_KEY", "EVENTS_URL", "TIMEOUT")
    },
    "BITBUCKET_TAG": "",
    "BITBUCKET_PR_ID": "",
    "BITBUCKET_EXIT_CODE": "",
    "LINKS_COUNT": "2",
    "LINKS_0": "Runbook https://wiki.example/r",
    "LINKS_1": "https://wiki.example/s",
}


def test_a_build_breaks_and_is_fixed(container, sandbox):
    for code in ("2", "2", "0"):
        assert container({**BITBUCKET, "EXIT_CODE": code}).status == 0
    (incident,) = sandbox.incidents()
    assert incident["status"] == "resolved"
    assert [entry["action"] for entry in incident["timeline"]] == ["trigger", "trigger", "resolve"]
    assert [link["href"] for link in incident["timeline"][0]["links"]][:2] == [
        "https://wiki.example/r",
        "https://wiki.example/s",
    ]


def test_a_missing_exit_code_pages_a_warning(container, received):
    assert container(BITBUCKET).status == 1
    assert received.only["payload"]["severity"] == "warning"


def test_a_wrong_key_ends_in_advice(container, sandbox):
    sandbox.fail_next({"status": 400, "body": "Invalid routing key"})
    run = container({**BITBUCKET, "EXIT_CODE": "1"})
    assert run.status == 1
    assert "400 Invalid routing key" in run.log
    assert "REGION" in run.log


def test_an_unreachable_server_ends_in_the_whole_event(container):
    run = container({**BITBUCKET, "EXIT_CODE": "1", "EVENTS_URL": f"http://{HOST}:9", "TIMEOUT": "1"})
    assert run.status == 1
    assert json.loads(run.stderr.splitlines()[-1])["event_action"] == "trigger"
    assert (
        container(
            {
                **BITBUCKET,
                "EXIT_CODE": "1",
                "EVENTS_URL": f"http://{HOST}:9",
                "TIMEOUT": "1",
                "ON_ERROR": "warn",
            }
        ).status
        == 0
    )


def test_an_empty_environment_ends_in_one_clear_line(container):
    run = container({"INTEGRATION_KEY": "", "EVENTS_URL": "", "BITBUCKET_CLONE_DIR": "", "TIMEOUT": ""})
    assert run.status == 1
    (line,) = [line for line in run.log.splitlines() if line.startswith("✖")]
    assert "INTEGRATION_KEY: it is missing" in line


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGINT"])
def test_a_signal_while_it_waits_ends_it_within_a_second_with_the_event_printed(container, sandbox, signal):
    sandbox.fail_next({"status": 429, "headers": {"Retry-After": "60"}})
    running = container.start({**BITBUCKET, "EXIT_CODE": "1", "TIMEOUT": "90"})
    try:
        deadline = time.monotonic() + 30
        while not sandbox.requests and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        started = time.monotonic()
        running.kill(signal)
        status = running.wait(timeout=20)["StatusCode"]
        took = time.monotonic() - started
        printed = running.logs(stdout=False, stderr=True).decode().splitlines()[-1]
    finally:
        running.remove(force=True)
    assert status == {"SIGTERM": 143, "SIGINT": 130}[signal]
    assert took < 8
    assert json.loads(printed)["event_action"] == "trigger"


def test_it_runs_as_nobody_on_a_read_only_disk(container):
    probe = """
import os
print(os.getuid(), os.getgid())
for path in ("/x", "/tmp/x", "/opt/pipe/x", os.path.expanduser("~/x"), "x"):
    try: open(path, "w"); print("wrote", path)
    except OSError as error: pass
"""
    assert container.python(probe) == "65532 65532"
    assert container.client.images.get(IMAGE).attrs["Config"]["User"] in ("65532", "65532:65532")


@pytest.mark.parametrize("shell", ["/bin/sh", "sh", "/bin/bash", "/busybox/sh", "/usr/bin/pip", "pip"])
def test_there_is_no_shell_and_no_pip(container, shell):
    with pytest.raises(docker.errors.APIError):
        container({}, entrypoint=[shell])


@pytest.fixture(scope="module")
def members(client, image):
    """What the image's file system holds, as `docker export` writes it."""
    made = client.containers.create(IMAGE)
    try:
        exported = io.BytesIO(b"".join(made.export()))
    finally:
        made.remove(force=True)
    with tarfile.open(fileobj=exported) as files:
        return files.getmembers()


def test_it_holds_nothing_that_its_user_can_write(members):
    """But four empty folders of its base's; with `--read-only` not even those."""
    writable = {
        member.name
        for member in members
        if not member.issym() and (member.mode & 0o002 or member.uid == 65532 or member.gid == 65532)
    }
    assert writable == {"home/nonroot", "tmp", "var/lock", "var/tmp"}
    assert [one.name for one in members if one.name.startswith(tuple(f"{name}/" for name in writable))] == []
    assert [one.name for one in members if one.mode & 0o6000] == []  # none that runs as somebody else


def test_no_shell_and_no_installer_lies_anywhere_in_it(members):
    names = set(
        ["sh", "ash", "bash", "dash", "busybox", "pip", "pip3", "apt", "apt-get", "dpkg", "gcc", "git", "curl", "wget"]
    )
    assert [one.name for one in members if PurePath(one.name).name in names and not one.isdir()] == []


def test_there_are_no_build_tools_and_no_modules_that_the_pipe_does_without(container):
    probe = "import importlib.util as u; print([n for n in ('pip', 'setuptools', 'docker', 'git', 'pytest', 'flask', 'sandbox') if u.find_spec(n)])"
    assert container.python(probe) == "[]"


def test_what_lies_in_the_clone_is_neither_imported_nor_read(container, received):
    for name in ("json", "requests", "yaml", "pipe", "sitecustomize", "usercustomize", "bitbucket_pipes_toolkit"):
        (container.clone / f"{name}.py").write_text("raise SystemExit('imported from the clone')")
    (container.clone / "requests").mkdir()
    (container.clone / "requests" / "__init__.py").write_text("raise SystemExit('imported from the clone')")
    (container.clone / ".env").write_text("SEVERITY=critical\nEVENT_ACTION=resolve\n")
    (container.clone / ".netrc").write_text("machine host.docker.internal login a password b\n")
    (container.clone / "pyvenv.cfg").write_text("home = /nowhere\n")
    run = container({**BITBUCKET, "EXIT_CODE": "1"})
    assert run.status == 0, run.log
    assert received.only["payload"]["severity"] == "error"
    assert received.actions == ["trigger"]


def test_nothing_is_compiled_at_start(container):
    """The base comes without bytecode; what a run imports has to be in the image, compiled."""
    modules = "pipe.__main__, pipe.evidence.commit, pipe.evidence.reports, dulwich.object_store, dulwich.objects"
    probe = f"import {modules}, yaml, xml.parsers.expat, encodings.idna, encodings.utf_8_sig"
    run = container({}, entrypoint=["/usr/bin/python3.13", "-P", "-S", "-v", "-c", probe])
    assert run.status == 0
    assert [
        line for line in run.stderr.splitlines() if line.startswith("# code object from '") and line.endswith(".py'")
    ] == []
    assert "# code object from '/opt/pipe/pipe/__main__.pyc'" in run.stderr


def test_its_labels_say_what_it_is(image):
    labels = image.labels
    assert labels["org.opencontainers.image.title"]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.version"] == __import__("pipe").VERSION


def test_a_certificate_of_one_s_own_can_be_mapped(client, image, tmp_path, tls):
    clone = tmp_path / "clone"
    clone.mkdir(mode=0o755)
    (clone / "ca.pem").write_bytes(tls[0].read_bytes())
    with Sandbox(host="0.0.0.0", tls=tls) as secure:
        container = Container(client, clone, secure.port)
        environ = {**BITBUCKET, "EXIT_CODE": "1", "EVENTS_URL": f"https://{HOST}:{secure.port}"}
        run = container({**environ, "TIMEOUT": "2"})
        assert run.status == 1
        assert "certificate does not verify" in run.log
        assert container({**environ, "REQUESTS_CA_BUNDLE": f"{CLONE}/ca.pem"}).status == 0


def test_the_readme_s_local_run(sandbox, image, received):
    command = ["docker", "run", "--rm", "--network", "host", "--env-file", str(ROOT / "sandbox/failing-build.env"),
               "--env", f"INTEGRATION_KEY={KEY}", "--env", f"EVENTS_URL={sandbox.url}", IMAGE]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert received.only["payload"]["summary"] == "acme/shop: unit tests failed on main (#812, exit code 2)"


def test_a_report_of_20_mb_and_a_packed_commit_are_read_within_64_mib(container, received):
    git = ["git", "-c", "user.name=Ada Lovelace", "-c", "user.email=ada@example.org", "-C", str(container.clone)]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "Count again"], ["gc", "-q"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    case = '<testcase classname="tests.test_cart" name="test_{}"><system-out>{}</system-out>{}</testcase>'
    cases = (case.format(n, "x" * 1900, '<failure message="no"/>' if n in (3, 9999) else "") for n in range(10_000))
    (container.clone / "test-results").mkdir()
    (container.clone / "test-results" / "junit.xml").write_text(f"<testsuite>{''.join(cases)}</testsuite>")
    failed = ["tests.test_cart.test_3: no", "tests.test_cart.test_9999: no"]
    for _ in range(TRIES):
        run = container({**BITBUCKET, "EXIT_CODE": "1", "BITBUCKET_COMMIT": head})
        assert run.status == 0, run.log
        details = received.events[-1]["payload"]["custom_details"]
        if (details.get("failed_tests"), details.get("commit_message")) == (failed, "Count again"):
            break
    assert (details["failed_tests"], details["commit_message"]) == (failed, "Count again")


def docker_run(container, environ, *, both: bool) -> tuple[str, str]:
    """What `docker run` writes; with `both`, as `docker run … 2>&1`."""
    environ = {**BITBUCKET, "INTEGRATION_KEY": KEY, "EVENTS_URL": f"http://{HOST}:{container.port}", **environ}
    variables = [word for name, value in environ.items() for word in ("--env", f"{name}={value}")]
    hardened = ["--read-only", "--cap-drop", "ALL", "--memory", "64m", "--memory-swap", "64m"]
    command = ["docker", "run", "--rm", *hardened, "--add-host", f"{HOST}:{HARDENED['extra_hosts'][HOST]}",
               "--volume", f"{container.clone}:{CLONE}", "--workdir", CLONE, *variables, IMAGE]  # fmt: skip
    error = subprocess.STDOUT if both else subprocess.PIPE
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=error, text=True, check=False)
    assert run.returncode == 0, run.stdout + (run.stderr or "")
    return run.stdout, run.stderr or ""


def test_the_lines_come_in_the_same_order_each_time(container):
    """As `docker run … 2>&1` shows them: warnings, what is told to DEBUG, and the attempt."""
    (container.clone / "test-results").mkdir()
    (container.clone / "test-results" / "junit.xml").write_text("<testsuite><testcase name='a'><failure/></testcase>")
    environ = {"EXIT_CODE": "2", "TEST_REPORTS": "nowhere/*.xml test-results/*.xml", "LOG_LINES": "5",
               "DEBUG": "true", "BITBUCKET_CLONE_DIR": CLONE}  # fmt: skip
    with ThreadPoolExecutor(5) as pool:
        runs = [out for out, _ in pool.map(lambda _: docker_run(container, environ, both=True), range(5))]
    timeless = [re.sub(r"\d{4}-\d\d-\d\dT[\d:.+]+|\d+\.\d+ s\b", "…", run).splitlines() for run in runs]
    assert len(timeless[0]) > 4
    assert all(lines == timeless[0] for lines in timeless)


def test_a_dry_run_s_stdout_is_its_event_and_nothing_else(container, sandbox):
    stdout, stderr = docker_run(
        container, {"EXIT_CODE": "2", "DRY_RUN": "true", "BITBUCKET_CLONE_DIR": CLONE}, both=False
    )
    assert json.loads(stdout)["event_action"] == "trigger"
    assert "Paging: exit code 2" in stderr
    assert not sandbox.requests


def test_a_final_step_asks_bitbucket(container, received):
    with BitbucketApi(token="a-token-of-the-repository", host="0.0.0.0") as api:
        steps = [
            step("unit", "FAILED", log=b"assert 3 == 4\n"),
            step("page", "IN_PROGRESS", uuid=MAIN["BITBUCKET_STEP_UUID"]),
        ]
        api.pipeline(812, steps, uuid=MAIN["BITBUCKET_PIPELINE_UUID"])
        environ = {
            "BITBUCKET_API_URL": api.url_for(HOST),
            "BITBUCKET_ACCESS_TOKEN": "a-token-of-the-repository",
        }
        api.log_redirect = ""
        run = container({**BITBUCKET, **environ, "LOG_LINES": "5"})
    assert run.status == 0, run.log
    assert received.events[0]["payload"]["summary"] == 'acme/shop: "unit" failed on main (#812)'
    assert received.events[0]["payload"]["custom_details"]["log_tail"] == "assert 3 == 4"
