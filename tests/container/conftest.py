"""The image, built once, and a sandbox that containers reach."""

from __future__ import annotations

import os

import pytest

from sandbox import Sandbox
from tests.conftest import ONE_STEP, ROOT, Received
from tests.container.running import IMAGE, Container


@pytest.fixture(scope="session")
def client():
    docker = pytest.importorskip("docker")
    try:
        engine = docker.from_env(timeout=300)
        engine.ping()
    except docker.errors.DockerException as error:
        if os.environ.get("REQUIRE_CONTAINER_TESTS"):
            pytest.fail(f"REQUIRE_CONTAINER_TESTS is set, but no Docker engine answers: {error}")
        pytest.skip("no Docker engine answers on this machine")
    return engine


@pytest.fixture(scope="session")
def image(client):
    from docker.errors import BuildError

    try:
        client.images.build(path=str(ROOT), tag=IMAGE, rm=True)
    except BuildError as error:
        pytest.fail("".join(line.get("stream", "") for line in error.build_log)[-3000:] + str(error))
    return client.images.get(IMAGE)


@pytest.fixture
def sandbox():
    with Sandbox(host="0.0.0.0") as running:
        yield running


@pytest.fixture
def received(sandbox) -> Received:
    return Received(sandbox)


@pytest.fixture
def container(client, image, tmp_path, sandbox) -> Container:
    clone = tmp_path / "clone"
    clone.mkdir(mode=0o755)
    (clone / "bitbucket-pipelines.yml").write_text(ONE_STEP)
    return Container(client, clone, sandbox.port)
