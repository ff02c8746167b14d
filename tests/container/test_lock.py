"""The image is its base, the pipe and the lock, and nothing else: file by file, down to the source of each bytecode."""

from __future__ import annotations

import _imp
import io
import re
import tarfile
from importlib import metadata
from pathlib import Path, PurePosixPath

import pytest

from tests.conftest import ROOT
from tests.container.running import IMAGE

pytestmark = pytest.mark.container

RUNTIME = re.findall(r"^ARG RUNTIME=(.+)$", (ROOT / "Dockerfile").read_text(), re.M)[0]
LIBRARY, STANDARD = "opt/pipe/", "usr/lib/python3.13/"
LEFT_OUT = {"charset_normalizer"}  # locked, for requests asks for it, and not in the image: lay_out.py says why
THE_ENGINE_S = re.compile(r"\.dockerenv|(dev|proc|sys)(/.*)?|etc/(hosts|hostname|resolv\.conf|mtab)")


def locked() -> dict[str, str]:
    """Name and version of each distribution that the image's Python takes, by requirements/image.txt."""
    found = re.findall(r"(?m)^([\w.-]+)==([^ ;]+)( ;.*)?", (ROOT / "requirements/image.txt").read_text())
    assert all("python_full_version < '3.12'" in marker for _, _, marker in found if marker)
    return {name.replace("-", "_"): version for name, version, marker in found if not marker}


def files(client, image: str) -> dict[str, bytes]:
    """What lies in an image, by its path: contents, and where a link leads."""
    made = client.containers.create(image)
    try:
        exported = io.BytesIO(b"".join(made.export()))
    finally:
        made.remove(force=True)
    found = {}
    with tarfile.open(fileobj=exported) as archive:
        for member in archive:
            if not member.isdir() and not THE_ENGINE_S.fullmatch(member.name):
                file = archive.extractfile(member) if member.isreg() else None
                found[member.name] = file.read() if file else f"link to {member.linkname}".encode()
    return found


@pytest.fixture(scope="module")
def base(client, image) -> dict[str, bytes]:
    return files(client, RUNTIME)


@pytest.fixture(scope="module")
def added(client, base) -> dict[str, bytes]:
    """What the image has beside its base."""
    ours = files(client, IMAGE)
    assert {name for name, content in base.items() if ours.get(name) != content} == set()
    return {name: content for name, content in ours.items() if name not in base}


def made_of(bytecode: bytes, source: bytes) -> bool:
    """Whether that bytecode was made of that source: it carries its hash, for the Python that it is for."""
    assert int.from_bytes(bytecode[4:8], "little") == 0b01  # by hash, and not looked up again
    return bytecode[8:16] == _imp.source_hash(int.from_bytes(bytecode[:4], "little"), source)


def test_it_adds_to_two_folders_only(added):
    assert [name for name in added if not name.startswith((LIBRARY, STANDARD))] == []


def test_its_distributions_are_those_of_the_lock(added):
    held = {name.removeprefix(LIBRARY).split(".dist-info")[0] for name in added if ".dist-info/" in name}
    expected = {f"{name}-{version}" for name, version in locked().items() if name not in LEFT_OUT}
    assert {one.lower() for one in held} == expected
    for one in held:
        text = added[f"{LIBRARY}{one}.dist-info/METADATA"].decode()
        assert f"\nVersion: {one.split('-')[1]}\n" in text


def test_every_module_is_made_of_the_pipe_s_source_or_of_a_locked_distribution_s(added):
    sources: dict[str, Path] = {
        str(path.relative_to(ROOT).with_suffix(".pyc")): path for path in (ROOT / "pipe").rglob("*.py")
    }
    pipe = set(sources)
    for name, version in locked().items():
        assert metadata.version(name) == version  # the tests run what the image runs
        sources |= {
            str(PurePosixPath(file).with_suffix(".pyc")): Path(str(file.locate()))
            for file in metadata.files(name) or ()
            if file.suffix == ".py"
        }
    held = {
        name.removeprefix(LIBRARY): content
        for name, content in added.items()
        if name.startswith(LIBRARY) and ".dist-info/" not in name
    }
    modules = {name for name in held if name.endswith(".pyc")}
    assert held.keys() - modules == {"LICENSE", "certifi/cacert.pem"}
    assert held["certifi/cacert.pem"] == b"link to /etc/ssl/certs/ca-certificates.crt"
    assert [
        name for name in modules if name not in sources or not made_of(held[name], sources[name].read_bytes())
    ] == []
    assert pipe <= modules


def test_the_standard_library_s_bytecode_is_made_of_the_base_s_own(added, base):
    held = {name: content for name, content in added.items() if name.startswith(STANDARD)}
    assert len(held) > 100
    for name, content in held.items():
        path = PurePosixPath(name)
        assert path.parent.name == "__pycache__", name
        assert path.name.endswith(".cpython-313.pyc"), name
        source = base[str(path.parent.parent / path.name.replace(".cpython-313.pyc", ".py"))]
        assert made_of(content, source), name
