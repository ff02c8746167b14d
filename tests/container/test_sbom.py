"""The SBOM names what the image holds: by the lock, and by the base's own list of packages."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile

import pytest

from tests.conftest import ROOT
from tests.container.running import IMAGE
from tests.container.test_lock import LEFT_OUT, locked

TOOLS = ROOT / ".cache/audit"
pytestmark = [
    pytest.mark.container,
    pytest.mark.skipif(not (TOOLS / "ready").exists(), reason="cyclonedx is not here: `make .cache/audit/ready`"),
]


def sbom(image: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PATH": f"{TOOLS}/bin:{os.environ['PATH']}"}
    command = [TOOLS / "bin/python", ROOT / "image/sbom.py", image]
    return subprocess.run(command, env=environ, capture_output=True, text=True)


@pytest.fixture
def with_file(client, image):
    """An image that holds one more file."""
    made = []

    def build(path: str, content: str) -> str:
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as archive:
            for name, text in (("Dockerfile", f"FROM {IMAGE}\nCOPY file {path}\n"), ("file", content)):
                member = tarfile.TarInfo(name)
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))
        context.seek(0)
        built, _ = client.images.build(fileobj=context, custom_context=True, rm=True)
        made.append(built.id)
        return built.id

    yield build
    for one in made:
        client.images.remove(one)


def test_it_has_the_locked_distributions_and_says_that_the_base_names_none(image):
    made = sbom(IMAGE)
    assert made.returncode == 0, made.stderr
    value = json.loads(made.stdout)
    names = {one["purl"] for one in value["components"] if one["purl"].startswith("pkg:pypi/")}
    expected = {n: v for n, v in locked().items() if n not in LEFT_OUT}
    assert names == {f"pkg:pypi/{name.replace('_', '-')}@{version}" for name, version in expected.items()}
    hashes = [one["externalReferences"][0]["hashes"] for one in value["components"] if one["purl"] in names]
    assert all(one[0]["alg"] == "SHA-256" for one in hashes)
    assert value["metadata"]["component"]["version"] == __import__("pipe").VERSION
    packages = [one for one in value["components"] if one["purl"].startswith("pkg:deb/")]
    assert value["compositions"][0]["aggregate"] == ("complete" if packages else "incomplete")
    assert ("the SBOM says so" in made.stderr) is not bool(packages)


def test_it_has_the_base_s_packages(with_file):
    status = "Package: libc6\nVersion: 2.41-12\nArchitecture: amd64\nDescription: GNU C Library\n and more\n"
    made = sbom(with_file("/var/lib/dpkg/status.d/libc6", status))
    assert (made.returncode, made.stderr) == (0, "")
    value = json.loads(made.stdout)
    assert "pkg:deb/debian/libc6@2.41-12?arch=amd64" in [one["purl"] for one in value["components"]]
    assert value["compositions"] == [{"aggregate": "complete", "assemblies": ["image"]}]


def test_what_the_lock_does_not_have_is_no_sbom(with_file):
    made = sbom(with_file("/opt/pipe/more-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: more\nVersion: 1.0\n"))
    assert made.returncode == 1
    assert made.stderr == "sbom: the image holds what the lock does not: [('more', '1.0')]\n"
