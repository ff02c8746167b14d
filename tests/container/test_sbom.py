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


# Takes a name of an image a line, and runs image/sbom.py for it in a fork that need not import the libraries again, which
# takes seconds.
RUNS = """
import json, os, runpy, subprocess, sys, tempfile
import cyclonedx.schema, cyclonedx.validation.json, packageurl
for line in sys.stdin:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        run = os.fork()
        if not run:
            os.dup2(out.fileno(), 1), os.dup2(err.fileno(), 2)
            sys.argv = ["image/sbom.py", line.strip()]
            runpy.run_path(sys.argv[0], run_name="__main__")
            sys.exit(0)
        _, status = os.waitpid(run, 0)
        said = [os.pread(one.fileno(), os.fstat(one.fileno()).st_size, 0).decode() for one in (out, err)]
    print(json.dumps([os.waitstatus_to_exitcode(status), *said]), flush=True)
"""
# What the lock holds is the same each time: the real tool is asked once.
TOOL = """#!/bin/sh
[ -e "$0.said" ] || "{tools}/cyclonedx-py" "$@" >"$0.said" || {{ rm "$0.said"; exit 1; }}
cat "$0.said"
"""


@pytest.fixture(scope="module")
def sbom(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tools")
    (folder / "cyclonedx-py").write_text(TOOL.format(tools=TOOLS / "bin"))
    (folder / "cyclonedx-py").chmod(0o755)
    environ = {**os.environ, "PATH": f"{folder}:{TOOLS}/bin:{os.environ['PATH']}"}
    command, piped = [TOOLS / "bin/python", "-c", RUNS], subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdin=piped, stdout=piped, text=True) as runs:

        def sbom(image: str) -> subprocess.CompletedProcess[str]:
            print(image, file=runs.stdin, flush=True)
            return subprocess.CompletedProcess([image], *json.loads(runs.stdout.readline()))

        yield sbom
        runs.stdin.close()


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


def test_it_has_the_locked_distributions_and_says_that_the_base_names_none(sbom, image):
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


def test_it_has_the_base_s_packages(sbom, with_file):
    status = "Package: libc6\nVersion: 2.41-12\nArchitecture: amd64\nDescription: GNU C Library\n and more\n"
    made = sbom(with_file("/var/lib/dpkg/status.d/libc6", status))
    assert (made.returncode, made.stderr) == (0, "")
    value = json.loads(made.stdout)
    assert "pkg:deb/debian/libc6@2.41-12?arch=amd64" in [one["purl"] for one in value["components"]]
    assert value["compositions"] == [{"aggregate": "complete", "assemblies": ["image"]}]


def test_what_the_lock_does_not_have_is_no_sbom(sbom, with_file):
    made = sbom(with_file("/opt/pipe/more-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: more\nVersion: 1.0\n"))
    assert made.returncode == 1
    assert made.stderr == "sbom: the image holds what the lock does not: [('more', '1.0')]\n"
