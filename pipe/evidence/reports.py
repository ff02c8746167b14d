"""Which tests failed, from the JUnit XML that the build left in its clone. Streamed: no report is ever held whole.

There is no standard; this reads what pytest, jest-junit, Maven Surefire, gotestsum and .NET's JunitXml logger write.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .files import RegularFile, find, why
from .junit import GaveUp, NotJUnit, Parser
from .terminal import one_line
from .trails import BITBUCKETS_OWN, trails

CHUNK = 64 * 1024
LARGEST = 64 * 1024 * 1024  # bytes read of one report: three times the largest that is promised to be read in time
MOST_FILES = 5_000
MOST_KNOWN = 10_000  # failed cases remembered to know them again in another report
MOST_SKIPPED = 20  # reasons said one by one
ENTRY = 300  # characters
CASE = 200  # characters of an entry that the test's name may take, so that the message has its place


@dataclass(frozen=True)
class FailingTests:
    """`entries`: `suite.case: first line of the message`, at most 300 characters each. `total`: failed and errored
    cases. `files`: reports read, if only in part. `skipped`: why something was not read or read in part, a reason
    each, at most 20 and then how many more."""

    entries: tuple[str, ...]
    total: int
    files: int
    skipped: tuple[str, ...]


def failing_tests(
    root: Path,
    patterns: Sequence[str] | None,
    limit: int = 20,
    deadline: float | None = None,
    conceal: Callable[[str], str] = str,
) -> FailingTests:
    """The tests that failed, by the reports in the clone at `root`; the first `limit` of them by name.

    `patterns` are Bitbucket's globs relative to `root`; None means the folders where Bitbucket itself looks. There, XML
    that is no JUnit report (coverage lies in the same folders) is passed over in silence; where patterns were given it
    is named in `skipped`.

    A case counts once however many reports repeat it (Surefire's and TestNG's, say), but as often as one report has
    it, which is what the tool itself counts. `conceal` hides secrets before anything is cut. At `deadline`
    (`time.monotonic()`) it stops and returns what it has.

    Memory is bounded by a few MiB whatever the reports hold: at most 64 MiB are read of each and 5 000 of them, a
    document type, one tag of more than 256 KiB, nesting deeper than 100 or more than 1 000 names end it. Raises
    nothing for anything found on disk.
    """
    skipped: list[str] = []
    more = 0

    def note(what: str, reason: str) -> None:
        nonlocal more
        if len(skipped) < MOST_SKIPPED:
            skipped.append(one_line(f"{what}: {reason}", ENTRY))
        else:
            more += 1

    ends_at = float("inf") if deadline is None else deadline
    real = root.resolve()
    wanted = BITBUCKETS_OWN if patterns is None else trails(real, patterns, note)
    entries: list[str] = []
    known: set[int] = set()
    total = files = 0
    for path, shown in find(real, wanted, note, ends_at):
        if files == MOST_FILES:
            note(shown, f"not read, nor what follows: more than {MOST_FILES} reports")
            break
        parser = Parser(known, limit - len(entries))
        try:
            _read(path, parser, ends_at)
        except TimeoutError:
            raise
        except GaveUp as error:
            if patterns is not None or not isinstance(error, NotJUnit):
                note(shown, f"{error}; what stands before was read" if parser.is_junit else str(error))
        except OSError as error:
            note(shown, why(error))
        finally:
            parser.release()
        files += parser.is_junit
        total += parser.total
        entries += [_entry(*map(conceal, failure)) for failure in parser.failures]
        known.update(parser.cases if len(known) < MOST_KNOWN else ())
    if time.monotonic() > ends_at:
        note("the search", "stopped for lack of time")
    if more:
        skipped.append(f"and {more} more")
    return FailingTests(tuple(entries), total, files, tuple(skipped))


def _read(path: str, parser: Parser, deadline: float) -> None:
    with RegularFile(path) as report:
        read = 0
        while chunk := report.read(CHUNK):
            read += len(chunk)
            if read > LARGEST:
                raise GaveUp(f"larger than {LARGEST // 1024 // 1024} MiB")
            parser.feed(chunk)
            if time.monotonic() > deadline:
                raise GaveUp("no time to read it to its end")
        parser.feed(b"", last=True)


def _entry(suite: str, case: str, message: str) -> str:
    # jest-junit by default, and .NET's logger if asked to, write the suite's name in front of the case's too
    repeated = case == suite or case.startswith((f"{suite} ", f"{suite}."))
    name = case if repeated else ".".join(filter(None, (suite, case)))
    return one_line(f"{one_line(name, CASE) or 'a test without a name'}: {message}", ENTRY)
