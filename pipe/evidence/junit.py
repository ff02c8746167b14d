"""What one JUnit report says: which of its tests failed, and how many there are.

There is no standard for it. What the elements mean was seen in the reports of the tools under `tests/reports`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

ROOTS = ("testsuites", "testsuite")
FAILED = ("failure", "error")  # not Surefire's flakyFailure, flakyError: passed in the end; its rerun… come with one
OUTPUT = ("system-out", "system-err")
OUTPUT_LINES = 3
MAX_LOOKED_AT = 8192  # characters of each text


class NotJUnit(Exception):
    """It is XML of another kind."""


class Report:
    """What one report says, as it is read aloud by an XML parser; the text of an element is for `listener`, if any.

    `cases`: how often each test stands there; attempts at one and the same, side by side in one suite, count once.
    `failed`: what went wrong with those that failed in the end. Both are complete after `settle`.
    """

    def __init__(self, conceal: Callable[[str], str]) -> None:
        self.cases: Counter[int] = Counter()
        self.failed: dict[int, list[str]] = {}
        self._conceal = conceal
        self._path: list[str] = []
        self._suites = [""]
        self._results: list[dict[int, str]] = [{}]  # of the tests in each open suite: what went wrong, if anything
        self._case: Case | None = None
        self.listener: Callable[[str], None] | None = None  # to the text of the element that is open

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        parent = self._path[-1] if self._path else ""
        if not parent and name not in ROOTS:
            raise NotJUnit(f"not a JUnit report ({name[:50]})")
        self._path.append(name)
        if name == "testsuite":
            self._suites.append(attributes.get("name", ""))
            self._results.append({})
        elif name == "testcase":
            self._case = Case(attributes.get("classname") or self._suites[-1], attributes.get("name", ""))
        elif name in FAILED and parent == "testsuite":  # of none of its tests: a fixture that broke
            self._case = Case(self._suites[-1], "")
        self.listener = self._case.begin(name, parent, attributes) if self._case else None

    def end(self, tag: str) -> None:
        name = self._path.pop()
        if self._case and (name == "testcase" or (name in FAILED and self._path[-1] == "testsuite")):
            self._ended(self._case)
            self._case = None
        if name == "testsuite":
            self._suites.pop()
            self._count(self._results.pop())

    def break_off(self) -> None:
        """The report ends here, in the midst of a test perhaps: what it has said of it counts."""
        if self._case and self._case.failed:
            self._ended(self._case)

    def settle(self) -> None:
        """Nothing follows."""
        while self._results:
            self._count(self._results.pop())

    def _ended(self, case: Case) -> None:
        results, key = self._results[-1], hash((case.suite, case.name))
        if case.skipped:
            results.setdefault(key, "")
        elif not case.failed:  # nor does one that failed before: it has passed when it was tried again
            results[key] = ""
        elif not results.get(key):
            results[key] = case.entry(self._conceal)

    def _count(self, results: dict[int, str]) -> None:
        self.cases.update(results.keys())
        for key, entry in results.items():
            if entry:
                self.failed.setdefault(key, []).append(entry)


class Case:
    """A test while its element is open."""

    def __init__(self, suite: str, name: str) -> None:
        self.suite, self.name = suite, name
        self.failed = self.skipped = False
        self._kind = ""
        self._said: list[str] = []
        self._size = 0
        self._output: deque[str] = deque(maxlen=20 * OUTPUT_LINES)

    def begin(self, element: str, parent: str, attributes: dict[str, str]) -> Callable[[str], None] | None:
        """What shall hear the element's text."""
        if parent == "testcase" and element == "skipped":
            self.skipped = True
        elif parent in ("testcase", "testsuite") and element in FAILED:
            self.failed = True
            self._kind = self._kind or attributes.get("type", "")
            self._said += [attributes.get("message", ""), ""]
            return self._hear
        elif parent == "testcase" and element in OUTPUT and self.failed:
            return self._output.append
        return None

    def _hear(self, text: str) -> None:
        if self._size <= MAX_LOOKED_AT:
            self._said[-1] += text
            self._size += len(text)

    def entry(self, conceal: Callable[[str], str]) -> str:
        from .failure import describe  # its patterns take a while to compile, and most reports hold no failure

        said, kind = self._said, self._kind
        if not kind and not "".join(said).strip():  # ctest's: only the output says something, and most at its end
            lines = [line for line in "".join(self._output).splitlines() if line.strip()]
            said = ["\n".join(lines[-OUTPUT_LINES:])]
        return describe(self.suite, self.name, *said, kind=kind, conceal=conceal)
