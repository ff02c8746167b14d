"""One JUnit report, fed in pieces: which of its cases failed, and what the first line of each says.

The file may be anybody's, so whatever expat would hold for its sake is bounded: see the limits below.
"""

from __future__ import annotations

import re
from typing import Any

from .terminal import one_line

LARGEST_TAG = 256 * 1024  # bytes; expat keeps a tag whole until it ends, and 40 000 attributes fit into this one
MOST_NAMES = 1_000  # of elements and attributes, which expat never forgets; reports have some thirty
DEEPEST = 100  # elements; expat keeps about 100 bytes of each open one
MOST_CASES = 10_000  # failed cases of one report remembered
KEPT = 4096  # characters kept of any name or message

_ROOTS = {"testsuites", "testsuite"}
_FAILED = {"failure", "error"}  # not Surefire's flakyFailure, flakyError: passed in the end; its rerun… come with one
_OURS = {*_ROOTS, *_FAILED, "testcase"}
# gotestsum's message is always this word, and its text is framed by what `go test` says of every test
_SAYS_NOTHING = {"", "Failed"}
_GO_FRAME = ("=== ", "--- ")
# XML cannot hold an escape character; pytest writes #x1B, Surefire &#27; or &amp#27; and others a substitute for it
_SPELT_ESCAPE = re.compile(r"(?:#x1B|&#27;|&amp#27;|\ufffd|\u241b)(?=\[)")


class GaveUp(Exception):
    """The report cannot be read, or not to its end; the message says why."""


class NotJUnit(GaveUp):
    """It is XML of another kind."""


class Parser:
    """`failures` holds suite, case and message of the first `wanted` failed cases that are not in `known`, `total` is
    how many there are, `cases` what to add to `known` before the next report. All three hold at any moment."""

    def __init__(self, known: set[int], wanted: int) -> None:
        self.is_junit = False
        self.total = 0
        self.failures: list[tuple[str, str, str]] = []
        self.cases: set[int] = set()
        self._known = known
        self._wanted = wanted
        self._path: list[str] = []
        self._suites: list[str] = []
        self._case: tuple[str, str] | None = None
        self._text: str | None = None
        self._fed = 0
        self._names: dict[str, str] = {}
        from xml.parsers import expat  # most runs have no report to read

        self._broken, self._reason = expat.ExpatError, expat.ErrorString
        self._expat = expat.ParserCreate(intern=self._names)
        self._expat.ordered_attributes = True  # a list: a third of a dict's memory
        self._expat.StartDoctypeDeclHandler = self._doctype
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end

    def feed(self, piece: bytes, last: bool = False) -> None:
        """The next bytes of the report. Raises `GaveUp`; nothing can be fed from then on."""
        try:
            self._expat.Parse(piece, last)
        except self._broken as error:
            raise GaveUp(f"broken XML in line {error.lineno} ({self._reason(error.code)})") from None
        except (LookupError, ValueError):  # what Python's codecs say
            raise GaveUp("in an encoding that cannot be read") from None
        self._fed += len(piece)
        if self._fed - self._expat.CurrentByteIndex > LARGEST_TAG:
            raise GaveUp(f"one tag of more than {LARGEST_TAG // 1024} KiB")
        if len(self._names) > MOST_NAMES:
            raise GaveUp(f"more than {MOST_NAMES} different names")

    def release(self) -> None:
        """Lets go of expat's memory now: parser and handlers hold each other."""
        self._settle()
        del self._expat

    def _doctype(self, name: str, *_: Any) -> None:
        # Entities are declared in a document type, and no tool writes one into a JUnit report.
        raise GaveUp("has a document type") if name in _ROOTS else NotJUnit(f"not a JUnit report ({name[:50]})")

    def _start(self, name: str, attributes: list[str]) -> None:
        path = self._path
        path.append(name.rpartition(":")[2] if ":" in name else name)
        if len(path) > DEEPEST:
            raise GaveUp(f"elements nested more than {DEEPEST} deep")
        if path[-1] in _OURS:
            self._found(path[-1], path[-2] if len(path) > 1 else "", attributes)
        elif len(path) == 1:
            raise NotJUnit(f"not a JUnit report ({path[0][:50]})")

    def _found(self, element: str, parent: str, attributes: list[str]) -> None:
        if not parent:
            if element not in _ROOTS:
                raise NotJUnit(f"not a JUnit report ({element})")
            self.is_junit = True
        if element == "testsuite":
            self._suites += _pick(attributes, "name")
        elif element == "testcase":
            suite, case = _pick(attributes, "classname", "name")
            self._case = (suite or (self._suites[-1] if self._suites else ""), case)
        elif element in _FAILED and parent == "testcase" and self._case:
            self._fail(*self._case, attributes)
            self._case = None  # one failure a case, however many things went wrong in it
        elif element in _FAILED and parent == "testsuite":
            self._fail(self._suites[-1], "", attributes)

    def _end(self, _: str) -> None:
        element = self._path.pop()
        if element == "testsuite":
            self._suites.pop()
        elif element in _FAILED:
            self._settle()

    def _fail(self, suite: str, case: str, attributes: list[str]) -> None:
        key = hash((suite, case))
        if key in self._known:
            return
        self.total += 1
        if len(self.cases) < MOST_CASES:
            self.cases.add(key)
        if len(self.failures) < self._wanted:
            message, kind = _pick(attributes, "message", "type")
            message = _first_line(message) or _first_line(kind)
            self.failures.append((suite, case, message))
            if message in _SAYS_NOTHING:
                self._text = ""
                self._expat.CharacterDataHandler = self._characters

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text += text[:KEPT]
            if len(self._text) >= KEPT:
                self._expat.CharacterDataHandler = None

    def _settle(self) -> None:
        if self._text is not None:
            self._expat.CharacterDataHandler = None
            suite, case, message = self.failures[-1]
            self.failures[-1] = (suite, case, _first_line(self._text, _GO_FRAME) or message)
            self._text = None


def _pick(attributes: list[str], *names: str) -> list[str]:
    values = dict(zip(attributes[::2], attributes[1::2], strict=True)) if len(attributes) < 200 else {}
    return [values.get(name, "")[:KEPT] for name in names]


def _first_line(text: str, frame: tuple[str, ...] = ()) -> str:
    for line in text.splitlines():
        line = one_line(_SPELT_ESCAPE.sub("\x1b", line), KEPT)
        if line and not (frame and line.startswith(frame)):
            return line
    return ""
