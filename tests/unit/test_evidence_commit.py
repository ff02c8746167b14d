"""The commit in repositories as git lays them out, and in broken ones."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe.evidence import gather
from pipe.evidence.commit import _parsed, read_commit
from pipe.lib.wall import Unread

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada Löve",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_AUTHOR_DATE": "1700000000 +0100",
    "GIT_COMMITTER_NAME": "Charles",
    "GIT_COMMITTER_EMAIL": "charles@example.com",
    "GIT_COMMITTER_DATE": "1700000000 +0100",
}


def git(where: Path, *arguments: str, stdin: bytes = b"") -> str:
    done = subprocess.run(["git", *arguments], cwd=where, env=ENVIRONMENT, input=stdin, capture_output=True, check=True)
    return done.stdout.decode(errors="replace").strip()


def commit(where: Path, message: str) -> str:
    (where / "file").write_text(f"{message}\n" * 50)
    git(where, "add", "file")
    git(where, "commit", "-q", "-m", message)
    return git(where, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    if shutil.which("git") is None:
        pytest.skip("makes its repositories with git")
    clone = tmp_path_factory.mktemp("history")
    git(clone, "init", "-q", "-b", "main")
    for number in range(20):
        commit(clone, f"Change number {number}\n\nbecause of the last one")
    return clone


@pytest.fixture
def clone(history, tmp_path):
    return shutil.copytree(history, tmp_path / "clone")


def head(clone: Path) -> str:
    return git(clone, "rev-parse", "HEAD")


def as_it_is(clone: Path) -> Path:
    return clone


def packed(clone: Path) -> Path:
    git(clone, "gc", "-q", "--prune=now")
    assert not list((clone / ".git/objects").glob("[0-9a-f][0-9a-f]"))
    return clone


def packed_with_the_first_kind_of_index(clone: Path) -> Path:
    git(clone, "-c", "pack.indexVersion=1", "repack", "-q", "-a", "-d", "-f")
    return clone


def packed_in_long_chains_of_deltas(clone: Path) -> Path:
    lines = [hashlib.sha1(b"%d" % number).hexdigest() for number in range(400)]  # each message is like its neighbours
    stream = ""
    for number in range(101):
        message = f"Change number {number - 81}\n\n" + "\n".join(lines[number * 3 : number * 3 + 30])
        stream += (
            "commit refs/heads/main\nauthor Ada Löve <ada@example.com> 1700000000 +0100\n"
            f"committer C <c@example.com> 1700000000 +0100\ndata {len(message)}\n{message}\n"
        )
    git(clone, "fast-import", "--quiet", "--force", stdin=stream.encode())
    git(clone, "repack", "-q", "-a", "-d", "-f", "--depth=200", "--window=10")
    entries = git(clone, "verify-pack", "-v", *map(str, (clone / ".git/objects/pack").glob("*.idx"))).splitlines()
    depths = [int(line.split()[5]) for line in entries if line.split()[1] == "commit" and len(line.split()) == 7]
    assert max(depths) > 10
    return clone


def in_several_packs_and_one_index_for_all(clone: Path) -> Path:
    git(clone, "repack", "-q", "-d")
    commit(clone, "Change number 19")
    git(clone, "repack", "-q", "-d")
    git(clone, "multi-pack-index", "write")
    return clone


def shallow(clone: Path) -> Path:
    git(clone, "clone", "-q", "--depth=1", clone.as_uri(), "../shallow")
    return clone.parent / "shallow"


def without_its_files(clone: Path) -> Path:
    git(clone, "config", "uploadpack.allowFilter", "true")
    git(clone, "clone", "-q", "--filter=blob:none", "--no-checkout", clone.as_uri(), "../partial")
    return clone.parent / "partial"


def borrowing(clone: Path) -> Path:
    git(clone, "clone", "-q", "--shared", ".", "../borrowing")
    assert not list((clone.parent / "borrowing/.git/objects").glob("[0-9a-f][0-9a-f]"))
    return clone.parent / "borrowing"


def borrowing_from_one_that_borrows(clone: Path) -> Path:
    git(borrowing(packed(clone)), "clone", "-q", "--shared", ".", "../again")
    return clone.parent / "again"


@pytest.mark.parametrize(
    "layout",
    [
        as_it_is,
        packed,
        packed_with_the_first_kind_of_index,
        packed_in_long_chains_of_deltas,
        in_several_packs_and_one_index_for_all,
        shallow,
        without_its_files,
        borrowing,
        borrowing_from_one_that_borrows,
    ],
)
def test_the_commit_is_read_however_the_repository_is_laid_out(clone, layout):
    there = layout(clone)
    sha = git(there, "rev-parse", "HEAD")
    assert read_commit(there, sha) == ("Change number 19", "Ada Löve")


def test_every_commit_of_a_pack_is_read(clone):
    packed_in_long_chains_of_deltas(clone)
    log = git(clone, "log", "--format=%H %s").splitlines()
    assert len(log) == 101
    for line in log:
        sha, _, subject = line.partition(" ")
        assert read_commit(clone, sha)[0] == subject


def test_what_git_wrote_in_another_encoding_is_read(clone):
    git(clone, "config", "i18n.commitEncoding", "ISO-8859-1")
    message = clone / "message"
    message.write_bytes("Größer".encode("latin-1"))
    git(clone, "commit", "-q", "--allow-empty", "-F", "message", "--author", "J\xfcrgen <j@example.com>")
    content = subprocess.run(["git", "cat-file", "commit", "HEAD"], cwd=clone, capture_output=True, check=True).stdout
    assert b"encoding ISO-8859-1" in content and b"Gr\xf6\xdfer" in content
    assert read_commit(clone, head(clone))[0] == "Größer"


WHO = b"author Ada <ada@example.com> 1700000000 +0100\ncommitter C <c@example.com> 1700000000 +0100\n"


@pytest.mark.parametrize(
    ("message", "subject"),
    [
        (b"One line", "One line"),
        (b"\n\n  First\n  second\n \t\nthird\n", "First second"),
        (b"First\r\nsecond\r\n\r\nthird\r\n", "First second"),
        (b"", ""),
        (b"\n\n", ""),
        (b"Change \xff\xfe this", "Change \ufffd\ufffd this"),
        (b"\x1b[31mRed\x1b[0m \x1b]0;title\x07and\x00 \xe2\x80\xaedettolb", "Red and dettolb"),
        (b"x" * 400, "x" * 299 + "…"),
        (b"\xf0\x9f\x9a\x80" * 10_000, "🚀" * 299 + "…"),
    ],
)
def test_the_subject_is_the_first_paragraph_on_one_line(message, subject):
    assert _parsed(b"tree " + b"0" * 40 + b"\n" + WHO + b"\n" + message, str)[0] == subject


@pytest.mark.parametrize(
    ("line", "author"),
    [
        (b"author Ada Love <ada@example.com> 1700000000 +0100", "Ada Love"),
        (b"author Ada Love <ada@example.com> soon", "Ada Love"),
        (b"author Ada Love <ada@example.com>", "Ada Love"),
        (b"author  <ada@example.com> 1700000000 +0100", ""),
        (b"author <ada@example.com> 1700000000 +0100", ""),
        (b"author ada@example.com <ada@example.com> 1700000000 +0100", "ada"),
        (b"author Ada @ Acme <ada@example.com> 1700000000 +0100", "Ada @ Acme"),
        (b"author Ada <a> b@example.com> 1700000000 +0100", "Ada"),
        (b"author J\xfcrgen <j@example.com> 1700000000 +0100", "J\ufffdrgen"),
        (b"author J\xfcrgen <j@example.com> 1700000000 +0100\nencoding ISO-8859-1", "Jürgen"),
        (b"author J\xc3\xbcrgen <j@example.com> 1700000000 +0100\nencoding no-such", "Jürgen"),
        (b"author J\xc3\xbcrgen <j@example.com> 1700000000 +0100\nencoding base64", "Jürgen"),
        (b"author J\xc3\xbcrgen <j@example.com> 1700000000 +0100\nencoding a\x00b", "Jürgen"),
        (b"author \x93\xfa\x96{ <n@example.com> 1700000000 +0900\nencoding SHIFT-JIS", "日本"),
        (b"author " + b"x" * 5000 + b" <x@example.com> 1700000000 +0100", "x" * 99 + "…"),
        (b"author Ada <a@example.com> 1 +0000\nauthor Bob <b@example.com> 1 +0000", "Ada"),
        (b"gpgsig -----BEGIN\n author Eve <e@example.com>\n \n=\nauthor Ada <a@example.com> 1 +0000", "Ada"),
        (b"", ""),
    ],
)
def test_the_author_is_the_name_and_never_the_address(line, author):
    read = _parsed(b"tree " + b"0" * 40 + b"\n" + line + b"\n\nSubject", str)
    assert read == ("Subject", author)


@given(st.binary())
def test_whatever_a_commit_holds_can_be_shown(content):
    for text in _parsed(content, str):
        assert len(text) <= 300 and "\n" not in text and "\x1b" not in text
        text.encode()


def test_twelve_digits_are_enough(clone):
    """In pull-request runs Bitbucket gives no more (BCLOUD-19393)."""
    sha = head(clone)
    for layout in (as_it_is, packed):
        assert read_commit(layout(clone), sha[:12]) == ("Change number 19", "Ada Löve")
        assert read_commit(clone, sha[:7])[0] == "Change number 19"


def test_secrets_are_concealed_before_anything_is_cut(clone):
    def conceal(text: str) -> str:
        return text.replace("hunter2", "****")

    sha = commit(clone, "x" * 297 + "hunter2")
    assert read_commit(clone, sha, conceal)[0] == "x" * 297 + "**…"
    sha = git(clone, "commit-tree", "HEAD^{tree}", "-m", "of hunter2")
    assert read_commit(clone, sha, conceal)[0] == "of ****"
    sha = git(clone, "commit-tree", "HEAD^{tree}", "-m", "x" * 297 + "hun\x1b[31mter2")
    assert read_commit(clone, sha, conceal)[0] == "x" * 297 + "**…"


def loose(clone: Path, content: bytes, sha: str = "ab" * 20) -> str:
    file = clone / ".git/objects" / sha[:2] / sha[2:]
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    return sha


def two_alike(clone: Path) -> str:
    loose(clone, b"", "abcdef0" + "1" * 33)
    return loose(clone, b"", "abcdef0" + "2" * 33)[:12].replace("2", "")


def index_without_its_pack(clone: Path) -> str:
    sha = head(packed(clone))
    for pack in (clone / ".git/objects/pack").glob("*.pack"):
        pack.unlink()
    return sha


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda clone: "ab" * 20, "not in this clone"),
        (index_without_its_pack, "not in this clone"),
        (lambda clone: "ab" * 32, "not a commit's hash"),
        (lambda clone: "abc123", "not a commit's hash"),
        (lambda clone: "../../../../etc/passwd" + "a" * 18, "not a commit's hash"),
        (lambda clone: head(clone) + "\n", "not a commit's hash"),
        (lambda clone: git(clone, "rev-parse", "HEAD^{tree}"), "not a commit"),
        (two_alike, "more than one object's hash begins with abcdef0"),
    ],
)
def test_what_is_no_commit_or_is_not_there_is_said(clone, make, reason):
    with pytest.raises(Unread) as error:
        read_commit(clone, make(clone))
    assert str(error.value) == reason


@pytest.mark.parametrize("suffix", ["idx", "pack"])
def test_a_damaged_pack_gives_the_right_commit_or_is_said(clone, suffix):
    """Whatever dulwich makes of it: the question is asked behind the wall."""
    sha = head(packed(clone))
    (file,) = (clone / ".git/objects/pack").glob(f"*.{suffix}")
    file.chmod(0o644)
    sound = file.read_bytes()
    damages = [sound[: len(sound) * part // 10] for part in range(10)]
    damages += [sound[:at] + bytes([sound[at] ^ 0xFF]) + sound[at + 1 :] for at in range(0, min(len(sound), 6000), 151)]
    for damaged in damages:
        file.write_bytes(damaged)
        found = gather(clone=clone, commit=sha, test_reports=(), read_tests=False, conceal=str)
        if found.warnings:
            assert found.warnings[0].startswith("The commit could not be read: ")
        else:
            assert (found.commit_message, found.commit_author) == ("Change number 19", "Ada Löve")
