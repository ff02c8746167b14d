"""The pipe as Bitbucket runs it: a real process with nothing but the given variables, and a sandbox to receive its events."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import tests.warm
from sandbox import Sandbox
from tests.bitbucket_api import BitbucketApi

# No deadline: a busy machine is no counterexample. In CI the same examples every time, elsewhere new ones.
settings.register_profile("here", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("here")

ROOT = Path(__file__).parent.parent
MORE = int(os.environ.get("MORE", "1"))  # times as many examples of what is generated: `MORE=40 make test`
KEY = "c0ffee11c0ffee22c0ffee33c0ffee44"
TOKEN = "ATCTT3xFfGN0-a-token-of-the-repository"
API_TOKEN = {"ATLASSIAN_ACCOUNT_EMAIL": "ada@example.org", "ATLASSIAN_API_TOKEN": "ATATT3-an-api-token"}

# What every step has (Bitbucket's documentation, "Variables and secrets"); tests add to it and take away.
STEP = {
    "CI": "true",
    "BITBUCKET_WORKSPACE": "acme",
    "BITBUCKET_REPO_SLUG": "shop",
    "BITBUCKET_REPO_FULL_NAME": "acme/shop",
    "BITBUCKET_PROJECT_KEY": "SHOP",
    "BITBUCKET_BUILD_NUMBER": "812",
    "BITBUCKET_COMMIT": "7f21b04c2d0f6b9a1e3c5d7f9b1d3f5a7c9e1b3d",
    "BITBUCKET_PIPELINE_UUID": "{11111111-1111-1111-1111-111111111111}",
    "BITBUCKET_STEP_UUID": "{22222222-2222-2222-2222-222222222222}",
}
MAIN = {**STEP, "BITBUCKET_BRANCH": "main"}

ONE_STEP = """
pipelines:
  branches:
    main:
      - step:
          name: Build and test
          script: [make test]
          after-script:
            - pipe: acme/pagerduty-events:1.0.0
              variables: {INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY, EXIT_CODE: $BITBUCKET_EXIT_CODE}
"""
# Control characters but tab and newline, and the marks that change the reading order.
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Run:
    """How one process of the pipe ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def log(self) -> str:
        """The log without its colours."""
        return re.sub(r"\x1b\[\d*m", "", self.stderr)

    @property
    def yellow(self) -> str:
        """The warnings, a line each."""
        return "\n".join(re.findall(r"\x1b\[33mWARNING: (.*)\x1b\[0m", self.stderr))

    @property
    def red(self) -> list[str]:
        """The failures."""
        return re.findall(r"\x1b\[31m(.*)\x1b\[0m", self.stderr)

    @property
    def printed(self) -> list[dict[str, Any]]:
        """The events that the log shows whole."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]


Process = subprocess.Popen[str] | tests.warm.Started


class Pipe:
    """Starts the pipe in a clone. Whatever a run does, it shows no secret, nothing unseen and no traceback, and keeps
    stdout for DRY_RUN: every run is checked."""

    def __init__(self, clone: Path, sandbox: Sandbox, warm: Path | None = None) -> None:
        self.clone, self.sandbox, self.url, self.warm = clone, sandbox, sandbox.url, warm

    def __call__(
        self, environ: dict[str, str], definition: str | None = ONE_STEP, timeout: float = 60, **more: str
    ) -> Run:
        return self.finish(self.start(environ, definition, **more), timeout)

    def start(self, environ: dict[str, str], definition: str | None = None, **more: str) -> Process:
        """`definition` is what bitbucket-pipelines.yml holds; with None it stays as it is. Where Python itself is told
        something by a variable, the process is one that starts from nothing."""
        if definition is not None:
            (self.clone / "bitbucket-pipelines.yml").write_text(definition)
        environ = {"INTEGRATION_KEY": KEY, "EVENTS_URL": self.url, "TIMEOUT": "20", **environ, **more}
        cold = self.warm is None or any(name.startswith("PYTHON") for name in environ)
        environ = {
            "PYTHONPATH": str(ROOT),
            "PATH": os.environ["PATH"],
            "PYTHONUNBUFFERED": "1",
            "PYTHONSAFEPATH": "1",
            **environ,
        }
        if not cold:
            return tests.warm.Started(self.warm, self.clone, environ)
        return subprocess.Popen(
            [sys.executable, "-m", "pipe"],
            cwd=self.clone,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
        )

    def finish(self, process: Process, timeout: float = 60) -> Run:
        stdout, stderr = process.communicate(timeout=timeout)
        run = Run(process.returncode, stdout, stderr)
        assert "Traceback" not in stdout + stderr, stderr
        assert all(json.loads(line) for line in stdout.splitlines()), stdout
        sent = [json.loads(call.body) for call in self.sandbox.requests]
        for secret in (KEY, TOKEN, API_TOKEN["ATLASSIAN_API_TOKEN"]):
            assert secret not in stdout + stderr
            assert secret not in str([{**event, "routing_key": ""} for event in sent])
        assert not UNSEEN.search(run.log), run.log
        assert not [text for text in strings(sent) if UNSEEN.search(text)]
        return run


def strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value, the names in objects included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


class Received:
    """What the sandbox received, as events."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    @property
    def events(self) -> list[dict]:
        return [json.loads(call.body) for call in self.sandbox.requests]

    @property
    def actions(self) -> list[str]:
        return [event.get("event_action", "change") for event in self.events]

    @property
    def sent(self) -> list[str]:
        """Action and key of each, without the repository: `trigger branch/main:step`."""
        return [f"{action} {short(event)}".strip() for action, event in zip(self.actions, self.events, strict=True)]

    @property
    def open(self) -> list[str]:
        """The keys of the alerts that are open."""
        return [short(alert) for alert in self.sandbox.alerts()]

    @property
    def only(self) -> dict:
        assert len(self.events) == 1, self.actions
        assert self.sandbox.requests[0].status == 202, self.sandbox.requests[0]
        return self.events[0]

    @property
    def page(self) -> dict:
        """The only trigger; a pipeline's result comes with a second event, which closes `…:result unknown`."""
        (found,) = [event for event in self.events if event.get("event_action") == "trigger"]
        return found

    @property
    def details(self) -> dict:
        return (
            self.page["payload"]["custom_details"]
            if "trigger" in self.actions
            else self.only["payload"]["custom_details"]
        )


def short(event: dict) -> str:
    return event.get("dedup_key", "").removeprefix("bitbucket:acme/shop:")


# Files whose tests take longest, or wait for containers and a browser most of the time: the last one to end is a short one.
# Those of containers at full speed do not begin beside the hostile ones, and the browser does behind the containers.
FIRST = (
    "test_hostile.py",
    "test_single_file.py",
    "test_release.py",
    "test_sbom.py",
    "test_container.py",
    "test_page.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


@pytest.fixture
def sandbox():
    with Sandbox() as running:
        yield running


@pytest.fixture
def received(sandbox) -> Received:
    return Received(sandbox)


@pytest.fixture(scope="session")
def warm(tmp_path_factory) -> Iterator[Path]:
    """Where processes of the pipe are to be had that have imported all they need."""
    with tests.warm.running(tmp_path_factory.mktemp("warm")) as address:
        yield address


@pytest.fixture
def pipe(tmp_path, sandbox, warm) -> Pipe:
    clone = tmp_path / "clone"
    clone.mkdir()
    return Pipe(clone, sandbox, warm)


@pytest.fixture
def api():
    """Bitbucket's API, which knows TOKEN and API_TOKEN."""
    with bitbucket_api() as running:
        yield running


def bitbucket_api() -> BitbucketApi:
    return BitbucketApi(
        token=TOKEN, email=API_TOKEN["ATLASSIAN_ACCOUNT_EMAIL"], api_token=API_TOKEN["ATLASSIAN_API_TOKEN"]
    )


@pytest.fixture(scope="session")
def tls(tmp_path_factory) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and 127.0.0.1, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("openssl, which makes the certificate, is not on this machine")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,DNS:host.docker.internal",
         "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return folder / "certificate.pem", folder / "key.pem"
