"""Finds one git object in a repository: in its store or one it borrows from, loose or in a pack."""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from functools import partial

from .files import RegularFile, why

LARGEST = 1024 * 1024  # bytes of an object, and of each delta it is made of; a commit has some hundred
MOST_STORES = 16  # a store and its alternates; git itself follows them five deep
LARGEST_LIST = 64 * 1024  # bytes of objects/info/alternates

Object = tuple[bytes, bytes]  # its type and its content

# What dulwich, zlib and struct raise for files that are not what they should be. No `Exception`: whoever interrupts
# this must get through.
_DAMAGED = (AssertionError, IndexError, KeyError, OverflowError, TypeError, ValueError, struct.error, zlib.error)


def read_object(store: str, sha: str) -> Object | None:
    """The object in the store at `store` (`.git/objects`) or in one it borrows from; None when it is in none of them.
    Raises `ValueError` when it is not found and something could not be read, `OSError` for the list of stores."""
    reason = ""
    for objects in _stores(store):
        for read in (partial(_loose, objects), *(partial(_packed, stem) for stem in _packs(objects))):
            try:
                found = read(sha)
            except TimeoutError:
                raise
            except FileNotFoundError:
                continue
            except OSError as error:
                reason = reason or why(error)
            except _DAMAGED as error:
                reason = reason or f"damaged or too large: {str(error) or type(error).__name__}"
            else:
                if found and _name(*found) == sha:
                    return found
                if found:
                    reason = reason or "damaged: its content does not match its name"
    if reason:
        raise ValueError(reason)
    return None


def _name(kind: bytes, content: bytes) -> str:
    return hashlib.sha1(b"%b %d\0%b" % (kind, len(content), content), usedforsecurity=False).hexdigest()


def _stores(store: str) -> Iterator[str]:
    """The store and its alternates (https://git-scm.com/docs/gitrepository-layout, objects/info/alternates)."""
    stores = [os.path.realpath(store)]
    for objects in stores:
        yield objects
        try:
            with RegularFile(f"{objects}/info/alternates") as listed:
                lines = listed.read(LARGEST_LIST).decode(errors="surrogateescape").splitlines()
        except FileNotFoundError:
            continue
        for line in lines:
            if line and not line.startswith("#") and "\0" not in line:
                other = os.path.realpath(os.path.join(objects, line))
                if other not in stores and len(stores) < MOST_STORES:
                    stores.append(other)


def _loose(objects: str, sha: str) -> Object:
    with RegularFile(f"{objects}/{sha[:2]}/{sha[2:]}") as file:
        inflated = zlib.decompressobj().decompress(file.read(LARGEST), LARGEST + 1)
    header, _, content = inflated.partition(b"\0")
    kind, _, size = header.partition(b" ")
    if not size.isdigit():
        raise ValueError("no object")
    if len(size) > len(str(LARGEST)) or int(size) > LARGEST:
        raise ValueError(f"larger than {LARGEST} bytes")
    return kind, content


def _packed(stem: str, sha: str) -> Object | None:
    from .packs import read_packed  # brings dulwich along, some 15 ms

    return read_packed(stem, sha, LARGEST)


def _packs(objects: str) -> list[str]:
    try:
        with os.scandir(f"{objects}/pack") as entries:
            return sorted(entry.path[:-4] for entry in entries if entry.name.endswith(".idx"))
    except FileNotFoundError:
        return []
