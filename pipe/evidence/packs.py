"""Reads one object out of a git pack, with the few parts of dulwich that this takes.

Whoever wrote the repository wrote its packs: nothing is inflated past a limit, and a pack is only ever mapped.
"""

from __future__ import annotations

import io
from contextlib import suppress
from functools import partial
from typing import Any

from dulwich.errors import ApplyDeltaError, ChecksumMismatch
from dulwich.object_format import SHA1
from dulwich.objects import ObjectID, object_class
from dulwich.pack import Pack, PackData, UnresolvedDeltas, load_pack_index_file

from .files import RegularFile

MOST_INFLATED = 8  # times the largest object: what it and the deltas that it is made of may come to,
COST = 2048  # bytes more for each of them: of the largest 1 MiB, that allows 4096, as many as git itself makes
_OFS_DELTA, _REF_DELTA = 6, 7  # https://git-scm.com/docs/gitformat-pack


class _Mapped(RegularFile):
    """A file that is mapped into memory or not read at all: dulwich would read it whole where mapping fails."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise io.UnsupportedOperation("a pack that cannot be mapped into memory")


class _Bounded(PackData):
    """Looks at an entry's sizes before dulwich, which believes them, inflates it or applies it as a delta."""

    def __init__(self, *arguments: Any, largest: int, **more: Any) -> None:
        self._largest = largest
        self._left = MOST_INFLATED * largest
        super().__init__(*arguments, **more)

    def get_unpacked_object_at(self, offset: int, *, include_comp: bool = False) -> Any:
        pack = self._buffer()
        if not 0 < offset < len(pack):  # dulwich only asserts it, and the image runs without assertions
            raise ValueError("an entry outside of the pack")
        size, after = _number(pack, offset)
        kind, size = pack[offset] >> 4 & 7, size >> 7 << 4 | size & 15
        if kind == _OFS_DELTA:
            _number(pack, after)
        self._left -= size + COST
        if size > self._largest or self._left < 0:
            raise ValueError(f"larger than {self._largest} bytes")
        unpacked = super().get_unpacked_object_at(offset, include_comp=include_comp)
        if kind in (_OFS_DELTA, _REF_DELTA):
            delta = b"".join(unpacked.decomp_chunks)
            if _number(delta, _number(delta, 0)[1])[0] > self._largest:  # what it makes of its base
                raise ValueError(f"larger than {self._largest} bytes")
        return unpacked


def _number(data: Any, offset: int) -> tuple[int, int]:
    """Seven bits a byte, the lowest first, and where it ends. One of more than 64 bits is refused: dulwich would
    read on to the end of the pack."""
    value = 0
    for shift in range(0, 64, 7):
        byte = data[offset]
        offset += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, offset
    raise ValueError("a number without an end")


def read_packed(stem: str, sha: str, largest: int) -> tuple[bytes, bytes] | None:
    """Type and content of the object `sha` in the pack `stem`.pack, or None if it is not in there.

    `largest`, in bytes, is what an object or a delta may inflate to. Raises `OSError`, `ValueError` where a limit is
    passed, and for a damaged pack what dulwich leaves unguarded: `AssertionError`, `IndexError`, `KeyError`,
    `OverflowError`, `TypeError`, `struct.error`, `zlib.error`.
    """
    name = ObjectID(sha.encode())
    with _Mapped(f"{stem}.idx") as idx_file, _Mapped(f"{stem}.pack") as pack_file:
        pack = Pack.from_lazy_objects(
            partial(_Bounded, f"{stem}.pack", SHA1, file=pack_file, largest=largest),
            partial(load_pack_index_file, f"{stem}.idx", idx_file, SHA1),
        )
        try:
            if name not in pack:
                return None
            kind, content = pack.get_raw(name)
        except (KeyError, UnresolvedDeltas) as error:
            raise ValueError("what it is a delta of is missing") from error
        except (ApplyDeltaError, ChecksumMismatch) as error:
            raise ValueError(str(error)) from error
        finally:
            # A traceback that holds a view of the mapping makes the first attempt fail, and would so replace the
            # very error it belongs to; the second one closes what is left.
            with suppress(BufferError):
                pack.close()
            pack.close()
    known = object_class(kind)
    if not known:
        raise ValueError(f"an object of kind {kind}, which there is none of")
    return known.type_name, content
