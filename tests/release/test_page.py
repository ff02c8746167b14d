"""`ci/page`, by which this repository's own pipeline pages: with the released image, and before there is one."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from sandbox import Sandbox
from tests.conftest import KEY, MAIN, ROOT

pytestmark = pytest.mark.container
IMAGE = "ghcr.io/your-account/pagerduty-events:0.1.0"
# In place of the registry, which may be out of reach or slow: it has the image, or has none.
DOCKER = {
    "released": '[ "$1" = pull ] && exec {docker} tag "$BUILT" "$3"; [ "$1" = build ] && exit 1; exec {docker} "$@"',
    "not yet released": '[ "$1" = pull ] && exit 1; exec {docker} "$@"',
}


@pytest.fixture(scope="module")
def built(engine):
    run = subprocess.run(["docker", "build", "-q", str(ROOT)], capture_output=True, text=True, check=True)
    return run.stdout.strip()


@pytest.mark.parametrize("state", DOCKER)
def test_it_pages(built, tmp_path, state):
    (tmp_path / "docker").write_text("#!/bin/sh\n" + DOCKER[state].format(docker=shutil.which("docker")))
    (tmp_path / "docker").chmod(0o755)
    gateway = subprocess.run(
        ["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    with Sandbox(host="0.0.0.0") as sandbox:
        environ = {
            **MAIN, "PATH": f"{tmp_path}:{os.environ['PATH']}", "BUILT": built, "PAGERDUTY_INTEGRATION_KEY": KEY,
            "EVENTS_URL": f"http://{gateway}:{sandbox.port}",
        }  # fmt: skip
        try:
            for code in ("1", "0"):
                run = subprocess.run(
                    [str(ROOT / "ci/page"), "tests", "warning"], cwd=tmp_path, capture_output=True, text=True,
                    env={**environ, "BITBUCKET_EXIT_CODE": code, "BITBUCKET_CLONE_DIR": str(ROOT)},
                )  # fmt: skip
                assert run.returncode == 0, run.stderr
        finally:
            subprocess.run(["docker", "rmi", IMAGE], capture_output=True)
        (incident,) = sandbox.incidents()
    assert incident["status"] == "resolved"
    assert incident["timeline"][0]["summary"] == "acme/shop: tests failed on main (#812, exit code 1)"
