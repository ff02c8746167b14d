"""The commit in repositories as git lays them out, in broken ones, and in ones that somebody made to do harm."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe.evidence.commit import Commit, CommitNotRead, _parsed, read_commit

REPOSITORY = Path(__file__).parent.parent

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


def worktree(clone: Path) -> Path:
    git(clone, "worktree", "add", "-q", "--detach", "../worktree", "main")
    assert (clone.parent / "worktree/.git").is_file()
    return clone.parent / "worktree"


def worktree_of_a_packed_clone(clone: Path) -> Path:
    return worktree(packed(clone))


def with_its_git_folder_elsewhere(clone: Path) -> Path:
    git(clone, "clone", "-q", "--separate-git-dir=../elsewhere", ".", "../separate")
    return clone.parent / "separate"


def with_a_relative_pointer(clone: Path) -> Path:
    (clone / ".git").rename(clone.parent / "elsewhere")
    (clone / ".git").write_text("gitdir: ../elsewhere\n")
    return clone


def borrowing(clone: Path) -> Path:
    git(clone, "clone", "-q", "--shared", ".", "../borrowing")
    assert not list((clone.parent / "borrowing/.git/objects").glob("[0-9a-f][0-9a-f]"))
    return clone.parent / "borrowing"


def borrowing_from_one_that_borrows(clone: Path) -> Path:
    git(borrowing(packed(clone)), "clone", "-q", "--shared", ".", "../again")
    return clone.parent / "again"


def borrowing_by_a_relative_path_and_in_a_circle(clone: Path) -> Path:
    (clone / ".git/objects/info/alternates").write_text("../../../borrowing/.git/objects\n")
    other = borrowing(clone)
    (other / ".git/objects/info/alternates").write_text("# whence\n\n/nowhere\n../../../clone/.git/objects\n.\n")
    return other


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
        worktree,
        worktree_of_a_packed_clone,
        with_its_git_folder_elsewhere,
        with_a_relative_pointer,
        borrowing,
        borrowing_from_one_that_borrows,
        borrowing_by_a_relative_path_and_in_a_circle,
    ],
)
def test_the_commit_is_read_however_the_repository_is_laid_out(clone, layout):
    there = layout(clone)
    sha = git(there, "rev-parse", "HEAD") if layout is not with_a_relative_pointer else head(there)
    assert read_commit(there, sha) == Commit("Change number 19", "Ada Löve")


def test_every_commit_of_a_pack_is_read(clone):
    packed_in_long_chains_of_deltas(clone)
    log = git(clone, "log", "--format=%H %s").splitlines()
    assert len(log) == 101
    for line in log:
        sha, _, subject = line.partition(" ")
        assert read_commit(clone, sha).subject == subject


def test_what_git_wrote_in_another_encoding_is_read(clone):
    git(clone, "config", "i18n.commitEncoding", "ISO-8859-1")
    message = clone / "message"
    message.write_bytes("Größer".encode("latin-1"))
    git(clone, "commit", "-q", "--allow-empty", "-F", "message", "--author", "J\xfcrgen <j@example.com>")
    content = subprocess.run(["git", "cat-file", "commit", "HEAD"], cwd=clone, capture_output=True, check=True).stdout
    assert b"encoding ISO-8859-1" in content and b"Gr\xf6\xdfer" in content
    assert read_commit(clone, head(clone)).subject == "Größer"


WHO = b"author Ada <ada@example.com> 1700000000 +0100\ncommitter C <c@example.com> 1700000000 +0100\n"


@pytest.mark.parametrize(
    ("message", "subject"),
    [
        (b"One line", "One line"),
        (b"\n\n  First\n  second\n \t\nthird\n", "First second"),
        (b"First\r\nsecond\r\n\r\nthird\r\n", "First second"),
        (b"", ""),
        (b"\n\n", ""),
        (b"Mend \xff\xfe this", "Mend \ufffd\ufffd this"),
        (b"\x1b[31mRed\x1b[0m \x1b]0;title\x07and\x00 \xe2\x80\xaedettolb", "Red and dettolb"),
        (b"x" * 400, "x" * 299 + "…"),
        (b"\xf0\x9f\x9a\x80" * 10_000, "🚀" * 299 + "…"),
    ],
)
def test_the_subject_is_the_first_paragraph_on_one_line(message, subject):
    assert _parsed(b"tree " + b"0" * 40 + b"\n" + WHO + b"\n" + message).subject == subject


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
    read = _parsed(b"tree " + b"0" * 40 + b"\n" + line + b"\n\nSubject")
    assert read == Commit("Subject", author)


@given(st.binary())
def test_whatever_a_commit_holds_can_be_shown(content):
    for text in (_parsed(content).subject, _parsed(content).author):
        assert len(text) <= 300 and "\n" not in text and "\x1b" not in text
        text.encode()


def raw_object(clone: Path, kind: str, content: bytes) -> str:
    return git(clone, "hash-object", "-t", kind, "-w", "--stdin", "--literally", stdin=content)


def blob(clone: Path) -> str:
    return raw_object(clone, "blob", b"author Ada <ada@example.com>\n\nNot a commit")


def large(clone: Path) -> str:
    return raw_object(clone, "commit", b"tree " + b"0" * 40 + b"\n" + WHO + b"\n" + b"x" * 2_000_000)


def large_and_packed(clone: Path) -> str:
    sha = git(clone, "commit-tree", "HEAD^{tree}", stdin=b"x" * 2_000_000)
    git(clone, "update-ref", "refs/heads/large", sha)
    packed(clone)
    return sha


def loose(clone: Path, content: bytes, sha: str = "ab" * 20) -> str:
    file = clone / ".git/objects" / sha[:2] / sha[2:]
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    return sha


def fifo(clone: Path) -> str:
    sha = loose(clone, b"")
    file = clone / ".git/objects" / sha[:2] / sha[2:]
    file.unlink()
    os.mkfifo(file)
    return sha


def fifo_as_git_folder(clone: Path) -> str:
    shutil.rmtree(clone / ".git")
    os.mkfifo(clone / ".git")
    return "ab" * 20


def pointer_to(content: str):
    def point(clone: Path) -> str:
        shutil.rmtree(clone / ".git")
        (clone / ".git").write_text(content)
        return "ab" * 20

    return point


def without_git(clone: Path) -> str:
    shutil.rmtree(clone / ".git")
    return "ab" * 20


def fifos_as_packs(clone: Path) -> str:
    for suffix in ("idx", "pack"):
        os.mkfifo(clone / f".git/objects/pack/pack-1.{suffix}")
    return "ab" * 20


def index_without_its_pack(clone: Path) -> str:
    sha = head(packed(clone))
    for pack in (clone / ".git/objects/pack").glob("*.pack"):
        pack.unlink()
    return sha


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda clone: "ab" * 20, "not in this clone"),
        (lambda clone: "ab" * 32, "repositories with SHA-256 are not supported"),
        (lambda clone: head(clone)[:12], "not a commit's hash"),
        (lambda clone: "../../../../etc/passwd" + "a" * 18, "not a commit's hash"),
        (lambda clone: head(clone) + "\n", "not a commit's hash"),
        (lambda clone: "", "not a commit's hash"),
        (lambda clone: git(clone, "rev-parse", "HEAD^{tree}"), "a tree, not a commit"),
        (blob, "a blob, not a commit"),
        (large, "damaged or too large: larger than 1048576 bytes"),
        (large_and_packed, "damaged or too large: larger than 1048576 bytes"),
        (lambda clone: loose(clone, b""), "damaged or too large: no object"),
        (lambda clone: loose(clone, b"\0" * 100), "damaged or too large: "),
        (lambda clone: loose(clone, zlib.compress(b"commit 5\0hello")), "damaged: its content does not match its name"),
        (
            lambda clone: loose(clone, zlib.compress(b"commit " + b"9" * 5000 + b"\0")),
            "damaged or too large: larger than",
        ),
        (fifo, "not a regular file"),
        (fifos_as_packs, "not a regular file"),
        (fifo_as_git_folder, "not a regular file"),
        (index_without_its_pack, "not in this clone"),
        (pointer_to(""), ".git is neither a folder nor a pointer to one"),
        (pointer_to("gitdir: .git"), "not a directory"),
        (pointer_to("gitdir: /nowhere"), "not in this clone"),
        (pointer_to("gitdir: \0"), "not in this clone"),
        (without_git, "no .git in the clone"),
    ],
)
def test_what_is_no_commit_or_cannot_be_read_is_said(clone, make, reason):
    sha = make(clone)
    with pytest.raises(CommitNotRead) as error:
        read_commit(clone, sha)
    assert str(error.value).startswith(reason)


def test_a_repository_with_sha_256_is_said_not_to_be_supported(tmp_path, clone):
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q", "--object-format=sha256")
    with pytest.raises(CommitNotRead, match="SHA-256"):
        read_commit(other, commit(other, "Another hash"))


def test_a_damaged_pack_does_not_hide_a_sound_copy(clone):
    sha = head(packed(clone))
    store = clone / ".git/objects/pack"
    (index,) = store.glob("*.idx")
    (store / "pack-0.idx").write_bytes(index.read_bytes())
    (store / "pack-0.pack").write_bytes(b"PACK")
    assert read_commit(clone, sha).subject == "Change number 19"


@pytest.mark.parametrize("suffix", ["idx", "pack"])
def test_a_damaged_pack_gives_the_right_commit_or_none(clone, suffix):
    sha = head(packed(clone))
    (file,) = (clone / ".git/objects/pack").glob(f"*.{suffix}")
    file.chmod(0o644)
    sound = file.read_bytes()
    refused = 0
    damages = [sound[:at] for at in range(0, len(sound), 97)]
    damages += [sound[:at] + bytes([sound[at] ^ 0xFF]) + sound[at + 1 :] for at in range(0, min(len(sound), 6000), 7)]
    for damaged in damages:
        file.write_bytes(damaged)
        try:
            assert read_commit(clone, sha) == Commit("Change number 19", "Ada Löve")
        except CommitNotRead:
            refused += 1
    assert refused > len(sound) // 97  # each of the cut ones, at the least


def number(value: int) -> bytes:
    """As deltas and the sizes of packed objects are written: seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def entry(kind: int, size: int, content: bytes) -> bytes:
    rest = size >> 4
    first = kind << 4 | size & 15
    return (bytes([first | 128]) + number(rest) if rest else bytes([first])) + content


def delta(base: int, result: int, steps: bytes) -> bytes:
    """One of the entry before it."""
    content = number(base) + number(result) + steps
    return entry(6, len(content), b"<base>" + zlib.compress(content))


GIB = 1024**3
SHA = "ab" * 20
COPY_64_KIB = b"\x80"
INSERT_100 = bytes([100]) + b"x" * 100
# The entries of a pack; it is the last one that is asked for.
HARMFUL = {
    "a size without an end": [b"\xff" * 5_000_000],
    "a base without an end": [entry(6, 4, b"\xff" * 5_000_000)],
    "a size of a terabyte": [entry(1, 1024 * GIB, zlib.compress(b"x" * 1000))],
    "a commit of 50 MB": [entry(1, 50_000_000, zlib.compress(b"x" * 50_000_000))],
    "more than it declares": [entry(1, 1000, zlib.compress(b"x" * 50_000_000))],
    "a delta that makes a gigabyte": [entry(1, 65536, zlib.compress(b"x" * 65536)), delta(65536, GIB, COPY_64_KIB * 16384)],
    "a chain of large deltas": [
        entry(1, 1000, zlib.compress(b"x" * 1000)), *[delta(1000, 1_000_000, INSERT_100 * 10_000)] * 50
    ],
    "a chain of very many deltas": [entry(1, 1, zlib.compress(b"x")), *[delta(1, 1, b"\1x")] * 200_000],
    "a delta of itself": [entry(6, 3, b"\0" + zlib.compress(b"\1\1\1"))],
    "a delta of what it names": [entry(7, 3, bytes.fromhex(SHA) + zlib.compress(b"\1\1\1"))],
    "a delta of what is before the pack": [entry(6, 3, b"\x7f" + zlib.compress(b"\1\1\1"))],
    "a delta of what is not there": [entry(7, 3, b"\1" * 20 + zlib.compress(b"\1\1\1"))],
    "a kind that does not exist": [entry(5, 3, zlib.compress(b"abc"))],
    "no delta": [entry(6, 0, b"\1" + zlib.compress(b""))],
}  # fmt: skip

MEASURED = """
import json, os, re, time
from pathlib import Path
from pipe.evidence.commit import CommitNotRead, read_commit
try:
    read_commit(Path("warm"), "cd" * 20)  # brings in what a sound repository needs
except CommitNotRead as error:
    if "name" not in str(error):
        raise
# Not ru_maxrss: that starts with what the parent had
peak = lambda: int(re.search("VmHWM: *([0-9]+) kB", Path("/proc/self/status").read_text().replace("\t", " "))[1])
before, started, open_files = peak(), time.process_time(), os.listdir("/proc/self/fd")
try:
    read_commit(Path("hostile"), "ab" * 20)
except CommitNotRead as error:
    reason = str(error)
if os.listdir("/proc/self/fd") != open_files:
    raise SystemExit("a file was left open")
print(json.dumps([peak() - before, time.process_time() - started, reason]))
"""


def pack(store: Path, sha: str, entries: list[bytes]) -> None:
    """A pack and its index, in which the last entry is called `sha`."""
    store.mkdir(parents=True)
    content = bytearray(b"PACK" + struct.pack(">LL", 2, 1))
    before = offset = 12
    for part in entries:
        before, offset = offset, len(content)
        back = offset - before
        content += part.replace(b"<base>", bytes([(back >> 7) - 1 | 128, back & 127] if back > 127 else [back]))
    content += hashlib.sha1(content).digest()
    (store / "pack-1.pack").write_bytes(content)
    fan_out = [int(value >= int(sha[:2], 16)) for value in range(256)]
    index = b"\xfftOc" + struct.pack(">L256L", 2, *fan_out) + bytes.fromhex(sha) + struct.pack(">LL", 0, offset)
    (store / "pack-1.idx").write_bytes(index + content[-20:] + hashlib.sha1(index).digest())


def measured(root: Path) -> tuple[int, float, str]:
    """KiB of memory and seconds that it took to refuse the commit in `root`/hostile, in a process of its own, and why
    it did. Whatever Python has to say of files left open would be on standard error. Without assertions, as in the
    image: dulwich guards itself with some."""
    content = b"tree " + b"0" * 40 + b"\n"
    pack(root / "warm/.git/objects/pack", "cd" * 20, [entry(1, len(content), zlib.compress(content))])
    process = subprocess.run(
        [sys.executable, "-OO", "-W", "error", "-c", MEASURED],
        cwd=root, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True,
    )  # fmt: skip
    assert process.returncode == 0 and not process.stderr, process.stderr
    return tuple(json.loads(process.stdout))


@pytest.mark.parametrize("harm", HARMFUL)
def test_no_pack_costs_much_memory_or_time(tmp_path, harm):
    pack(tmp_path / "hostile/.git/objects/pack", SHA, HARMFUL[harm])
    memory, seconds, reason = measured(tmp_path)
    assert reason.startswith("damaged or too large: ")
    assert memory < (12 if "chain" in harm else 4) * 1024
    assert seconds < 1


@pytest.mark.parametrize("content", [b"commit 50000000\0" + b"x" * 50_000_000, b"commit 100\0" + b"x" * 50_000_000])
def test_no_loose_object_costs_much_memory_or_time(tmp_path, content):
    (tmp_path / "hostile/.git/objects").mkdir(parents=True)
    loose(tmp_path / "hostile", zlib.compress(content), SHA)
    memory, seconds, reason = measured(tmp_path)
    assert reason.startswith("damaged")
    assert memory < 8 * 1024
    assert seconds < 1


# The image holds these and nothing else of dulwich.
NEEDED = {
    "dulwich",
    "dulwich._typing",
    "dulwich.errors",
    "dulwich.file",
    "dulwich.lru_cache",
    "dulwich.object_format",
    "dulwich.objects",
    "dulwich.pack",
}


def test_no_more_of_dulwich_is_needed_than_the_image_holds(clone, tmp_path):
    import dulwich

    for name in NEEDED:
        source = Path(dulwich.__file__).parent.joinpath(*name.split(".")[1:])
        source = source / "__init__.py" if source.is_dir() else source.with_suffix(".py")
        target = tmp_path / "pruned/dulwich" / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    (tmp_path / "pruned/pipe").symlink_to(REPOSITORY / "pipe")
    sha = head(packed(clone))
    read = (
        "import sys; from pathlib import Path; from pipe.evidence.commit import read_commit;"
        f"print(read_commit(Path({str(clone)!r}), {sha!r}));"
        "print(*sorted(name for name in sys.modules if name.partition('.')[0] == 'dulwich'))"
    )
    process = subprocess.run(
        [sys.executable, "-S", "-c", read], env={"PYTHONPATH": str(tmp_path / "pruned")}, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines() == [
        "Commit(subject='Change number 19', author='Ada Löve')",
        " ".join(sorted(NEEDED)),
    ]
