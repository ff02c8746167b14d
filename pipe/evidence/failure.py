"""A failing test in one line: `suite.case: what went wrong`, in the first words of its report that say something.

Tools agree on the elements of a report and on nothing that stands in them. What says nothing was seen in the reports
of the tools under `tests/reports`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pipe.lib.text import masked_line, one_line

from .junit import MAX_LOOKED_AT

MAX_NAME = 120  # characters of suite and case
MAX_MESSAGE = 300  # characters of what went wrong

_SET_PHRASES = {
    *("error", "fail", "failed", "failure", "none", "null", "undefined", "test_case", "test failed"),  # of many tools
    "mypy produced messages",
    "unknown file",  # googletest, of what was thrown
}
_SILENT_CLASSES = {"test"}  # node's
# Of node's assert, and of jest's expect: what they were stands in the next lines
_LEAD_IN = re.compile(r"(?:\w+: )?(?:Expected (?:values|inputs) to be .*:|expect\(.*\)\..*)")
_CLASS = re.compile(r"(?:[\w$]+[.\\:]+)*[\w$]*(?:Error|Exception|Failure|Failed|Assert|Assertion)[\w$]*")
# `cart_test.cc:3`, `/app/tests/CartTest.php:14`, `at cart.cpp:5`, `(in test file cart.bats, line 3)`
_PLACE = re.compile(r"(?:\bat +)?\(?(?:in test file [^,]*, line \d+|[^\s(),]+\.\w+:\d+(?::\d+)?)\)?:?")
# A line of a stack trace, or of the code around the place
_TRACE = re.compile(
    r"at .*(?:\(.*\)|:(?:line )?\d+)(?: \{)?$|#\d+ |Traceback \(|File \"|Location: |>? ?\d+ \| |\S+:\d+:in [`']"
)
_GO_FRAME = re.compile(r"=== |--- (?:FAIL|PASS|SKIP)|goroutine \d+ \[")
# XML cannot hold an escape character; pytest writes #x1B, Surefire &#27; or &amp#27; and others a substitute for it
_SPELT_ESCAPE = re.compile(r"(?:#x1B|&#27;|&amp#27;|\ufffd|\u241b)(?=\[)")


def describe(suite: str, case: str, *said: str, kind: str = "", conceal: Callable[[str], str] = str) -> str:
    """`suite.case: what went wrong` on one line: of the name at most 120 characters, of what went wrong 300.

    `said`: what the report says of it, message first; the first text with a line that says something is taken, from
    that line to where a stack trace begins. A type (`kind`, or what looks like one), a place, the test's own name and
    set phrases say nothing, and stand there only for want of better. `conceal` hides secrets before anything is cut.
    """
    suite, case = (masked_line(name, conceal, MAX_LOOKED_AT) for name in (suite, case))
    texts = [_lines(conceal(text), conceal) for text in said]
    own_name = _own_name(suite, case)
    wrong = next(filter(None, (_telling(lines, own_name, kind) for lines in texts)), "")
    if not wrong:
        wrong = _for_want_of_better([line for lines in texts for line in lines if not own_name(line)], conceal(kind))
    name, wrong = _name(suite, case), one_line(wrong, MAX_MESSAGE)
    return f"{name}: {wrong}" if wrong else name


def _name(suite: str, case: str) -> str:
    if suite in _SILENT_CLASSES:
        suite = ""
    # jest-junit by default, and .NET's logger if asked to, write the suite's name in front of the case's too; mocha's
    # writes the case's name behind it
    repeated = case == suite or case.startswith((f"{suite} ", f"{suite}.")) or case.endswith(f" {suite}")
    full = case if repeated else ".".join(filter(None, (suite, case)))
    full = one_line(full, 2 * MAX_NAME)
    return one_line(case or full, MAX_NAME) if len(full) > MAX_NAME else full or "a test without a name"


def _lines(text: str, conceal: Callable[[str], str]) -> list[str]:
    """The lines of its beginning. One that is cut is left out where it can be: with it a secret may be cut."""
    lines = _SPELT_ESCAPE.sub("\x1b", text[:MAX_LOOKED_AT]).splitlines()
    if len(text) > MAX_LOOKED_AT and len(lines) > 1:
        lines.pop()
    return [masked_line(line, conceal, MAX_MESSAGE) for line in lines]


def _telling(lines: list[str], own_name: Callable[[str], bool], kind: str) -> str:
    """From the first line that says something up to the stack trace; empty if none does."""
    kept: list[str] = []
    telling = False
    for line in lines:
        if telling and (_ends(line) or kept[0] in line):  # mocha says it once more in front of the trace
            break
        telling = telling or _says_something(line, own_name, kind)
        if telling or _LEAD_IN.fullmatch(line):
            kept.append(line)
    return " ".join(kept) if telling else ""


def _ends(line: str) -> bool:
    beside = _PLACE.sub("", line)
    return bool(_TRACE.match(line) or _GO_FRAME.match(line)) or (beside != line and not re.search(r"\w", beside))


def _says_something(line: str, own_name: Callable[[str], bool], kind: str) -> bool:
    bare = _PLACE.sub("", line).strip(" :.!")
    return not (
        bare.lower() in _SET_PHRASES
        or bare in (kind, kind.replace("\\", ".").rpartition(".")[2])
        or _CLASS.fullmatch(bare)
        or _LEAD_IN.fullmatch(line)
        or _ends(line)
        or own_name(line)
        or not re.search(r"\w", line)
    )


def _for_want_of_better(lines: list[str], kind: str) -> str:
    """A type, else the first of the lines."""
    bare = [line.strip(" :") for line in lines if line.strip(" :")]
    types = [line for line in [*bare, kind] if _CLASS.fullmatch(line) and line.lower() not in _SET_PHRASES]
    return next(iter([*types, *bare, kind]))


def _own_name(suite: str, case: str) -> Callable[[str], bool]:
    """Whether a line holds nothing but the test's own name, with its place or its data beside it perhaps."""
    names = sorted({name.replace("\\", ".") for name in (suite, case) if name}, key=len, reverse=True)
    own = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in names) or "(?!)")

    def holds(line: str) -> bool:
        left, named = own.subn("", _PLACE.sub("", line.replace("\\", ".")))
        # Playwright puts `[project]` in front, PHPUnit `(1, 2)` behind
        return bool(named) and not re.search(r"\w", re.sub(r"^\[[^]]*\]|\(.*\)\W*$", "", left))

    return holds
