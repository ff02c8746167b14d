"""Which tests failed, by the reports in a clone: those of real tools, broken ones, and those of every encoding."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipe.evidence.junit import Report
from pipe.evidence.reports import _parse, read_reports

SAMPLES = Path(__file__).parent.parent / "reports"


def report(*failures: str, suite: str = "s") -> str:
    cases = "".join(f'<testcase classname="c" name="{name}"><failure message="broke"/></testcase>' for name in failures)
    return f'<testsuites><testsuite name="{suite}">{cases}</testsuite></testsuites>'


def put(root: Path, path: str, content: str | bytes) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def reports(root: Path, *patterns: str, seconds: float = 60) -> dict:
    return read_reports(root, patterns, seconds)


def read(root: Path, content: str | bytes) -> dict:
    put(root, "r.xml", content)
    return reports(root, "r.xml")


WRITTEN_BY_TOOLS: dict[str, tuple[int, list[str]]] = {  # of all tests how many, and what failed
    "bats.xml": (
        4,
        [
            'cart.bats.applies a discount: `[ "$total" -eq 80 ]\' failed',
            'cart.bats.is empty: `[ "$status" -eq 0 ]\' failed the cart says: cat: /no/such/file: No such file or directory',
        ],
    ),
    "behave.xml": (
        4,
        [
            "cart.Cart.applies a discount: the total is 90, not 80",
            "cart.Cart.is not defined: Failing step: Given something else ... undefined in 0.000s",
            "cart.Cart.breaks: no such cart",
        ],
    ),
    "catch2.xml": (
        5,
        [
            "cart_catch.global.applies a discount/of ten percent: total == 80",
            "cart_catch.global.throws: the till is shut",
            "cart_catch.global.checks twice: 1 == 2",
            "cart_catch.global.fails by hand: never to be reached",
        ],
    ),
    "ctest.xml": (
        6,
        [
            "discount: a cart cart: /app/ct/b/cart.c:3: main: Assertion `n < 2 || total == 80' failed.",
            "silent",
            "prints: total: 90 expected: 80",
            "slow",
        ],
    ),
    "dotnet.xml": (
        4,
        [
            "Acme.Shop.Tests.CartTests.AppliesADiscount(percent: 10): Expected: 80 But was: 90",
            "Acme.Shop.Tests.CartTests.IsEmpty: System.NullReferenceException : Object reference not set to an instance of an object.",
        ],
    ),
    "googletest.xml": (
        6,
        [
            "Cart.AppliesADiscount: Expected equality of these values: total Which is: 90 80",
            "Cart.IsEmpty: Value of: false Actual: false Expected: true the cart is not empty",
            'Cart.Throws: C++ exception with description "the till is shut" thrown in the test body.',
            "Cart.ByHand: cart_test.cc:6",
        ],
    ),
    "gotestsum-rerun.xml": (
        3,
        [
            "github.com/acme/shop/cart.TestAlways: cart_test.go:5: total = 90, want 80",
        ],
    ),
    "gotestsum.xml": (
        5,
        [
            "github.com/acme/shop/cart.TestDiscount/ten_percent: cart_test.go:14: total = 90, want 80",
            "github.com/acme/shop/cart.TestDiscount: Failed",
            "github.com/acme/shop/cart.TestEmpty: panic: runtime error: index out of range [0] with length 0 [recovered] panic: runtime error: index out of range [0] with length 0",
        ],
    ),
    "jest-junit-configured.xml": (
        6,
        [
            'Cart.applies a discount: Error: expect(received).toEqual(expected) // deep equality - Expected - 1 + Received + 1 Object { - "total": 80, + "total": 90, }',
            "Cart when it is empty.costs nothing: TypeError: Cannot read properties of undefined (reading 'total')",
            "t/cart.test.js.a test without a suite: Error: rejected",
            "Test suite failed to run.t/broken.test.js: Cannot find module './no-such-module' from 'broken.test.js'",
        ],
    ),
    "jest-junit.xml": (
        5,
        [
            'Cart applies a discount: Error: expect(received).toEqual(expected) // deep equality - Expected - 1 + Received + 1 Object { - "total": 80, + "total": 90, }',
            "Cart when it is empty costs nothing: TypeError: Cannot read properties of undefined (reading 'total')",
            "a test without a suite: Error: rejected",
        ],
    ),
    "mocha-junit-reporter.xml": (
        5,
        [
            "Cart applies a discount: Expected values to be strictly equal: 90 !== 80",
            "Cart breaks: no such cart",
            'Cart rejects: the string "no reason" was thrown, throw an Error :)',
            "Cart empty costs nothing: Expected values to be strictly deep-equal: + actual - expected { + a: 1 - a: 2 }",
        ],
    ),
    "mocha-xunit.xml": (
        6,
        [
            "Cart.applies a discount: Expected values to be strictly equal: 90 !== 80 + expected - actual -90 +80",
            "Cart.breaks: no such cart",
            'Cart.rejects: the string "no reason" was thrown, throw an Error :)',
            'Cart empty.costs nothing: Expected values to be strictly deep-equal: + actual - expected { + a: 1 - a: 2 } + expected - actual { - "a": 1 + "a": 2 }',
        ],
    ),
    "mypy.xml": (
        1,
        [
            'mypy.mypy-py3_11-linux: cart.py:2: error: Incompatible return value type (got "int", expected "str") [return-value] cart.py:3: error: Argument 1 to "total" has incompatible type "str"; expected "int" [arg-type]',
        ],
    ),
    "node.xml": (
        8,
        [
            "applies a discount: Expected values to be strictly equal:90 !== 80",
            "breaks: no such cart",
            "says why: the discount of 10 %90 !== 80",
            "compares: Expected values to be strictly deep-equal:+ actual - expected {+ a: 1- a: 2 }",
            "is ok: The expression evaluated to a falsy value: assert.ok(false)",
            "alone: 1 == 2",
        ],
    ),
    "phpunit-nested.xml": (
        3,
        [
            'Tests.CartTest.testSum with data set "big": Failed asserting that 3 is identical to 4.',
            "Tests.CartTest.testDiscount: Failed asserting that 90 matches expected 80.",
            "Tests.CartTest.testCast: TypeError: Cannot assign DOMNodeList to property Dom\\Node::$childNodes of type Dom\\NodeList",
        ],
    ),
    "phpunit.xml": (
        7,
        [
            'CartTest.testSum with data set "big": Failed asserting that 3 matches expected 4.',
            "CartTest.testDiscount: the discount of 10 % Failed asserting that 90 is identical to 80.",
            "CartTest.testCast: TypeError: strlen(): Argument #1 ($string) must be of type string, array given",
            "CartTest.testThrows: RuntimeException",
        ],
    ),
    "playwright.xml": (
        5,
        [
            "cart.spec.ts.Cart › applies a discount: Error: expect(received).toBe(expected) // Object.is equality Expected: 80 Received: 90",
            "cart.spec.ts.Cart › breaks: no such cart",
        ],
    ),
    "powershell-utf16.xml": (
        1,
        [
            "c.n: boom",
        ],
    ),
    "pytest-rerunfailures.xml": (
        7,
        [
            "test_flaky.test_always: assert 90 == 80",
            "test_flaky.test_type: assert False",
            "test_flaky.test_multi: ValueError: first second third",
            "test_flaky.test_xp: [XPASS(strict)]",
        ],
    ),
    "pytest.xml": (
        8,
        [
            "test_cart.TestCart.test_applies_a_discount: AssertionError: the discount of 10 % on 89 EUR assert 90 == 80",
            "test_cart.TestCart.test_rounds[\\u65e5\\u672c\\u5186]: AssertionError: assert '日本円' == 'EUR' - EUR + 日本円",
            'test_cart.test_opens: failed on setup with "ConnectionError: no shop at port 5432 is it running?"',
            "test_cart.test_closes: AssertionError: red & <angry> assert False",
        ],
    ),
    "robot.xml": (
        4,
        [
            "Test Cart.Applies A Discount: the discount of 10 %: 90 != 80",
            "Test Cart.Fails Plainly: AssertionError",
        ],
    ),
    "rspec.xml": (
        4,
        [
            "cart_spec.Cart applies a discount: expected: 80 got: 90 (compared using ==)",
            "cart_spec.Cart breaks: no such cart",
        ],
    ),
    "surefire.xml": (
        7,
        [
            "com.acme.shop.CartTest.appliesADiscount: the discount of 10 % expected:<80> but was:<90>",
            "com.acme.shop.CartTest.paintsItRed: red & <angry> second line",
            "com.acme.shop.CartTest.namesNoReason: java.lang.AssertionError",
            'com.acme.shop.CartTest.isEmpty: Cannot invoke "String.length()" because "<local1>" is null',
        ],
    ),
    "unittest-xml-reporting.xml": (
        4,
        [
            "test_unit.Cart.test_discount: 90 != 80 : the discount",
            "test_unit.Cart.test_plain: False is not true",
            "test_unit.Cart.test_error: 'x'",
        ],
    ),
    "vitest.xml": (
        6,
        [
            "cart.test.ts.Cart > applies a discount: expected 90 to be 80 // Object.is equality",
            "cart.test.ts.Cart > breaks: no such cart",
            "cart.test.ts.alone: expected { a: 1 } to deeply equal { a: 2 }",
        ],
    ),
}


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("*.xml")))
def test_the_reports_of_these_tools_are_read(name):
    total, failed = WRITTEN_BY_TOOLS[name]
    assert reports(SAMPLES, name) == {"failed": failed, "failed_total": len(failed), "total": total, "notes": []}


CASE = '<testsuite name="s"><testcase classname="c" name="n">{}</testcase></testsuite>'


@pytest.mark.parametrize(
    ("content", "failed"),
    [
        ('<failure message="a&#10;b" type="T">text</failure>', ["c.n: a b"]),
        ("<failure>\n\n  first <![CDATA[& only]]>\nsecond</failure>", ["c.n: first & only second"]),
        ("<failure/>", ["c.n"]),
        ('<failure message="#x1B[1;31mred#x1B[0m &#155;2mdim\u2028next"/>', ["c.n: red dim next"]),
        ('<failure message="\ufffd[31mred \u202eder\u202c"/>', ["c.n: red der"]),
        ('<failure message="\x1b[31mred &#x1b;[0m&#27;[1m and bold"/>', ["c.n: red and bold"]),
        ('<error message="a"/><failure message="b"/>', ["c.n: a"]),
        ('<error message="Error"/><failure message="b"/>', ["c.n: b"]),
        ("<flakyFailure/><rerunFailure/><skipped/><system-out>failure</system-out>", []),
        ('<failure message="x"/><skipped/>', []),
        ('<skipped/><failure message="x"/>', []),
        ("<properties><failure/></properties>", []),
        ("<system-out>\x1b[32mok &#x1b;[0m&#0;&#xFFFF; &#10;&#x1F600;</system-out>", []),
        ('<failure message=""/><system-out>one\ntwo\n\nthree\nfour\n</system-out>', ["c.n: two three four"]),
        ('<failure message="" type="T"/><system-out>noise</system-out>', ["c.n: T"]),
        ("<system-out>noise</system-out><failure/>", ["c.n"]),
    ],
)
def test_what_a_test_case_says(tmp_path, content, failed):
    assert read(tmp_path, CASE.format(content)) == {
        "failed": failed,
        "failed_total": len(failed),
        "total": 1,
        "notes": [],
    }


@pytest.mark.parametrize(
    ("content", "entry"),
    [
        ('<testsuite name="s"><testcase name="n"><error/></testcase></testsuite>', "s.n"),
        ('<testsuite name="s"><testcase><error/></testcase></testsuite>', "s"),
        ("<testsuite><testcase><error/></testcase></testsuite>", "a test without a name"),
        ('<testsuite name="s"><error message="no fixture"/></testsuite>', "s: no fixture"),
        ('<testsuite name="a"><testsuite name="b"/><testcase name="n"><error/></testcase></testsuite>', "a.n"),
        (
            '<testsuite name="a"><testsuite name="b"><testcase name="n"><error/></testcase></testsuite></testsuite>',
            "b.n",
        ),
        ('<testsuite><testcase classname="a&#10; b" name="c&#9;d"><error/></testcase></testsuite>', "a b.c d"),
        ('<j:testsuite xmlns:j="u" name="s"><j:testcase name="n"><j:error/></j:testcase></j:testsuite>', "s.n"),
        ('<testsuites><testcase classname="test" name="alone"><error/></testcase></testsuites>', "alone"),
    ],
)
def test_a_case_is_named_by_its_class_else_by_its_suite(tmp_path, content, entry):
    assert read(tmp_path, content)["failed"] == [entry]


def suite(*cases: str) -> str:
    return f'<testsuite name="s">{"".join(cases)}</testsuite>'


def case(name: str, *said: str) -> str:
    return (
        f'<testcase classname="c" name="{name}">{"".join(f"<failure message={text!r}/>" for text in said)}</testcase>'
    )


@pytest.mark.parametrize(
    ("content", "failed", "total"),
    [
        (suite(case("a", "x"), case("a")), [], 1),
        (suite(case("a", "x"), case("b", "y"), case("a", "x"), case("a")), ["c.b: y"], 2),
        (suite(case("a"), case("a", "x")), ["c.a: x"], 1),
        (suite(case("a", "x"), case("a", "x"), case("a", "y")), ["c.a: x"], 1),
        (suite(case("a", "x"), '<testcase classname="c" name="a"><skipped/></testcase>'), ["c.a: x"], 1),
        (f"<testsuites>{suite(case('a', 'x'))}{suite(case('a'))}</testsuites>", ["c.a: x"], 2),
        (f"<testsuites>{suite(case('a', 'x'))}{suite(case('a', 'x'))}</testsuites>", ["c.a: x", "c.a: x"], 2),
    ],
)
def test_attempts_at_one_test_stand_in_one_suite_and_the_last_one_counts(tmp_path, content, failed, total):
    found = read(tmp_path, content)
    assert (found["failed"], found["failed_total"], found["total"]) == (failed, len(failed), total)


def test_a_test_counts_once_however_many_reports_repeat_it(tmp_path):
    put(tmp_path, "a.xml", f"<testsuites>{report('twice')}{suite(case('passed'))}</testsuites>")
    put(tmp_path, "b.xml", report("twice", "once", suite="of another tool"))
    found = reports(tmp_path, "*.xml")
    assert found == {"failed": ["c.twice: broke", "c.once: broke"], "failed_total": 2, "total": 3, "notes": []}


def test_what_failed_in_one_report_is_not_taken_back_by_another(tmp_path):
    """They may be of two environments."""
    put(tmp_path, "python3.11.xml", suite(case("a", "x")))
    put(tmp_path, "python3.12.xml", suite(case("a")))
    assert reports(tmp_path, "*.xml")["failed"] == ["c.a: x"]


def test_twenty_are_named_and_all_are_counted(tmp_path):
    put(tmp_path, "a.xml", report(*map(str, range(15))))
    put(tmp_path, "b.xml", report(*map(str, range(15, 30))))
    found = reports(tmp_path, "*.xml")
    assert found["failed"] == [f"c.{number}: broke" for number in range(20)]
    assert (found["failed_total"], found["total"]) == (30, 30)


def test_where_there_is_no_report_nothing_is_stated(tmp_path):
    assert reports(tmp_path) == {"failed": [], "failed_total": None, "total": None, "notes": []}


TEXT = '<testsuite name="s"><testcase name="é"><error/></testcase></testsuite>'
DECLARED = "<?xml version='1.0' encoding='{}'?>"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.encode("utf-16"),
        b"\xfe\xff" + (DECLARED.format("utf-8") + TEXT).encode("utf-16-be"),
        (DECLARED.format("utf-8") + TEXT).encode("utf-16"),
        (DECLARED.format("utf-16") + TEXT).encode(),
        (DECLARED.format("ISO-8859-1") + TEXT).encode("latin-1"),
        (DECLARED.format("windows-1252") + TEXT).encode("cp1252"),
        (DECLARED.format("no-such") + TEXT).encode(),
        (DECLARED.format("base64") + TEXT).encode(),
        (DECLARED.format("idna") + TEXT).encode(),
        b"\n \r\n" + (DECLARED.format("utf-8") + TEXT).encode(),
        b"\xef\xbb\xbf\n" + (DECLARED.format("utf-8") + TEXT).encode(),
        b"\x3e shop@1.0.0 test\n\n".replace(b"\x3e", b"$") + (DECLARED.format("utf-8") + TEXT).encode(),
        b" " * 200_000 + TEXT.encode(),
    ],
)
def test_a_report_is_read_whatever_it_says_of_its_encoding_and_whatever_stands_in_front(tmp_path, content):
    assert read(tmp_path, content) == {"failed": ["s.é"], "failed_total": 1, "total": 1, "notes": []}


def test_bytes_of_another_encoding_are_replaced(tmp_path):
    assert read(tmp_path, TEXT.encode("latin-1"))["failed"] == ["s.\ufffd"]


@pytest.mark.parametrize("before", range(65530, 65540))
def test_a_reference_that_stands_between_two_pieces_is_read(tmp_path, before):
    start = '<testsuite name="s"><testcase name="n"><system-out>'
    text = f'{start}{"x" * (before - len(start))}&#x1b;&amp;&#65;</system-out><failure message="a&#10;b"/></testcase></testsuite>'
    assert read(tmp_path, text) == {"failed": ["s.n: a b"], "failed_total": 1, "total": 1, "notes": []}


@pytest.mark.parametrize(
    ("content", "failed", "note"),
    [
        ("", [], "r.xml: broken XML in line 1"),
        ("not XML", [], "r.xml: broken XML in line 1"),
        (b"\0" * 1000, [], "r.xml: broken XML in line 1"),
        (report("a")[:-20], ["c.a: broke"], "r.xml: broken XML in line 1; what stands before was read"),
        (report("a") + "\n<a>", ["c.a: broke"], "r.xml: broken XML in line 2; what stands before was read"),
        (report("a", "&b;"), ["c.a: broke"], "r.xml: broken XML in line 1; what stands before was read"),
        ("<testsuite><testcase name='a'><failure>\nthe first line\nthe sec", ["a: the first line the sec"],
         "r.xml: broken XML in line 3; what stands before was read"),
        ("<testsuite><testcase name='a'>", [], "r.xml: broken XML in line 1"),
        ("<testsuite><testsuite><testcase name='a'/><testcase name='b'><error/></testcase>", ["b"],
         "r.xml: broken XML in line 1; what stands before was read"),
    ],
)  # fmt: skip
def test_a_report_that_breaks_off_is_read_up_to_there_and_gives_no_totals(tmp_path, content, failed, note):
    put(tmp_path, "a-sound-one.xml", suite(case("passed")))
    put(tmp_path, "r.xml", content)
    found = reports(tmp_path, "*.xml")
    assert found == {"failed": failed, "failed_total": None, "total": None, "notes": [note]}


@pytest.mark.parametrize(
    ("content", "root"),
    [
        ("<coverage/>", "coverage"),
        ("<failure/>", "failure"),
        ('<!DOCTYPE suite SYSTEM "https://testng.org/testng-1.0.dtd"><suite/>', "suite"),
    ],
)
def test_other_xml_is_named_where_it_was_asked_for(tmp_path, content, root):
    put(tmp_path, "a.xml", report("a"))
    put(tmp_path, "r.xml", content)
    found = reports(tmp_path, "*.xml")
    assert found == {
        "failed": ["c.a: broke"],
        "failed_total": 1,
        "total": 1,
        "notes": [f"r.xml: not a JUnit report ({root})"],
    }


def test_other_xml_in_bitbuckets_own_folders_is_passed_over_in_silence(tmp_path):
    put(tmp_path, "TestResults/1/coverage.cobertura.xml", "<coverage/>")
    put(tmp_path, "surefire-reports/testng-failed.xml", '<!DOCTYPE suite SYSTEM "testng-1.0.dtd"><suite/>')
    put(tmp_path, "surefire-reports/r.xml", report("a"))
    assert reports(tmp_path) == {"failed": ["c.a: broke"], "failed_total": 1, "total": 1, "notes": []}


def test_only_the_first_reasons_are_said_and_the_others_counted(tmp_path):
    for number in range(50):
        put(tmp_path, f"{number:02}.xml", "")
    notes = reports(tmp_path, "*.xml")["notes"]
    assert notes == [*(f"{number:02}.xml: broken XML in line 1" for number in range(5)), "and 45 more"]


def test_what_takes_too_long_is_given_up_and_what_was_read_is_kept(tmp_path):
    put(tmp_path, "a.xml", report("a"))
    put(tmp_path, "b.xml", report("b")[: -len("</testsuite></testsuites>")] + "<property/>" * 5_000_000)
    put(tmp_path, "c.xml", report("never read"))
    found = reports(tmp_path, "*.xml", seconds=0.5)
    assert found == {
        "failed": ["c.a: broke", "c.b: broke"], "failed_total": None, "total": None,
        "notes": ["b.xml: no time to read it to its end; what stands before was read", "the search: stopped for lack of time"],
    }  # fmt: skip


def test_a_text_that_is_cut_for_lack_of_time_is_not_shown(tmp_path):
    """A secret may be cut with it, which then nobody knows."""
    begun = suite(case("a", "x")).replace("</testsuite>", "<testcase name='b'><failure>")
    found = Report(str)
    with pytest.raises(TimeoutError):
        _parse(put(tmp_path, "r.xml", begun + "secret" * 100_000), found, ends=0)
    found.settle()
    assert [*found.failed.values()] == [["c.a: x"]]


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
    assert len(reports(tmp_path)["failed"]) == int(found)


PATHS = (
    "r.xml",
    "a/r.xml",
    "a/b/r.xml",
    "a/b/s.xml",
    "a/.c/junit-1.xml",
    "a/[x]/r.xml",
    "d/e/f/g/r.xml",
    "a/r.txt",
    "..d/f/r.xml",
)


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["r.xml"], {"r.xml"}),
        (["./a//r.xml"], {"a/r.xml"}),
        (["*.xml"], {"r.xml"}),
        (["*/*.xml"], {"a/r.xml"}),
        (["**/r.xml"], {"r.xml", "a/r.xml", "a/b/r.xml", "a/[x]/r.xml", "d/e/f/g/r.xml", "..d/f/r.xml"}),
        (["a/**/*.xml"], {"a/r.xml", "a/b/r.xml", "a/b/s.xml", "a/.c/junit-1.xml", "a/[x]/r.xml"}),
        (["a/**/**/s.xml"], {"a/b/s.xml"}),
        (["a/**"], {"a/r.xml", "a/b/r.xml", "a/b/s.xml", "a/.c/junit-1.xml", "a/[x]/r.xml"}),
        (["**junit-*.xml"], {"a/.c/junit-1.xml"}),
        (["a/b"], {"a/b/r.xml", "a/b/s.xml"}),
        (["..d/f/*.xml"], {"..d/f/r.xml"}),
        (["d/."], {"d/e/f/g/r.xml"}),
        (["a/b/"], {"a/b/r.xml", "a/b/s.xml"}),
        (["{a/b,d/e/*/g}/{r,s}.xml"], {"a/b/r.xml", "a/b/s.xml", "d/e/f/g/r.xml"}),
        (["a/b/[rt].xml", "a/?/s.xml"], {"a/b/r.xml", "a/b/s.xml"}),
        ([r"a/\[x]/r.xml"], {"a/[x]/r.xml"}),
        (["a/*.txt"], {"a/r.txt"}),
    ],
)
def test_patterns_are_bitbuckets_globs_relative_to_the_clone(tmp_path, patterns, found):
    for path in PATHS:
        put(tmp_path, path, report(path))
    result = reports(tmp_path, *patterns)
    assert {entry.removeprefix("c.").partition(":")[0] for entry in result["failed"]} == found
    assert result["notes"] == []


def test_an_absolute_pattern_inside_the_clone_is_read(tmp_path):
    put(tmp_path, "a/r.xml", report("a"))
    assert reports(tmp_path, f"{tmp_path}/a/*.xml")["total"] == 1


@pytest.mark.parametrize(
    ("pattern", "note"),
    [
        ("../outside/*.xml", "not read: it leads out of the clone"),
        ("a/../../outside/*.xml", "not read: it leads out of the clone"),
        ("..", "not read: it leads out of the clone"),
        ("/etc/*.xml", "not read: it leads out of the clone"),
        ("{a,b", "not read: a { without its }"),
        ("[a.xml", "not read: a [ without its ]"),
        ("{a,..}/outside/*.xml", "no such file"),
        ("link/*.xml", "no such file"),
        ("link", "no such file"),
        ("reports/*.xml", "no such file"),
        ("A.xml", "no such file"),
        ("a.xml,b.xml", "no such file; patterns are separated by spaces, without quotes"),
        ("a.xml;b.xml", "no such file; patterns are separated by spaces, without quotes"),
        ("'a.xml'", "no such file; patterns are separated by spaces, without quotes"),
        ('"a.xml"', "no such file; patterns are separated by spaces, without quotes"),
    ],
)
def test_a_pattern_that_finds_nothing_is_said_and_nothing_outside_of_the_clone_is_read(tmp_path, pattern, note):
    put(tmp_path, "outside/r.xml", report("secret"))
    clone = tmp_path / "clone"
    put(clone, "a.xml", report("a"))
    (clone / "reports").mkdir()
    (clone / "link").symlink_to(tmp_path / "outside")
    (clone / "reports/file.xml").symlink_to("../../outside/r.xml")
    found = reports(clone, "a.xml", pattern)
    assert found == {"failed": ["c.a: broke"], "failed_total": 1, "total": 1, "notes": [f"{pattern}: {note}"]}


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo.xml")
    (tmp_path / "folder.xml").mkdir()
    (tmp_path / "gone.xml").symlink_to("nowhere")
    put(tmp_path, "r.xml", report("a"))
    (tmp_path / "same.xml").symlink_to("r.xml")
    assert reports(tmp_path, "*.xml") == {"failed": ["c.a: broke"], "failed_total": 1, "total": 1, "notes": []}


def unprivileged(root: Path) -> dict:
    """What somebody finds who may not read everything."""
    if os.geteuid() != 0:
        return reports(root)
    os.seteuid(65532)
    try:
        return reports(root)
    finally:
        os.seteuid(0)


def test_what_may_not_be_read_is_said_where_bitbucket_looks():
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        root = Path(folder)
        root.chmod(0o755)
        put(root, "test-results/closed.xml", report("a")).chmod(0)
        put(root, "test-results/locked/r.xml", report("a")).parent.chmod(0)
        put(root, "database/r.xml", report("a")).parent.chmod(0)
        put(root, "test-results/r.xml", report("b"))
        found = unprivileged(root)
        for locked in ("test-results/locked", "database"):
            (root / locked).chmod(0o755)
    notes = ["test-results/closed.xml: permission denied", "test-results/locked/: permission denied"]
    assert found == {"failed": ["c.b: broke"], "failed_total": None, "total": None, "notes": notes}


def test_a_clone_that_is_not_there_is_said_where_files_were_asked_for(tmp_path):
    assert reports(tmp_path / "nowhere", "*.xml")["notes"] == [".: no such file or directory", "*.xml: no such file"]


def test_names_that_are_not_text_can_be_shown(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xff\x1b[31m\n.xml", "wb"):
        pass
    assert reports(tmp_path, "*.xml")["notes"] == [".xml: broken XML in line 1"]


def test_secrets_are_concealed_in_names_messages_and_notes(tmp_path):
    put(tmp_path, "hunter2.xml", report("hunter2", "x")[:-15].replace("broke", "m" * 190 + "hunter2"))
    found = read_reports(tmp_path, ("*.xml",), 60, lambda text: text.replace("hunter2", "****"))
    assert "hunter" not in str(found)


TOKENS = [*b"< > & <!-- <![CDATA[ ]]> </testsuite> <error/> \0".split(), b"<?xml encoding='utf-7'?>"]
SAMPLE = {path.name: path.read_bytes() for path in SAMPLES.glob("*.xml")}


@st.composite
def mangled(draw):
    content = bytearray(SAMPLE[draw(st.sampled_from(sorted(SAMPLE)))])
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(content)))
        content[at : at + draw(st.integers(0, 40))] = draw(st.binary(max_size=20) | st.sampled_from(TOKENS))
    return bytes(content)


@settings(max_examples=200, deadline=None)
@given(st.binary() | mangled() | st.text().map(lambda text: f"<?xml version='1.0' encoding='{text}'?><a/>".encode()))
def test_whatever_a_file_holds_it_is_read_or_said_why_not(content):
    with tempfile.TemporaryDirectory() as folder:
        found = read(Path(folder), content)
    assert found["notes"] or found["failed_total"] is not None
    for line in (*found["failed"], *found["notes"]):
        assert len(line) <= 422 and "\n" not in line and "\x1b" not in line
        line.encode()
