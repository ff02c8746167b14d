"""A copy of this repository with a remote of its own, and a registry that takes its images."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import registry as loopback
from tests.conftest import ROOT

# What is released; the working tree's, so that a change need not be committed to be tested.
PARTS = (".dockerignore", ".semversioner", "CHANGELOG.md", "Dockerfile", "LICENSE", "README.md", "RELEASING.md",
         "bitbucket-pipelines.yml", "ci", "docs", "image", "pipe", "pipe.yml", "requirements")  # fmt: skip
USER, PASSWORD = "releaser", "secret"
PASSWORDS = f"{USER}:$2b$04$OBDajKh/6TCiV7sm32A8reKRX5g5ArgfEWgHdSYp.x7Q.tnPOL24K\n"  # of "secret"


@pytest.fixture(scope="session")
def engine():
    for tool in ("git", "docker"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not on this machine")
    if subprocess.run(["docker", "version"], capture_output=True).returncode:
        if os.environ.get("REQUIRE_CONTAINER_TESTS"):
            pytest.fail("REQUIRE_CONTAINER_TESTS is set, but no Docker engine answers")
        pytest.skip("no Docker engine answers on this machine")


@pytest.fixture(scope="session")
def registry(engine):
    if not loopback.program():
        pytest.skip(loopback.MISSING)
    with loopback.registry(PASSWORDS) as address:
        yield address


class Released:
    """A clone, its remote, and what `ci/release` does there."""

    def __init__(self, folder: Path, image: str) -> None:
        self.clone, self.remote, self.tools, self.image = (
            folder / "clone",
            folder / "remote.git",
            folder / "tools",
            image,
        )
        self.tools.mkdir()
        self.environ = {
            "PATH": f"{self.tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "REGISTRY_USER": USER,
            "REGISTRY_PASSWORD": PASSWORD,
            "ONE_PLATFORM": "true",
            "BASES_BY_TAG": "true",
        }
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", self.remote], check=True)
        subprocess.run(["git", "clone", "-q", self.remote, self.clone], check=True, capture_output=True)
        for part in PARTS:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, self.clone / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / part, self.clone / part)
        described = (self.clone / "pipe.yml").read_text()
        named = described.replace("image: ghcr.io/your-account/pagerduty-events:", f"image: {image}:")
        assert named != described
        (self.clone / "pipe.yml").write_text(named)
        self.git("config", "user.name", "Ada Lovelace")
        self.git("config", "user.email", "ada@example.org")
        self.commit("The pipe")

    def git(self, *words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=self.clone, check=True, capture_output=True, text=True, env=self.environ
        ).stdout.strip()

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "-q", "-m", message)
        self.git("push", "-q", "origin", "HEAD:main")

    def describe(self, text: str) -> None:
        command = ["semversioner", "add-change", "--type", "patch", "--description", text]
        subprocess.run(command, cwd=self.clone, check=True, capture_output=True, env=self.environ)
        self.commit(text)

    def tool(self, name: str, script: str) -> None:
        """Something that stands before the real tool, which is called by `real`."""
        real = shutil.which(name, path=os.pathsep.join(self.environ["PATH"].split(os.pathsep)[1:]))
        (self.tools / name).write_text(f"#!/bin/sh\nreal={real}\n{script}\n")
        (self.tools / name).chmod(0o755)

    def __call__(self, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ci/release"], cwd=self.clone, capture_output=True, text=True, env={**self.environ, **environ}, timeout=300
        )

    @property
    def state(self) -> tuple[str, str]:
        """The remote's branches and tags, and what the clone's files are beside its commit."""
        return self.remote_git("for-each-ref", "--format=%(refname) %(objectname)"), self.git("status", "--porcelain")

    def remote_git(self, *words: str) -> str:
        return subprocess.run(
            ["git", "-C", self.remote, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    def hook(self, script: str) -> None:
        path = self.remote / "hooks/update"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def label(self, version: str, name: str) -> str:
        """Of the image that the registry has under that version."""
        subprocess.run(
            ["docker", "pull", "-q", f"{self.image}:{version}"], check=True, capture_output=True, env=self.environ
        )
        form = f'{{{{index .Config.Labels "org.opencontainers.image.{name}"}}}}'
        command = ["docker", "image", "inspect", "--format", form, f"{self.image}:{version}"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def release(registry, tmp_path):
    image = f"{registry}/acme-{os.urandom(4).hex()}/pagerduty-events"
    yield Released(tmp_path, image)
    listed = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]
    names = subprocess.run(listed, capture_output=True, text=True).stdout.split()
    if ours := [name for name in names if name.startswith(f"{registry}/")]:
        subprocess.run(["docker", "rmi", *ours], capture_output=True)
