"""`ci/release` from end to end: a real engine, a real registry, a real remote; and again after each way to fail."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.container


def assert_released(release, version: str) -> None:
    """The remote's newest commit is the release, has the tag and the image, and its files name the version."""
    commit = release.remote_git("rev-parse", "main")
    assert release.remote_git("rev-parse", f"{version}^{{commit}}") == commit
    assert release.remote_git("log", "-1", "--format=%s", "main") == f"Release {version} [skip ci]"
    assert release.label(version, "revision") == commit
    assert release.label(version, "version") == version
    files = {
        name: release.remote_git("show", f"main:{name}")
        for name in (
            "pipe.yml",
            "README.md",
            "Dockerfile",
            "pipe/__init__.py",
            "CHANGELOG.md",
            "ci/page",
            "docs/examples.md",
        )
    }
    assert f"image: {release.image}:{version}\n" in files["pipe.yml"]
    assert f'VERSION = "{version}"' in files["pipe/__init__.py"]
    assert f"ARG VERSION={version}\n" in files["Dockerfile"]
    assert f"## {version}\n" in files["CHANGELOG.md"]
    for name in ("pipe.yml", "README.md", "ci/page", "docs/examples.md"):
        assert set(re.findall(r"pagerduty-events:(\d+\.\d+\.\d+)", files[name])) == {version}, name
    assert release.git("status", "--porcelain") == ""
    assert release.git("worktree", "list").count("\n") == 0


KILLED = -9
# Each way to fail, in the order in which a run comes to it; with what the run said before.
FAILURES = [
    # killed while the files are written
    (
        lambda release: release.tool(
            "semversioner",
            '"$real" "$@"; code=$?; [ "$1" = changelog ] && kill -9 $(ps -o ppid= $PPID) $PPID; exit $code',
        ),
        KILLED,
        "",
    ),
    # killed when it is committed, before there is an image
    (lambda release: release.tool("docker", '[ "$1" = build ] && kill -9 $PPID; exec "$real" "$@"'), KILLED, ""),
    (lambda release: release.tool("docker", '[ "$1" = push ] && exit 1; exec "$real" "$@"'), 1, ""),
    # killed when the registry has the image
    (
        lambda release: release.tool("docker", '"$real" "$@"; code=$?; [ "$1" = push ] && kill -9 $PPID; exit $code'),
        KILLED,
        "",
    ),
    (lambda release: release.hook("[ $1 != refs/heads/main ]"), 1, "is in the registry already"),
    (lambda release: release.hook("case $1 in refs/tags/*) exit 1;; esac"), 1, "is in the registry already"),
]


def test_a_release_that_fails_at_every_step_and_the_one_after(release):
    head = release.git("rev-parse", "HEAD")
    for fail, status, said in FAILURES:
        fail(release)
        run = release()
        assert run.returncode == status, run.stderr
        assert said in run.stdout
        assert release.remote_git("tag") == ""
        assert (release.git("rev-parse", "HEAD"), release.git("status", "--porcelain")) == (head, "")
        for one in (*release.tools.iterdir(), release.remote / "hooks/update"):
            one.unlink(missing_ok=True)

    # the branch has the release by now, and a next change
    first = release.remote_git("rev-parse", "main")
    release.git("pull", "-q", "origin", "main")
    release.describe("Something was wrong.")
    run = release()
    assert (run.returncode, run.stderr) == (0, "")
    assert release.remote_git("tag").split() == ["0.1.0", "0.1.1"]
    assert release.remote_git("rev-parse", "0.1.0^{commit}") == release.label("0.1.0", "revision") == first
    assert_released(release, "0.1.1")

    done = release.state
    run = release()
    assert (run.returncode, run.stdout, run.stderr) == (
        0, "release: nothing more to release: no change is described.\n", "",
    )  # fmt: skip
    assert release.state == done


def without_buildx(release) -> dict[str, str]:
    release.tool("docker", '[ "$1" = buildx ] && exit 1; exec "$real" "$@"')
    return {"ONE_PLATFORM": "false"}


def without_cosign(release) -> dict[str, str]:
    if shutil.which("cosign"):
        pytest.skip("cosign is on this machine")
    return {"COSIGN_PRIVATE_KEY": "a key"}


def without_identity(release) -> dict[str, str]:
    release.git("config", "--unset", "user.email")
    return {}


def without_a_name(release) -> dict[str, str]:
    path = release.clone / "pipe.yml"
    path.write_text(path.read_text().replace(release.image, "ghcr.io/your-account/pagerduty-events"))
    return {}


def with_a_change(release) -> dict[str, str]:
    (release.clone / "README.md").write_text("")
    return {}


def unpushed(release) -> dict[str, str]:
    release.git("commit", "-q", "--allow-empty", "-m", "Only here")
    return {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda release: {"PATH": "/usr/bin:/bin"}, "semversioner is missing"),
        (lambda release: {"DOCKER_HOST": "tcp://127.0.0.1:9"}, "no Docker engine answers"),
        (without_buildx, "docker buildx is missing"),
        (lambda release: {"REGISTRY_PASSWORD": "wrong"}, "refuses REGISTRY_USER with REGISTRY_PASSWORD"),
        (lambda release: {"REGISTRY_PASSWORD": ""}, "docker is not logged in to 127.0.0.1"),
        (without_cosign, "cosign is missing"),
        (lambda release: {"BASES_BY_TAG": "false"}, "names its base images by tag"),
        (without_identity, "git does not know who commits"),
        (without_a_name, "pipe.yml names no image of yours"),
        (with_a_change, "changes that are not committed"),
        (unpushed, "push it first"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(release, wrong, said):
    environ = wrong(release)
    before = release.state
    run = release(**environ)
    assert run.returncode == 1
    assert said in run.stderr
    assert run.stdout == ""
    assert release.state == before


def test_a_branch_that_has_moved_on_is_left_to_its_own_build(release):
    old = release.git("rev-parse", "HEAD")
    release.describe("Something was wrong.")
    release.git("reset", "-q", "--hard", old)
    before = release.state
    run = release()
    assert (run.returncode, release.state) == (0, before)
    assert "moved on" in run.stdout


def test_a_dry_run_builds_and_runs_and_pushes_nothing(release):
    before = release.state
    run = release(DRY_RUN="true")
    assert run.returncode == 0, run.stderr
    assert "0.1.0 was built and runs" in run.stdout
    assert release.state == before
    pull = ["docker", "pull", "-q", f"{release.image}:0.1.0"]
    assert subprocess.run(pull, capture_output=True).returncode != 0


@pytest.mark.skipif(not shutil.which("cosign"), reason="cosign is not on this machine")
def test_a_release_is_signed_with_the_team_s_key(release, tmp_path):
    secret = {**release.environ, "COSIGN_PASSWORD": "a password"}
    for name in ("ours", "another"):
        command = ["cosign", "generate-key-pair", "--output-key-prefix", name]
        subprocess.run(command, cwd=tmp_path, env=secret, check=True, capture_output=True)
    run = release(COSIGN_PRIVATE_KEY=(tmp_path / "ours.key").read_text(), COSIGN_PASSWORD="a password")
    assert run.returncode == 0, run.stderr
    assert "the signature verifies" in run.stdout
    for name, status in (("ours", 0), ("another", 1)):
        verify = ["cosign", "verify", "--key", f"{name}.pub", "--insecure-ignore-tlog=true", f"{release.image}:0.1.0"]
        verified = subprocess.run(verify, cwd=tmp_path, env=release.environ, capture_output=True, text=True)
        assert bool(verified.returncode) == bool(status), verified.stderr


def test_base_images_are_named_by_their_digests_in_the_release(release, registry):
    """Two small images stand for the real ones; what is built from them is not asked."""
    subprocess.run(
        ["docker", "login", "-u", "releaser", "--password-stdin", registry],
        input="secret",
        text=True,
        check=True,
        capture_output=True,
        env=release.environ,
    )
    path = release.clone / "Dockerfile"
    text = path.read_text()
    for arg in ("BUILDER", "RUNTIME"):
        base = f"{registry}/bases/{arg.lower()}:1"
        (release.clone / "ci" / "base").write_text(arg)
        subprocess.run(
            ["docker", "build", "-q", "-t", base, "-f", "-", "ci"],
            cwd=release.clone,
            input="FROM scratch\nCOPY base /\n",
            text=True,
            check=True,
            capture_output=True,
        )
        subprocess.run(["docker", "push", "-q", base], check=True, capture_output=True, env=release.environ)
        text = re.sub(f"(?m)^ARG {arg}=.*$", f"ARG {arg}={base}", text)
    path.write_text(text)
    for _ in range(2):  # a second time it renews them
        subprocess.run(["ci/digests"], cwd=release.clone, check=True, env=release.environ, capture_output=True)
        found = dict(re.findall(r"(?m)^ARG (BUILDER|RUNTIME)=(.+)$", path.read_text()))
        for arg, named in found.items():
            assert re.fullmatch(f"{registry}/bases/{arg.lower()}:1@sha256:[0-9a-f]{{64}}", named)
            subprocess.run(["docker", "pull", "-q", named], check=True, capture_output=True, env=release.environ)
    assert found.keys() == {"BUILDER", "RUNTIME"}
