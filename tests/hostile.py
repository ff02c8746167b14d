"""Clones that somebody made to keep a page from going out. Each function makes one in a folder; `ALL` has them by name.

The commit that is asked for is COMMIT, but in the clone of 10 000 commits, whose maker returns its own.
"""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

COMMIT = "ab" * 20
SUBJECT = "Change number 9999"  # of the last of 10 000 commits
REPORT = "test-results/junit.xml"
FAILING = '<testcase classname="tests.test_cart" name="test_count"><failure message="assert 3 == 4">trace</failure></testcase>'
FAILED = "tests.test_cart.test_count: assert 3 == 4"  # the entry that it makes

PIPELINES = "bitbucket-pipelines.yml"
PLAIN_STEP = """\
      - step:
          name: unit tests
          script: [make test]
          after-script:
            - pipe: acme/pagerduty-events:1.0.0
              variables: {ALERT_NAME: unit tests, INTEGRATION_KEY: $KEY}
"""


def _write(clone: Path, path: str, content: str | bytes | Iterable[str]) -> None:
    file = clone / path
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        with file.open("w") as out:
            out.writelines([content] if isinstance(content, str) else content)


def _files(folder: Path, names: Iterable[str], content: bytes = b"") -> None:
    """Very many files, soon made: ten thousand at a time are links to one."""
    here = os.open(folder, os.O_RDONLY)
    for number, name in enumerate(names):
        if number % 10_000 == 0:
            first = name
            (folder / first).write_bytes(content)
        else:
            os.link(first, name, src_dir_fd=here, dst_dir_fd=here)
    os.close(here)


# bitbucket-pipelines.yml


def merge_bomb(clone: Path) -> None:
    """A few hundred bytes whose `<<` merges double with every line."""
    lines = ["a0: &a0 {x: 1, y: 2}\n"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12)]
    _write(clone, PIPELINES, [*lines, "pipelines:\n  default:\n", PLAIN_STEP])


def alias_bomb(clone: Path) -> None:
    """Steps in steps in steps, each ten times the one before."""
    lines = ["a0: &a0 [{step: {name: x, script: [a]}}]\n"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)]
    _write(clone, PIPELINES, [*lines, "pipelines:\n  default: *a9\n"])


def list_of_80_000_items(clone: Path) -> None:
    _write(clone, PIPELINES, ["pipelines:\n  default:\n", PLAIN_STEP, "x:\n", *["- a\n"] * 80_000])


def names_of_33_000_variables(clone: Path) -> None:
    """Nine pipes in one step, whose names could be any other in very many ways."""
    item = "            - {pipe: acme/pagerduty-events:1.0.0, variables: {ALERT_NAME: '%sN'}}\n" % ("$a-" * 33_000)
    _write(clone, PIPELINES, ["pipelines:\n  default:\n", PLAIN_STEP, *[item] * 9])


def deep_yaml(clone: Path) -> None:
    _write(clone, PIPELINES, "[" * 100_000)


def endless_yaml(clone: Path) -> None:
    """A file of 1 GB that takes no place on the disk."""
    _write(clone, PIPELINES, "pipelines:\n")
    os.truncate(clone / PIPELINES, 1024**3)


# .git


def _number(value: int) -> bytes:
    """As deltas and the sizes of packed objects are written: seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _entry(kind: int, size: int, content: bytes) -> bytes:
    rest = size >> 4
    first = kind << 4 | size & 15
    return (bytes([first | 128]) + _number(rest) if rest else bytes([first])) + content


def _pack(clone: Path, entries: list[bytes], keep: float = 1.0) -> None:
    """A pack and its index, in which the last entry is called COMMIT; of the pack only the first part is kept."""
    store = clone / ".git/objects/pack"
    store.mkdir(parents=True)
    (clone / ".git/refs").mkdir()
    (clone / ".git/HEAD").write_text("ref: refs/heads/main\n")
    content = bytearray(b"PACK" + struct.pack(">LL", 2, 1))
    before = offset = 12
    for part in entries:
        before, offset = offset, len(content)
        back = offset - before
        content += part.replace(b"<base>", bytes([(back >> 7) - 1 | 128, back & 127] if back > 127 else [back]))
    content += hashlib.sha1(content).digest()
    (store / "pack-1.pack").write_bytes(content[: int(len(content) * keep)])
    fan_out = [int(value >= int(COMMIT[:2], 16)) for value in range(256)]
    index = b"\xfftOc" + struct.pack(">L256L", 2, *fan_out) + bytes.fromhex(COMMIT) + struct.pack(">LL", 0, offset)
    (store / "pack-1.idx").write_bytes(index + content[-20:] + hashlib.sha1(index).digest())


def delta_of_500_mb(clone: Path) -> None:
    """A pack of 2 KB whose delta copies 64 KiB of nothing 8 000 times."""
    base = zlib.compress(b"x" * 65536, 9)
    delta = _number(65536) + _number(65536 * 8000) + b"\x80" * 8000
    _pack(clone, [_entry(1, 65536, base), _entry(6, len(delta), b"<base>" + zlib.compress(delta, 9))])


def _deflated(head: bytes, piece: bytes, times: int) -> bytes:
    """`head` and so many times `piece`, as zlib writes them; compressed is the piece only once."""
    raw = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    begin = raw.compress(head) + raw.flush(zlib.Z_FULL_FLUSH)
    again = raw.compress(piece) + raw.flush(zlib.Z_FULL_FLUSH)
    checksum = zlib.adler32(head)
    for _ in range(times):
        checksum = zlib.adler32(piece, checksum)
    return b"\x78\xda" + begin + again * times + raw.flush() + struct.pack(">L", checksum)


def commit_of_500_mb(clone: Path) -> None:
    _pack(clone, [_entry(1, 500_000_000, _deflated(b"", b"x" * 1_000_000, 500))])


def chain_of_200_000_deltas(clone: Path) -> None:
    step = _number(1) + _number(1) + b"\1x"
    link = _entry(6, len(step), b"<base>" + zlib.compress(step))
    _pack(clone, [_entry(1, 1, zlib.compress(b"x")), *[link] * 200_000])


def delta_of_itself(clone: Path) -> None:
    _pack(clone, [_entry(7, 3, bytes.fromhex(COMMIT) + zlib.compress(b"\1\1\1"))])


def truncated_pack(clone: Path) -> None:
    _pack(clone, [_entry(1, 100_000, zlib.compress(os.urandom(100_000)))], keep=0.5)


def loose_of_500_mb(clone: Path) -> None:
    content = _deflated(b"commit 500000000\0", b"x" * 1_000_000, 500)
    _write(clone, f".git/objects/{COMMIT[:2]}/{COMMIT[2:]}", content)


def indexes_100_000(clone: Path) -> None:
    """100 000 `*.idx` files, and a pack for each thousandth of them."""
    _pack(clone, [_entry(1, 1, zlib.compress(b"x"))])
    store = clone / ".git/objects/pack"
    index, pack = (store / "pack-1.idx").read_bytes(), (store / "pack-1.pack").read_bytes()
    _files(store, (f"pack-x{number}.idx" for number in range(100_000)), index)
    _files(store, (f"pack-x{number}.pack" for number in range(0, 100_000, 1000)), pack)


def borrowing_in_a_circle(clone: Path) -> None:
    _write(clone, ".git/objects/info/alternates", str(clone / ".git/objects"))


def git_of_itself(clone: Path) -> None:
    _write(clone, ".git", "gitdir: .git\n")


def endless_git(clone: Path) -> None:
    """A `.git` file of 1 GB without a line's end."""
    _write(clone, ".git", "gitdir: ")
    os.truncate(clone / ".git", 1024**3)


def commits_10_000(clone: Path) -> str:
    """No harm, only size: 10 000 commits in one pack. Returns the last one's hash; its subject is SUBJECT. Needs git."""
    subprocess.run(["git", "init", "-q", "-b", "main", str(clone)], check=True)
    stream = "".join(
        "commit refs/heads/main\nauthor Ada Lovelace <ada@example.org> 1700000000 +0100\n"
        f"committer C <c@example.org> {1700000000 + number} +0100\ndata <<END\nChange number {number}\nEND\n"
        f"M 644 inline file{number % 200}\ndata <<END\n{'line of text ' * 20}{number}\nEND\n"
        for number in range(10_000)
    )
    subprocess.run(["git", "-C", str(clone), "fast-import", "--quiet"], input=stream.encode(), check=True)
    subprocess.run(["git", "-C", str(clone), "repack", "-adfq", "--depth=50"], check=True)
    head = subprocess.run(["git", "-C", str(clone), "rev-parse", "main"], check=True, capture_output=True, text=True)
    return head.stdout.strip()


# reports


def entity_bomb(clone: Path) -> None:
    names = "abcdefghij"
    entities = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in pairwise(names))
    _write(
        clone,
        REPORT,
        f'<!DOCTYPE testsuite [<!ENTITY a "{"a" * 1000}">{entities}]><testsuite name="&j;">{FAILING}</testsuite>',
    )


def entity_in_a_circle(clone: Path) -> None:
    _write(
        clone, REPORT, f'<!DOCTYPE testsuite [<!ENTITY a "&b;"><!ENTITY b "&a;">]><testsuite>&a;{FAILING}</testsuite>'
    )


def entity_from_outside(clone: Path) -> None:
    _write(
        clone,
        REPORT,
        f'<!DOCTYPE testsuite [<!ENTITY a SYSTEM "file:///etc/passwd">]><testsuite>{FAILING}&a;</testsuite>',
    )


def report_of_20_mb(clone: Path) -> None:
    """10 000 tests, the last of which failed."""
    case = '<testcase classname="tests.test_cart" name="test_{}" time="0.001"><system-out>{}</system-out></testcase>\n'
    output = "a line of output with &lt;markup&gt; &amp; ünïcödé\n" * 39
    _write(
        clone,
        REPORT,
        [
            "<testsuites><testsuite>",
            *(case.format(n, output) for n in range(9_999)),
            FAILING,
            "</testsuite></testsuites>",
        ],
    )


def report_without_an_end(clone: Path) -> None:
    """A failing test, and then 200 MB in one attribute."""
    _write(clone, REPORT, ["<testsuite>", FAILING, '<testcase name="', *["x" * 1_000_000] * 200])


def text_without_an_end(clone: Path) -> None:
    """A failing test, and then 200 MB of a passing test's output."""
    _write(clone, REPORT, ["<testsuite>", FAILING, "<testcase><system-out>", *["lines of it\n" * 90_000] * 200])


def nesting_without_an_end(clone: Path) -> None:
    _write(clone, REPORT, ["<testsuite>", FAILING, *["<a>" * 1_000_000] * 20])


def names_without_an_end(clone: Path) -> None:
    names = "".join(f"<a_{n:x}/>" for n in range(20_000))
    _write(clone, REPORT, ["<testsuite>", FAILING, *(names.replace("_", f"{n:x}_") for n in range(100))])


def failures_200_000(clone: Path) -> None:
    _write(
        clone,
        REPORT,
        ["<testsuite>", FAILING, *(f"<testcase name='{n}'><failure/></testcase>" for n in range(200_000))],
    )


def report_of_1_gb_of_nothing(clone: Path) -> None:
    _write(clone, REPORT, "")
    os.truncate(clone / REPORT, 1024**3)


def reports_100_000(clone: Path) -> None:
    """100 000 reports in one folder; a sound one is the first of them."""
    _write(clone, "test-results/a.xml", f"<testsuite>{FAILING}</testsuite>")
    _files(clone / "test-results", (f"b{number}.xml" for number in range(100_000)))


def folders_32_000(clone: Path) -> None:
    """A clone of 32 000 files in 1 600 folders, with one report."""
    folders = [f"a{number % 8}/b{number % 40}/c{number}" for number in range(1600)]
    for folder in folders:
        (clone / "src" / folder).mkdir(parents=True)
    _files(clone / "src", (f"{folder}/File{file}.java" for folder in folders for file in range(20)))
    _write(clone, REPORT, f"<testsuite>{FAILING}</testsuite>")


def folders_without_an_end(clone: Path) -> None:
    """Folders 1 500 deep, and links that lead back."""
    _write(clone, "test-results/a.xml", f"<testsuite>{FAILING}</testsuite>")
    (clone / "test-results/back").symlink_to("..")
    here = os.open(clone / "test-results", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("f", dir_fd=here)
        below = os.open("f", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


# every file


def fifos(clone: Path) -> None:
    """A FIFO in the place of each file that is read: whoever opens one waits for ever."""
    folders = (".git/objects/pack", ".git/objects/info", f".git/objects/{COMMIT[:2]}", "test-results")
    for folder in folders:
        (clone / folder).mkdir(parents=True)
    for path in (
        PIPELINES, REPORT, ".git/commondir", ".git/config", ".git/HEAD", ".git/packed-refs", ".git/objects/info/alternates",
        ".git/objects/pack/pack-1.idx", ".git/objects/pack/pack-1.pack", f".git/objects/{COMMIT[:2]}/{COMMIT[2:]}",
    ):  # fmt: skip
        os.mkfifo(clone / path)


def fifo_as_git(clone: Path) -> None:
    os.mkfifo(clone / ".git")


def plain(clone: Path) -> None:
    """No harm at all: the file, and a report, beside which the others can be measured."""
    _write(clone, PIPELINES, f"pipelines:\n  default:\n{PLAIN_STEP}")
    _write(clone, REPORT, f"<testsuites><testsuite>{FAILING}</testsuite></testsuites>")


ALL: dict[str, Callable[[Path], object]] = {
    make.__name__: make
    for make in (
        merge_bomb, alias_bomb, list_of_80_000_items, names_of_33_000_variables, deep_yaml, endless_yaml,
        delta_of_500_mb, commit_of_500_mb, chain_of_200_000_deltas, delta_of_itself, truncated_pack, loose_of_500_mb,
        indexes_100_000, borrowing_in_a_circle, git_of_itself, endless_git, commits_10_000,
        entity_bomb, entity_in_a_circle, entity_from_outside, report_of_20_mb, report_without_an_end, text_without_an_end,
        nesting_without_an_end, names_without_an_end, failures_200_000, report_of_1_gb_of_nothing, reports_100_000,
        folders_32_000, folders_without_an_end, fifos, fifo_as_git, plain,
    )
}  # fmt: skip
