"""Finds and opens files of the clone, which is somebody else's: nothing outside of it, nothing that is not a file."""

from __future__ import annotations

import io
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from .trails import Note, Trail, after, asked_for, ends, here

DEEPEST = 24  # folders below the clone
MOST_PENDING = 20_000  # names waiting to be looked at, in all folders on the way: some 200 bytes each
NEVER = {".git", "node_modules"}


class RegularFile(io.FileIO):
    """A file open for reading that is known to be one. Anything else (a FIFO, a device, a link) raises `OSError` and
    is not waited for."""

    def __init__(self, path: str) -> None:
        super().__init__(path, opener=_open)
        if not stat.S_ISREG(os.fstat(self.fileno()).st_mode):  # changed since it was looked at
            self.close()
            raise OSError("not a regular file")


def _open(path: str, flags: int) -> int:
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise OSError("not a regular file")
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def why(error: OSError) -> str:
    """The error in a few words, without the path that Python puts after it."""
    return (error.strerror or str(error)).lower()


def find(root: Path, wanted: frozenset[Trail], note: Note, deadline: float) -> Iterator[tuple[str, str]]:
    """Every file that a trail leads to, once, in the order of the names: its real path and its path in the clone.

    `root` must be a real path. Links are followed as far as they stay in the clone. `.git` and `node_modules` are not
    entered, nor what lies more than 24 folders deep. Ends early at `deadline` (`time.monotonic()`).
    """
    pending = 0
    through_links: set[tuple[str, frozenset[Trail]]] = set()
    files: set[str] = set()

    def walk(real: str, path: str, reached: frozenset[Trail], depth: int) -> Iterator[tuple[str, str]]:
        nonlocal pending
        reached = here(reached)
        names = sorted(entries(real, path, reached))
        pending += len(names)
        for name, linked, folder in names:
            if time.monotonic() > deadline:
                return
            target, below = f"{real}/{name}", after(reached, name)
            if linked:
                target = os.path.realpath(target)
                if not f"{target}/".startswith(f"{root}/"):
                    if asked_for(below):
                        note(path + name, "leads out of the clone")
                    continue
                if (target, below) in through_links:  # it leads back
                    continue
                through_links.add((target, below))
                folder = os.path.isdir(target)
            if folder:
                if depth < DEEPEST and not NEVER & {name, os.path.basename(target)}:
                    yield from walk(target, f"{path}{name}/", below, depth + 1)
            elif ends(below) and target not in files:
                files.add(target)
                yield target, path + name
        pending -= len(names)

    def entries(real: str, path: str, reached: frozenset[Trail]) -> list[tuple[str, bool, bool]]:
        kept: list[tuple[str, bool, bool]] = []
        try:
            with os.scandir(real) as found:
                for entry in found:
                    below = after(reached, entry.name)
                    if not below:
                        continue
                    linked, folder = entry.is_symlink(), entry.is_dir(follow_symlinks=False)
                    if linked or folder or ends(below):
                        kept.append((entry.name, linked, folder))
                    if pending + len(kept) > MOST_PENDING:
                        note(path or ".", f"too many files: only {len(kept)} of them were looked at")
                        break
        except TimeoutError:
            raise
        except OSError as error:
            if not path or asked_for(reached):
                note(path or ".", why(error))
        return kept

    return walk(str(root), "", wanted, 0)
