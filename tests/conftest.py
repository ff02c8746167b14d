"""The pipe as Bitbucket runs it: a real process with nothing but the given variables, and a sandbox to receive its events."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from sandbox import Sandbox

# No deadline: a busy machine is no counterexample. In CI the same examples every time, elsewhere new ones.
settings.register_profile("here", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("here")

ROOT = Path(__file__).parent.parent
KEY = "c0ffee11c0ffee22c0ffee33c0ffee44"

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


@dataclass(frozen=True)
class Run:
    """How one process of the pipe ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def log(self) -> str:
        return re.sub(r"\x1b\[\d*m", "", self.stderr + self.stdout)


class Pipe:
    """Starts the pipe in a clone. No run may ever print the key: every one is checked."""

    def __init__(self, clone: Path, url: str) -> None:
        self.clone, self.url = clone, url

    def __call__(
        self, environ: dict[str, str], definition: str | None = ONE_STEP, timeout: float = 60, **more: str
    ) -> Run:
        if definition is not None:
            (self.clone / "bitbucket-pipelines.yml").write_text(definition)
        process = self.start(environ, **more)
        stdout, stderr = process.communicate(timeout=timeout)
        run = Run(process.returncode, stdout, stderr)
        assert KEY not in run.stdout + run.stderr
        assert "Traceback" not in run.stdout + run.stderr
        return run

    def start(self, environ: dict[str, str], **more: str) -> subprocess.Popen[str]:
        environ = {"INTEGRATION_KEY": KEY, "EVENTS_URL": self.url, "TIMEOUT": "20", **environ, **more}
        return subprocess.Popen(
            [sys.executable, "-m", "pipe"],
            cwd=self.clone,
            env={
                "PYTHONPATH": str(ROOT),
                "PATH": os.environ["PATH"],
                "PYTHONUNBUFFERED": "1",
                "PYTHONSAFEPATH": "1",
                **environ,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
        )


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
    def only(self) -> dict:
        assert len(self.events) == 1, self.actions
        assert self.sandbox.requests[0].status == 202, self.sandbox.requests[0]
        return self.events[0]

    @property
    def details(self) -> dict:
        return self.only["payload"]["custom_details"]


@pytest.fixture
def sandbox():
    with Sandbox() as running:
        yield running


@pytest.fixture
def received(sandbox) -> Received:
    return Received(sandbox)


@pytest.fixture
def pipe(tmp_path, sandbox) -> Pipe:
    clone = tmp_path / "clone"
    clone.mkdir()
    return Pipe(clone, sandbox.url)


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
