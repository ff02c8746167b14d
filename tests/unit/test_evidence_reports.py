"""Which tests failed, by the reports in a clone: those of real tools, and those that somebody made to do harm."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipe.evidence.reports import failing_tests

REPOSITORY = Path(__file__).parent.parent
SAMPLES = Path(__file__).parent / "reports"


def report(*failures: str, suite: str = "s") -> str:
    cases = "".join(f'<testcase classname="c" name="{name}"><failure message="broke"/></testcase>' for name in failures)
    return f'<testsuites><testsuite name="{suite}">{cases}</testsuite></testsuites>'


def put(root: Path, path: str, content: str | bytes) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def read(root: Path, content: str | bytes):
    put(root, "r.xml", content)
    return failing_tests(root, ["r.xml"])


WRITTEN_BY_TOOLS = {
    "pytest.xml": [
        "test_cart.TestCart.test_applies_a_discount: AssertionError: the discount of 10 % on 89 EUR",
        "test_cart.TestCart.test_rounds[\\u65e5\\u672c\\u5186]: AssertionError: assert '日本円' == 'EUR'",
        'test_cart.test_opens: failed on setup with "ConnectionError: no shop at port 5432',
        "test_cart.test_closes: AssertionError: red & <angry>",
        'test_cart.test_closes: failed on teardown with "RuntimeError: the till did not close"',
    ],
    "jest-junit.xml": [
        "Cart applies a discount: Error: expect(received).toEqual(expected) // deep equality",
        "Cart when it is empty costs nothing: TypeError: Cannot read properties of undefined (reading 'total')",
        "a test without a suite: Error: rejected",
    ],
    "jest-junit-configured.xml": [
        "Cart.applies a discount: Error: expect(received).toEqual(expected) // deep equality",
        "Cart when it is empty.costs nothing: TypeError: Cannot read properties of undefined (reading 'total')",
        "t/cart.test.js.a test without a suite: Error: rejected",
        "Test suite failed to run.t/broken.test.js: ● Test suite failed to run",
        'Test suite failed to run.t/broken.test.js: {"code":"MODULE_NOT_FOUND","hint":"","requireStack":'
        '["/opt/atlassian/pipelines/agent/build/t/broken.test.js"],"siblingWithSimilarExtensionFound":false,'
        '"moduleName":"./no-such-module","_originalMessage":"Cannot find module \'./no-such-module\' from \'broken.te…',
    ],
    "surefire.xml": [  # not CartTest.isFlaky, which passed when it was run again
        "com.acme.shop.CartTest.appliesADiscount: the discount of 10 % expected:<80> but was:<90>",
        "com.acme.shop.CartTest.paintsItRed: red & <angry>",
        "com.acme.shop.CartTest.namesNoReason: java.lang.AssertionError",
        'com.acme.shop.CartTest.isEmpty: Cannot invoke "String.length()" because "<local1>" is null',
    ],
    "gotestsum.xml": [  # all three messages are "Failed": what broke stands in the text
        "github.com/acme/shop/cart.TestDiscount/ten_percent: cart_test.go:14: total = 90, want 80",
        "github.com/acme/shop/cart.TestDiscount: Failed",
        "github.com/acme/shop/cart.TestEmpty: panic: runtime error: index out of range [0] with length 0 [recovered]",
    ],
    "dotnet.xml": [
        "Acme.Shop.Tests.CartTests.AppliesADiscount(percent: 10): Expected: 80",
        "Acme.Shop.Tests.CartTests.AppliesADiscount(percent: 10): Expected: 80",
        "Acme.Shop.Tests.CartTests.IsEmpty: System.NullReferenceException : Object reference not set to an instance "
        "of an object.",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("*.xml")))
def test_the_reports_of_these_tools_are_read(name):
    found = failing_tests(SAMPLES, [name])
    assert list(found.entries) == WRITTEN_BY_TOOLS[name]
    assert (found.total, found.files, found.skipped) == (len(WRITTEN_BY_TOOLS[name]), 1, ())


CASE = '<testsuite name="s"><testcase classname="c" name="n">{}</testcase></testsuite>'


@pytest.mark.parametrize(
    ("content", "entries"),
    [
        ('<failure message="a&#10;b" type="T">text</failure>', ["c.n: a"]),
        ('<failure message="&#10; &#9;&#10; a ">text</failure>', ["c.n: a"]),
        ('<failure message="" type="T">text</failure>', ["c.n: T"]),
        ("<failure>\n\n  first <![CDATA[& only]]>\nsecond</failure>", ["c.n: first & only"]),
        ("<failure/>", ["c.n:"]),
        ('<failure message="Failed">=== RUN n\n--- FAIL: n</failure>', ["c.n: Failed"]),
        ('<failure message="#x1B[1;31mred#x1B[0m &#155;2mdim\u2028next"/>', ["c.n: red dim"]),
        ('<failure message="\ufffd[31mred \u202eder\u202c"/>', ["c.n: red der"]),
        ('<error message="a"/><failure message="b"/>', ["c.n: a"]),
        ("<flakyFailure/><rerunFailure/><skipped/><system-out>failure</system-out>", []),
        ("<properties><failure/></properties>", []),
    ],
)
def test_the_first_line_is_that_of_the_message_else_the_type_else_the_text(tmp_path, content, entries):
    found = read(tmp_path, CASE.format(content))
    assert (list(found.entries), found.total, found.skipped) == (entries, len(entries), ())


@pytest.mark.parametrize(
    ("content", "entry"),
    [
        ('<testsuite name="s"><testcase name="n"><error/></testcase></testsuite>', "s.n:"),
        ('<testsuite name="s"><testcase><error/></testcase></testsuite>', "s:"),
        ("<testsuite><testcase><error/></testcase></testsuite>", "a test without a name:"),
        ('<testsuite name="s"><error message="no fixture"/></testsuite>', "s: no fixture"),
        ('<testsuite name="a"><testsuite name="b"/><testcase name="n"><error/></testcase></testsuite>', "a.n:"),
        (
            '<testsuite name="a"><testsuite name="b"><testcase name="n"><error/></testcase></testsuite></testsuite>',
            "b.n:",
        ),
        ('<testsuite><testcase classname="Cart" name="Cartwheel"><error/></testcase></testsuite>', "Cart.Cartwheel:"),
        ('<testsuite><testcase classname="a&#10; b" name="c&#9;d"><error/></testcase></testsuite>', "a b.c d:"),
        ('<j:testsuite xmlns:j="u" name="s"><j:testcase name="n"><j:error/></j:testcase></j:testsuite>', "s.n:"),
    ],
)
def test_a_case_is_named_by_its_class_else_by_its_suite(tmp_path, content, entry):
    assert read(tmp_path, content).entries == (entry,)


def test_long_entries_are_cut_so_that_the_message_keeps_its_place(tmp_path):
    found = read(
        tmp_path,
        f'<testsuite name="{"s" * 500}"><testcase name="n"><error message="{"m" * 500}"/></testcase></testsuite>',
    )
    assert [(len(entry), entry.count("s"), entry.count("m")) for entry in found.entries] == [(300, 199, 97)]


def test_only_the_first_entries_are_kept_and_all_are_counted(tmp_path):
    put(tmp_path, "a.xml", report(*map(str, range(15))))
    put(tmp_path, "b.xml", report(*map(str, range(15, 30))))
    found = failing_tests(tmp_path, ["*.xml"])
    assert (len(found.entries), found.total) == (20, 30)
    assert found.entries[::19] == ("c.0: broke", "c.19: broke")
    assert failing_tests(tmp_path, ["*.xml"], limit=0).total == 30


def test_a_case_counts_once_however_many_reports_repeat_it_but_as_often_as_one_report_has_it(tmp_path):
    put(tmp_path, "a.xml", report("twice", "twice"))
    put(tmp_path, "b.xml", report("twice", "once", suite="of another tool"))
    found = failing_tests(tmp_path, ["*.xml"])
    assert (found.total, found.files) == (3, 2)
    assert found.entries == ("c.twice: broke", "c.twice: broke", "c.once: broke")


TEXT = '<testsuite name="s"><testcase name="é"><error/></testcase></testsuite>'


@pytest.mark.parametrize(
    ("content", "entries", "reason"),
    [
        (TEXT.encode(), ("s.é:",), ""),
        (b"\xef\xbb\xbf" + TEXT.encode(), ("s.é:",), ""),
        (TEXT.encode("utf-16"), ("s.é:",), ""),
        (f"<?xml version='1.0' encoding='ISO-8859-1'?>{TEXT}".encode("latin-1"), ("s.é:",), ""),
        (f"<?xml version='1.0' encoding='windows-1252'?>{TEXT}".encode("cp1252"), ("s.é:",), ""),
        (TEXT.encode("latin-1"), (), "broken XML in line 1"),
        (b"<?xml version='1.0' encoding='no-such'?><testsuite/>", (), "in an encoding that cannot be read"),
        (b"<?xml version='1.0' encoding='shift_jis'?><testsuite/>", (), "in an encoding that cannot be read"),
        (b"<?xml version='1.0' encoding='base64'?><testsuite/>", (), ""),
    ],
)
def test_encodings_are_read_as_declared(tmp_path, content, entries, reason):
    found = read(tmp_path, content)
    assert found.entries == entries
    assert reason in " ".join(found.skipped)
    assert found.files or found.skipped


BOMB = '<!DOCTYPE testsuite [<!ENTITY a "{}">{}]><testsuite name="&j;"/>'.format(
    "a" * 1000, "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True))
)


@pytest.mark.parametrize(
    ("content", "total", "reason"),
    [
        ("", 0, "r.xml: broken XML in line 1 (no element found)"),
        ("not XML", 0, "r.xml: broken XML in line 1 (syntax error)"),
        (b"\0" * 1000, 0, "r.xml: broken XML in line 1"),
        (report("a")[:-20], 1, "r.xml: broken XML in line 1 (unclosed token); what stands before was read"),
        (report("a") + "<a>", 1, "broken XML in line 1 (junk after document element); what stands before was read"),
        (report("a", "b\x1b"), 1, "what stands before was read"),
        (report("a", "&b;"), 1, "broken XML in line 1 (undefined entity); what stands before was read"),
        ("<coverage/>", 0, "r.xml: not a JUnit report (coverage)"),
        ("<failure/>", 0, "r.xml: not a JUnit report (failure)"),
        ('<!DOCTYPE suite SYSTEM "https://testng.org/testng-1.0.dtd"><suite/>', 0, "r.xml: not a JUnit report (suite)"),
        (f'<!DOCTYPE testsuite SYSTEM "file:///etc/passwd">{report("a")}', 0, "r.xml: has a document type"),
        (BOMB, 0, "r.xml: has a document type"),
        ("<testsuite>" + "<a>" * 101, 0, "elements nested more than 100 deep; what stands before was read"),
    ],
)
def test_what_is_no_report_or_a_broken_one_is_read_up_to_there_and_said(tmp_path, content, total, reason):
    found = read(tmp_path, content)
    assert (found.total, len(found.skipped)) == (total, 1)
    assert reason in found.skipped[0]


def test_a_report_that_ends_in_the_midst_of_a_message_shows_what_there_is_of_it(tmp_path):
    found = read(tmp_path, CASE.partition("{}")[0] + "<failure>\nthe first line\nthe sec")
    assert found.entries == ("c.n: the first line",)
    assert "what stands before was read" in found.skipped[0]


def test_only_the_first_reasons_are_said_and_the_others_counted(tmp_path):
    for number in range(50):
        put(tmp_path, f"{number:02}.xml", "")
    skipped = failing_tests(tmp_path, ["*.xml"]).skipped
    assert len(skipped) == 21
    assert skipped[19].startswith("19.xml: ") and skipped[20] == "and 30 more"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("test-results/r.xml", True),
        ("test-reports/r.xml", True),
        ("TestResults/0a1b/r.xml", True),
        ("target/surefire-reports/TEST-r.xml", True),
        ("a/b/c/failsafe-reports/r.xml", True),
        ("a/b/c/test-results/x/y/z/r.xml", True),
        (".build/test-results/r.xml", True),
        ("a/b/c/d/e/test-results/r.xml", False),
        ("r.xml", False),
        ("reports/r.xml", False),
        ("test-results/r.XML.txt", False),
        ("testresults/r.xml", False),
        (".git/test-results/r.xml", False),
        ("node_modules/a/test-results/r.xml", False),
        ("test-results/node_modules/r.xml", False),
    ],
)
def test_without_patterns_the_folders_are_bitbuckets_own(tmp_path, path, found):
    put(tmp_path, path, report("a"))
    assert failing_tests(tmp_path, None).total == int(found)


def test_other_xml_in_bitbuckets_own_folders_is_passed_over_in_silence(tmp_path):
    put(tmp_path, "TestResults/1/coverage.cobertura.xml", "<coverage/>")
    put(tmp_path, "surefire-reports/testng-failed.xml", '<!DOCTYPE suite SYSTEM "testng-1.0.dtd"><suite/>')
    put(tmp_path, "surefire-reports/r.xml", report("a"))
    found = failing_tests(tmp_path, None)
    assert (found.total, found.files, found.skipped) == (1, 1, ())
    put(tmp_path, "surefire-reports/r.xml", "<testsui")
    assert "broken XML" in failing_tests(tmp_path, None).skipped[0]


PATHS = ("r.xml", "a/r.xml", "a/b/r.xml", "a/b/s.xml", "a/.c/junit-1.xml", "a/[x]/r.xml", "d/e/f/g/r.xml", "a/r.txt")


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["r.xml"], {"r.xml"}),
        (["./a//r.xml"], {"a/r.xml"}),
        (["*.xml"], {"r.xml"}),
        (["*/*.xml"], {"a/r.xml"}),
        (["**/r.xml"], {"r.xml", "a/r.xml", "a/b/r.xml", "a/[x]/r.xml", "d/e/f/g/r.xml"}),
        (["a/**/*.xml"], {"a/r.xml", "a/b/r.xml", "a/b/s.xml", "a/.c/junit-1.xml", "a/[x]/r.xml"}),
        (["a/**/**/s.xml"], {"a/b/s.xml"}),
        (["a/**"], {"a/r.xml", "a/b/r.xml", "a/b/s.xml", "a/.c/junit-1.xml", "a/[x]/r.xml"}),
        (["**junit-*.xml"], {"a/.c/junit-1.xml"}),
        (["a/b"], {"a/b/r.xml", "a/b/s.xml"}),
        (["a/b/"], {"a/b/r.xml", "a/b/s.xml"}),
        (["{a/b,d/e/*/g}/{r,s}.xml"], {"a/b/r.xml", "a/b/s.xml", "d/e/f/g/r.xml"}),
        (["a/b/[rt].xml", "a/?/s.xml"], {"a/b/r.xml", "a/b/s.xml"}),
        ([r"a/\[x]/r.xml"], {"a/[x]/r.xml"}),
        (["a/*.txt"], {"a/r.txt"}),
        (["A/r.xml"], set()),
        ([], set()),
    ],
)
def test_patterns_are_bitbuckets_globs_relative_to_the_clone(tmp_path, patterns, found):
    for path in PATHS:
        put(tmp_path, path, report(path))
    result = failing_tests(tmp_path, patterns)
    assert {entry.removeprefix("c.").partition(":")[0] for entry in result.entries} == found
    assert result.skipped == ()


def test_an_absolute_pattern_inside_the_clone_is_read(tmp_path):
    put(tmp_path, "a/r.xml", report("a"))
    assert failing_tests(tmp_path, [f"{tmp_path.resolve()}/a/*.xml"]).total == 1


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("../outside/*.xml", "leads out of the clone"),
        ("a/../../outside/*.xml", "leads out of the clone"),
        ("{a,..}/outside/*.xml", "leads out of the clone"),
        ("/etc/*.xml", "leads out of the clone"),
        ("{1..100000}.xml", "not a pattern"),
        ("link/*.xml", "link: leads out of the clone"),
        ("link", "link: leads out of the clone"),
        ("reports/file.xml", "reports/file.xml: leads out of the clone"),
        ("reports/*.xml", "reports/file.xml: leads out of the clone"),
        ("*/r.xml", None),
        ("**/*.xml", None),
    ],
)
def test_nothing_outside_of_the_clone_is_read(tmp_path, pattern, reason):
    put(tmp_path, "outside/r.xml", report("secret"))
    clone = tmp_path / "clone"
    (clone / "reports").mkdir(parents=True)
    (clone / "link").symlink_to(tmp_path / "outside")
    (clone / "reports/file.xml").symlink_to("../../outside/r.xml")
    found = failing_tests(clone, [pattern])
    assert (found.total, found.files) == (0, 0)
    assert reason is None or reason in found.skipped[0]


def test_links_within_the_clone_are_followed_and_lead_round_in_no_circle(tmp_path):
    put(tmp_path, "out/r.xml", report("a"))
    (tmp_path / "test-results").symlink_to("out")
    for name in "abcdef":  # each way round leads to all of them again
        (tmp_path / f"out/back-{name}").symlink_to("..")
    (tmp_path / "out/same.xml").symlink_to("r.xml")
    (tmp_path / "out/itself.xml").symlink_to("itself.xml")
    for patterns in (None, ["**/*.xml"], ["**/back-*/**/*.xml"]):
        found = failing_tests(tmp_path, patterns)
        assert (found.total, found.files) == (1, 1)


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo.xml")
    (tmp_path / "folder.xml").mkdir()
    (tmp_path / "gone.xml").symlink_to("nowhere")
    put(tmp_path, "r.xml", report("a"))
    found = failing_tests(tmp_path, ["*.xml"])
    assert (found.total, found.files) == (1, 1)
    assert found.skipped == ("fifo.xml: not a regular file", "gone.xml: no such file or directory")


@contextmanager
def unprivileged():
    """Root may read everything; somebody else is somebody else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65532)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_may_not_be_read_is_said_where_it_was_asked_for(tmp_path_factory):
    root = Path(tempfile.mkdtemp())  # pytest's own folders are closed to others
    try:
        root.chmod(0o755)
        put(root, "test-results/closed.xml", report("a")).chmod(0)
        put(root, "test-results/locked/r.xml", report("a")).parent.chmod(0)
        put(root, "database/r.xml", report("a")).parent.chmod(0)
        put(root, "test-results/r.xml", report("b"))
        with unprivileged():
            found = failing_tests(root, None)
        assert found.entries == ("c.b: broke",)
        assert found.skipped == (
            "test-results/closed.xml: permission denied",
            "test-results/locked/: permission denied",
        )
    finally:
        for folder in ("test-results/locked", "database"):
            (root / folder).chmod(0o755)
        shutil.rmtree(root)


def test_a_clone_that_is_not_there_is_said(tmp_path):
    assert failing_tests(tmp_path / "nowhere", None).skipped == (".: no such file or directory",)


def test_names_that_are_not_text_are_mended(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xff\x1b[31m\n.xml", "wb"):
        pass
    (reason,) = failing_tests(tmp_path, ["*.xml"]).skipped
    assert reason.encode().isascii() and reason.isprintable() and reason.startswith(".xml: broken XML")


class Clock:
    """A second passes whenever it is looked at."""

    def __init__(self):
        self.now = 0

    def monotonic(self):
        self.now += 1
        return self.now


def test_what_was_read_until_the_deadline_is_kept(tmp_path, monkeypatch):
    put(tmp_path, "a.xml", report("a"))
    put(tmp_path, "b.xml", report("b") + " " * 200_000 + "<!-- never read")
    put(tmp_path, "c.xml", report("never read"))
    clock = SimpleNamespace(monotonic=Clock().monotonic)
    monkeypatch.setattr("pipe.evidence.reports.time", clock)
    monkeypatch.setattr("pipe.evidence.files.time", clock)
    found = failing_tests(tmp_path, ["*.xml"], deadline=4)
    assert found.entries == ("c.a: broke", "c.b: broke")
    assert found.skipped == (
        "b.xml: no time to read it to its end; what stands before was read",
        "the search: stopped for lack of time",
    )


class Alarm(BaseException):
    pass


@pytest.mark.parametrize("kind", [Alarm, TimeoutError])
def test_an_alarm_gets_through_and_leaves_no_file_open(tmp_path, kind):
    def ring(*_):
        raise kind

    put(tmp_path, "r.xml", "<testsuite>" + "<property/>" * 3_000_000)
    before = os.listdir("/proc/self/fd")
    previous = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(kind):
            failing_tests(tmp_path, ["*.xml"])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("place", ["os.scandir", "pipe.evidence.reports.RegularFile"])
def test_a_time_out_is_no_reason_to_pass_over_a_file(tmp_path, monkeypatch, place):
    def late(*_):
        raise TimeoutError

    put(tmp_path, "r.xml", report("a"))
    monkeypatch.setattr(place, late)
    with pytest.raises(TimeoutError):
        failing_tests(tmp_path, ["*.xml"])


MEASURED = """
import json, re, time
from pathlib import Path
from pipe.evidence.reports import failing_tests
Path("warm/r.xml").parent.mkdir()
Path("warm/r.xml").write_text("<testsuite><testcase><failure/></testcase></testsuite>")
failing_tests(Path("warm"), ["*.xml"])
# Not ru_maxrss: that starts with what the parent had
peak = lambda: int(re.search("VmHWM: *([0-9]+) kB", Path("/proc/self/status").read_text().replace("\t", " "))[1])
before, started = peak(), time.process_time()
found = failing_tests(Path("hostile"), None)
print(json.dumps([peak() - before, time.process_time() - started, found.total, found.skipped]))
"""


def measured(root: Path) -> tuple[int, float, int, list[str]]:
    """KiB of memory and seconds that it took to read the reports in `root`/hostile, in a process of its own."""
    process = subprocess.run(
        [sys.executable, "-c", MEASURED], cwd=root, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    return tuple(json.loads(process.stdout))


HEAD = report("a").replace("</testsuite></testsuites>", "")
MIB = 1024 * 1024

HARMFUL = {
    "an attribute without an end": ([HEAD, '<testcase name="', *["x" * MIB] * 100], "one tag of more than 256 KiB"),
    "a tag of 100 000 attributes": (
        [HEAD, "<a ", *(f'a{n}="" ' for n in range(100_000)), "/>"],
        "one tag of more than 256 KiB",
    ),
    "a tag of attributes, just small enough": (
        [HEAD, "<a ", *(f'a{n:x}="" ' for n in range(25_000)), "/>", " " * MIB],
        "more than 1000 different names",
    ),
    "a comment without an end": ([HEAD, "<!--", *["x" * MIB] * 100], "one tag of more than 256 KiB"),
    "a name without an end": ([HEAD, "<", *["x" * MIB] * 100], "one tag of more than 256 KiB"),
    "nesting without an end": ([HEAD, *["<a>" * MIB] * 20], "elements nested more than 100 deep"),
    "new names without an end": ([HEAD, *(f"<a{n:x}/>" for n in range(1_000_000))], "more than 1000 different names"),
    "entities in entities": ([BOMB], "has a document type"),
    "1 GB": ([HEAD, "<system-out>", *["lines of it\n" * 90_000] * 64], "larger than 64 MiB"),
    "1 GB in one CDATA section": ([HEAD, "<system-out><![CDATA[", *["x" * MIB] * 64], "larger than 64 MiB"),
    "1 GB of nothing": ([], "broken XML in line 1"),
    "a text without an end": (
        [HEAD, "<testcase name='b'><failure>", *["\n" * MIB] * 64],
        "larger than 64 MiB",
    ),
    "failures without an end": (
        [HEAD, *(f"<testcase name='{n}'><failure/></testcase>" for n in range(200_000))],
        "no element found",
    ),
}


@pytest.mark.parametrize("harm", HARMFUL)
def test_no_report_costs_much_memory_or_time(tmp_path, harm):
    content, reason = HARMFUL[harm]
    file = put(tmp_path, "hostile/test-results/r.xml", "")
    with file.open("w") as out:
        out.writelines(content)
    if harm.startswith("1 GB"):
        os.truncate(file, 1024**3)
    memory, seconds, total, skipped = measured(tmp_path)
    assert reason in skipped[0]
    assert total == {"entities in entities": 0, "1 GB of nothing": 0, "a text without an end": 2}.get(
        harm, 200_001 if harm.startswith("failures") else 1
    )
    assert memory < 8 * 1024
    assert seconds < 2


def test_ten_thousand_tests_in_20_mb_are_read_in_time_and_never_held(tmp_path):
    output = textwrap.indent("a line of output with &lt;markup&gt; &amp; ünïcödé\n" * 34, "    ")
    with put(tmp_path, "hostile/test-results/r.xml", "").open("w") as out:
        out.write('<testsuites><testsuite name="s">')
        for number in range(10_000):
            out.write(f'<testcase classname="com.acme.Case{number % 100}" name="test{number}" time="0.001">')
            if number % 10 == 0:
                out.write('<failure message="expected: 1&#10;but was: 2" type="E"><![CDATA[at line 1]]></failure>')
            out.write(f"<system-out>{output}</system-out></testcase>\n")
        out.write("</testsuite></testsuites>")
    assert (tmp_path / "hostile/test-results/r.xml").stat().st_size > 20_000_000
    memory, seconds, total, skipped = measured(tmp_path)
    assert (total, skipped) == (1000, [])
    assert memory < 4 * 1024
    assert seconds < 1


def test_a_folder_of_very_many_files_is_read_in_part(tmp_path, monkeypatch):
    monkeypatch.setattr("pipe.evidence.files.MOST_PENDING", 10)
    monkeypatch.setattr("pipe.evidence.reports.MOST_FILES", 8)
    for number in range(20):
        put(tmp_path, f"{number:02}.xml", report(str(number)))
    found = failing_tests(tmp_path, ["*.xml"])
    assert found.files == found.total == 8
    assert [reason.partition(": ")[2] for reason in found.skipped] == [
        "too many files: only 11 of them were looked at",
        "not read, nor what follows: more than 8 reports",
    ]


SAMPLE = {path.name: path.read_bytes() for path in SAMPLES.glob("*.xml")}


@st.composite
def mangled(draw):
    content = bytearray(SAMPLE[draw(st.sampled_from(sorted(SAMPLE)))])
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(content)))
        content[at : at + draw(st.integers(0, 40))] = draw(st.binary(max_size=20) | st.sampled_from(TOKENS))
    return bytes(content)


TOKENS = [*b"< > & <!-- <![CDATA[ ]]> </testsuite> <error/> \0".split(), b"<?xml encoding='utf-7'?>"]


@settings(max_examples=300, deadline=None)
@given(st.binary() | mangled() | st.text().map(lambda text: f"<?xml version='1.0' encoding='{text}'?><a/>".encode()))
def test_whatever_a_file_holds_it_is_read_or_said_why_not(content):
    with tempfile.TemporaryDirectory() as folder:
        found = read(Path(folder), content)
    assert found.files or found.skipped
    assert len(found.entries) == min(found.total, 20)
    for line in (*found.entries, *found.skipped):
        assert len(line) <= 300 and "\n" not in line and "\x1b" not in line
        line.encode()
