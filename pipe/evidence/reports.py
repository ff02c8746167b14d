"""Which tests failed, by the JUnit XML that the build left in its clone. To be called behind the wall."""

from __future__ import annotations

import codecs
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, TextIO
from xml.parsers import expat

from pipe.lib.text import masked_line

from .junit import NotJUnit, Report
from .search import BITBUCKETS_OWN, FOLDERS, find, globs

MAX_ENTRIES = 20
MAX_NOTES = 5
MAX_NOTE = 200  # characters
CHUNK = 64 * 1024  # characters
NO_MEMORY = expat.errors.codes[expat.errors.XML_ERROR_NO_MEMORY]
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_DECLARED = rb"<\?xml[^>]*?encoding\s*=\s*[\"']([\w.:-]+)"
_ILLEGAL = "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]"  # https://www.w3.org/TR/xml/#charsets
_REFERENCE = "&#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}));"


def read_reports(
    clone: Path, patterns: tuple[str, ...], seconds: float, conceal: Callable[[str], str] = str
) -> dict[str, Any]:
    """What the reports in the clone say, as far as they can be read within `seconds`:

    `failed`: the first 20 tests that failed, a line each. `failed_total`, `total`: how many failed, and how many there
    are, skipped ones included; None unless there are reports and all of them were read to their end. `notes`: what
    could not be read and why, a line each.

    `patterns` are Bitbucket's globs relative to the clone; none means the folders where Bitbucket itself looks. There,
    XML that is no JUnit report (coverage lies in the same folders) is passed over in silence.
    """
    reading = _Reading(clone, patterns, time.monotonic() + seconds, conceal)
    reading.read()
    failed = [entry for entries in reading.failed.values() for entry in entries]
    known = reading.reports > 0 and reading.whole
    notes = reading.notes[:MAX_NOTES]
    if more := len(reading.notes) - len(notes):
        notes.append(f"and {more} more")
    return {
        "failed": failed[:MAX_ENTRIES],
        "failed_total": len(failed) if known else None,
        "total": reading.cases.total() if known else None,
        "notes": notes,
    }


class _Reading:
    """One look through the clone. A test counts once however many reports repeat it (Surefire's and TestNG's, say), but
    as often as one report has it in suites of its own."""

    def __init__(self, clone: Path, patterns: tuple[str, ...], ends: float, conceal: Callable[[str], str]) -> None:
        self.clone, self.patterns, self.ends, self.conceal = clone, patterns, ends, conceal
        self.reports = 0
        self.whole = True
        self.cases: Counter[int] = Counter()
        self.failed: dict[int, list[str]] = {}
        self.notes: list[str] = []

    def read(self) -> None:
        wanted = {}
        for pattern in self.patterns or (BITBUCKETS_OWN,):
            try:
                wanted[pattern] = globs(self.clone, pattern)
            except ValueError as error:
                self._note(pattern, f"not read: {error}")
        unmatched = {*wanted}
        for path in find(self.clone, [*chain(*wanted.values())], self._not_entered, self.ends):
            unmatched -= {pattern for pattern in unmatched if any(glob.matches(path) for glob in wanted[pattern])}
            self._read(path)
            if time.monotonic() > self.ends:
                break
        if time.monotonic() > self.ends:
            self._missed("the search", "stopped for lack of time")
        elif self.patterns:
            for pattern in sorted(unmatched):
                odd = re.search("[,;'\"]", re.sub(r"\{[^{}]*\}", "", pattern))
                self._note(
                    pattern, "no such file" + ("; patterns are separated by spaces, without quotes" if odd else "")
                )

    def _read(self, path: str) -> None:
        report = Report(self.conceal)
        why = ""
        try:
            _parse(self.clone / path, report, self.ends)
        except NotJUnit as error:
            if self.patterns:
                self._note(path, str(error))
            return
        except expat.ExpatError as error:
            why = "too large" if error.code == NO_MEMORY else f"broken XML in line {error.lineno}"
            report.break_off()
        except MemoryError:
            why = "too large"
        except TimeoutError:
            why = "no time to read it to its end"
        except OSError as error:
            why = str(error.strerror).lower()
        report.settle()
        if why:
            self._missed(path, f"{why}; what stands before was read" if report.cases else why)
        self.reports += 1
        self.cases |= report.cases
        for key, entries in report.failed.items():
            if len(entries) > len(self.failed.get(key, ())):
                self.failed[key] = entries

    def _not_entered(self, folder: str, why: str) -> None:
        # Below the folders where Bitbucket looks; elsewhere it is no business of ours (a database's folder, say)
        if self.patterns or not {*FOLDERS}.isdisjoint(folder.split("/")):
            self._missed(folder, why)

    def _missed(self, what: str, why: str) -> None:
        self.whole = False
        self._note(what, why)

    def _note(self, what: str, why: str) -> None:
        self.notes.append(masked_line(f"{what}: {why}", self.conceal, MAX_NOTE))


def _parse(path: Path, report: Report, ends: float) -> None:
    """Reads the report to its end, or to `ends` (`time.monotonic()`) and raises `TimeoutError`."""
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True

    def start(tag: str, attributes: dict[str, str]) -> None:
        report.start(tag, attributes)
        parser.CharacterDataHandler = report.listener  # nobody listens to most of it, which takes the time

    def end(tag: str) -> None:
        report.end(tag)
        parser.CharacterDataHandler = None

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.ExternalEntityRefHandler = lambda *_: 0  # not read, so what it stands for is missing: an error
    with path.open("rb") as file:
        encoding = _encoding(file.read(200))
    with path.open(encoding=encoding, errors="replace", newline="") as text:
        for piece in _pieces(text):
            parser.Parse(piece)  # text, so that the parser asks for no encoding
            if time.monotonic() > ends:
                raise TimeoutError
    parser.Parse("", True)


def _encoding(head: bytes) -> str:
    """By the byte order mark, whatever is declared (PowerShell's `>` writes UTF-16 that says it is UTF-8); then by the
    declaration, unless the very declaration shows that it is not so (.NET's StringWriter always says UTF-16)."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    if declared := re.search(_DECLARED, head):
        name = declared[1].decode()
        with suppress(LookupError, ValueError):
            if b"<".decode(name, "replace") == "<":
                return name
    return "utf-8"


def _pieces(file: TextIO) -> Iterator[str]:
    """The text from its first `<` on (`npm test > report.xml` puts lines in front), without what XML cannot hold: tools
    copy a test's output as it is."""
    begun, left = False, ""
    while piece := file.read(CHUNK):
        piece, left = left + piece, ""
        if not begun:
            piece = piece[piece.index("<") :] if "<" in piece else ""
            begun = bool(piece)
        if (cut := piece.rfind("&", -9)) >= 0 and ";" not in piece[cut:]:
            piece, left = piece[:cut], piece[cut:]
        piece = re.sub(_ILLEGAL, "\ufffd", piece)
        yield re.sub(_REFERENCE, _legal, piece) if "&#" in piece else piece
    yield left


def _legal(reference: re.Match[str]) -> str:
    number = int(reference[1], 16) if reference[1] else int(reference[2])
    legal = number in (9, 10, 13) or 0x20 <= number < 0xD800 or 0xE000 <= number < 0xFFFE or 0xFFFF < number <= 0x10FFFF
    return reference[0] if legal else "\ufffd"
