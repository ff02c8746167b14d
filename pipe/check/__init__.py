"""`check`: reads `bitbucket-pipelines.yml` as a run does, and says who is paged when, and what would go wrong.

Nothing of a normal run imports this.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from pipe.check.model import read
from pipe.check.report import Report
from pipe.check.rules import findings
from pipe.check.source import MAX_FILE_BYTES, Unreadable
from pipe.check.table import rows
from pipe.definition_file import NAME
from pipe.lib import wall

READING_TIME = 10.0  # seconds
READING_MEMORY = 512 * 1024 * 1024  # bytes
MAX_REPORT_BYTES = 16 * 1024 * 1024
CLEAN, FOUND, UNREADABLE = 0, 1, 2
WAYS = """Give a FILE, or run it where the file is; in the image, with the repository mounted:
  docker run --rm -v "$PWD:/repo:ro" -w /repo IMAGE check
  docker run --rm -i IMAGE check - < bitbucket-pipelines.yml"""
OTHER_NAME = "bitbucket-pipelines.yaml"


def main(argv: Sequence[str], *, colours: bool | None = None) -> int:
    """The exit status: 0 without findings, 1 with findings, 2 where the file cannot be read. `argv` begins behind
    `check`."""
    parser = argparse.ArgumentParser("check", description="Who is paged when, by a bitbucket-pipelines.yml.")
    parser.add_argument("file", nargs="?", default="", metavar="FILE", help=f"default: {NAME}; `-` reads from stdin")
    parser.add_argument("--format", choices=("text", "json", "sarif"), default="text")
    given = parser.parse_args(argv)
    shown = sys.stdout.isatty() if colours is None else colours
    try:
        stdin = sys.stdin.buffer.read(MAX_FILE_BYTES + 1) if given.file == "-" else None
        path = Path(NAME) if stdin is not None else _found(Path(given.file or NAME))
        if not given.file and not path.exists():
            raise Unreadable(f"{path}: there is none in {Path.cwd()}. {WAYS}")
        text, count = _behind_the_wall(path, stdin, given.format, colours=shown)
    except Unreadable as error:
        print(error, file=sys.stderr)
        return UNREADABLE
    print(text)
    return FOUND if count else CLEAN


def report(path: Path, text: bytes) -> Report:
    """Raises `Unreadable`."""
    file = read(path, text)
    table = rows(file)
    return Report(file, table, findings(file, table))


def _behind_the_wall(path: Path, text: bytes | None, form: str, *, colours: bool) -> tuple[str, int]:
    """The report on the text, else on the file, and the number of findings, made where a file that expands without end
    ends nothing but itself."""

    def question() -> object:
        try:
            made = report(path, path.read_bytes() if text is None else text)
        except Unreadable as error:
            raise wall.Unread(str(error)) from None
        except OSError as error:
            raise wall.Unread(f"{path}: {error.strerror}") from None
        except RecursionError:
            raise wall.Unread(f"{path}: nested too deep") from None
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            fault = f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"
            raise wall.Unread(f"{path}: the check itself failed: {fault}. Please report this.") from None
        shown = {"json": made.as_json, "sarif": made.as_sarif}.get(form, lambda: made.as_text(colours=colours))()
        return [shown.rstrip("\n"), len(made.findings)]

    try:
        found, count = wall.ask(question, seconds=READING_TIME, size=MAX_REPORT_BYTES, memory=READING_MEMORY)
    except wall.Unread as error:
        why = str(error)
        raise Unreadable(why if why.startswith(str(path)) else f"{path}: {why}") from None
    return found, count


def _found(path: Path) -> Path:
    """The file, or the one in this folder; under the name that Bitbucket does not read, if there is no other."""
    path = path / NAME if path.is_dir() else path
    other = path.with_name(OTHER_NAME)
    return other if path.name == NAME and not path.exists() and other.exists() else path
