"""Which files of the clone are test reports: by Bitbucket's own rule, or by the user's patterns."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pipe.lib.globs import Glob

NEVER_ENTERED = {".git", "node_modules"}
# https://support.atlassian.com/bitbucket-cloud/docs/test-reporting-in-pipelines/
FOLDERS = ("surefire-reports", "failsafe-reports", "test-results", "test-reports", "TestResults")
BITBUCKETS_OWN = f"{{,*/,*/*/,*/*/*/,*/*/*/*/}}{{{','.join(FOLDERS)}}}/**/*.xml"


def globs(clone: Path, pattern: str) -> list[Glob]:
    """A pattern relative to the clone, or one that begins with the clone's own path. One that names a folder stands
    for every `*.xml` in it and below. Raises `ValueError` for one that cannot be read or leads out of the clone."""
    inside = os.path.normpath(pattern.removeprefix(f"{clone}/"))
    if f"{inside}/".startswith(("/", "../")):
        raise ValueError("it leads out of the clone")
    folder = inside.removesuffix("**").rstrip("/")
    if inside == ".":
        return [Glob("**/*.xml")]
    if folder != inside:
        return [Glob(f"{folder}/**/*.xml".removeprefix("/"))]
    last = inside.rpartition("/")[2]
    return [Glob(inside), *([] if set("*?[{\\") & set(last) else [Glob(f"{inside}/**/*.xml")])]


def find(clone: Path, wanted: list[Glob], note: Callable[[str, str], None], ends: float) -> Iterator[str]:
    """The paths in the clone of every regular file that a glob fits, a folder's own before those further down, by name.

    No link is followed, for it may lead out of the clone or round in a circle. `note` takes a folder that cannot be
    read, and why. Ends early at `ends` (`time.monotonic()`), which the caller notices by itself.
    """
    pending = [("", [glob.start for glob in wanted])]
    while pending and time.monotonic() < ends:
        folder, places = pending.pop()
        files: list[str] = []
        folders = []
        try:
            with os.scandir(clone / folder) as entries:
                for entry in entries:
                    path = folder + entry.name
                    after = [glob.after(place, entry.name) for glob, place in zip(wanted, places, strict=True)]
                    if entry.is_dir(follow_symlinks=False):
                        below = [glob.after(place, "/") for glob, place in zip(wanted, after, strict=True)]
                        if any(below) and entry.name not in NEVER_ENTERED:
                            folders.append((f"{path}/", below))
                    elif any(map(Glob.ends, wanted, after)) and entry.is_file(follow_symlinks=False):
                        files.append(path)
        except OSError as error:
            note(folder or ".", str(error.strerror).lower())
        yield from sorted(files)
        pending += sorted(folders, reverse=True)
