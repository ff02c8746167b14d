"""What was built: the subject of a commit and its author's name, read from the clone without a git binary."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from .files import RegularFile, why
from .objects import read_object
from .terminal import one_line

SUBJECT = 300  # characters
AUTHOR = 100
REASON = 200
READ = 8 * 1024  # bytes of a message that are looked at for the subject
POINTER = 4 * 1024  # bytes of a file that holds one path


@dataclass(frozen=True)
class Commit:
    """`subject`: the message's first paragraph on one line of at most 300 characters. `author`: the name, never the
    address, at most 100 characters. Both may be empty."""

    subject: str
    author: str


class CommitNotRead(Exception):
    """The commit cannot be read; the message says why."""


def read_commit(clone: Path, sha: str) -> Commit:
    """The commit `sha` (40 hex digits) of the repository at `clone`: loose or packed, in a shallow clone, a linked
    worktree or a submodule, or in a store that it borrows from. Raises `CommitNotRead`.

    Reads no configuration and runs nothing. A commit of more than 1 MiB is not read; memory stays within some MiB,
    whatever the size of the packs.
    """
    if re.fullmatch("[0-9a-f]{64}", sha):
        raise CommitNotRead("repositories with SHA-256 are not supported")
    if not re.fullmatch("[0-9a-f]{40}", sha):
        raise CommitNotRead("not a commit's hash")
    try:
        found = read_object(os.path.join(_common(_git_dir(clone)), "objects"), sha)
    except TimeoutError:
        raise
    except OSError as error:
        raise CommitNotRead(why(error)) from error
    except ValueError as error:
        raise CommitNotRead(one_line(str(error), REASON)) from error
    if found is None:
        raise CommitNotRead("not in this clone")
    kind, content = found
    if kind != b"commit":
        raise CommitNotRead(f"a {kind.decode(errors='replace')}, not a commit")
    return _parsed(content)


def _git_dir(clone: Path) -> str:
    """`.git`, or where it points to: in a linked worktree or a submodule it is a file."""
    git = os.path.join(clone, ".git")
    if os.path.isdir(git):
        return git
    if not os.path.lexists(git):
        raise CommitNotRead("no .git in the clone")
    key, _, path = _pointer(git).partition(":")
    if key != "gitdir":
        raise CommitNotRead(".git is neither a folder nor a pointer to one")
    return os.path.join(clone, path.strip())


def _common(git_dir: str) -> str:
    """Where the objects are: a linked worktree shares them with the others."""
    try:
        return os.path.join(git_dir, _pointer(os.path.join(git_dir, "commondir")).strip())
    except FileNotFoundError:
        return git_dir


def _pointer(path: str) -> str:
    with RegularFile(path) as file:
        return os.fsdecode(file.read(POINTER)).replace("\0", "")


def _parsed(content: bytes) -> Commit:
    """By hand, for history holds commits whose dates and addresses no strict parser takes."""
    head, _, message = content.partition(b"\n\n")
    fields: dict[bytes, bytes] = {}
    for line in head.split(b"\n"):
        name, _, value = line.partition(b" ")
        fields.setdefault(name, value)
    encoding = fields.get(b"encoding", b"").decode("ascii", "replace")
    paragraph = re.split(rb"\n[ \t\r]*\n", message[:READ].lstrip(), maxsplit=1)[0]
    # "name <address> seconds zone"; a name that is an address itself loses what comes after the @
    author = _text(fields.get(b"author", b"").partition(b"<")[0], encoding)
    author = re.sub(r"(\S)@\S+", r"\1", author)
    return Commit(one_line(_text(paragraph, encoding), SUBJECT), one_line(author, AUTHOR))


def _text(raw: bytes, encoding: str) -> str:
    """Git takes a message for UTF-8 unless a header says otherwise; what is not becomes U+FFFD."""
    try:
        return raw.decode(encoding or "utf-8", "replace")
    except (LookupError, ValueError):  # a name that no codec has, or one that is no codec of text
        return raw.decode("utf-8", "replace")
