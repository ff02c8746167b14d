"""A picture of a page in a fifth of the bytes: a few hundred shades become a palette of at most 256."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def smaller(picture: bytes) -> bytes:
    """The same picture with a palette: of more than 256 shades the rare ones become their nearest. For 8-bit RGB(A)."""
    width, height, depth, kind = struct.unpack(">IIBB", picture[16:26])
    if depth != 8 or kind not in (2, 6):
        return picture
    samples = 3 if kind == 2 else 4
    data = zlib.decompress(b"".join(body for name, body in _chunks(picture) if name == b"IDAT"))
    rows = [
        [bytes(row[at : at + 3]) for at in range(0, len(row), samples)] for row in _rows(data, width * samples, samples)
    ]
    shades = Counter(shade for row in rows for shade in row)
    palette = _palette(shades)
    index = {shade: palette.index(min(palette, key=lambda one: _distance(one, shade))) for shade in shades}
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + bytes(map(index.__getitem__, row)) for row in rows), 9)
    chunks = ((b"IHDR", header), (b"PLTE", b"".join(palette)), (b"IDAT", body), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(*chunk) for chunk in chunks)


def _palette(shades: Counter[bytes]) -> list[bytes]:
    """At most 256: each time the one whose pixels would look worst without it, so that rare colours stay colours."""
    palette: list[bytes] = []
    wrong = dict.fromkeys(shades, 3 * 256**2)
    while len(palette) < 256 and (worst := max(wrong, key=lambda shade: wrong[shade] * shades[shade])) not in palette:
        palette.append(worst)
        wrong = {shade: min(distance, _distance(worst, shade)) for shade, distance in wrong.items()}
    return palette


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(picture):
        length, name = struct.unpack(">I4s", picture[at : at + 8])
        yield name, picture[at + 8 : at + 8 + length]
        at += length + 12


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _rows(data: bytes, length: int, samples: int) -> Iterator[bytes]:
    """The rows without PNG's filters."""
    above = bytearray(length)
    for at in range(0, len(data), length + 1):
        row, kind = bytearray(data[at + 1 : at + 1 + length]), data[at]
        for index in range(length) if kind else ():
            left = row[index - samples] if index >= samples else 0
            corner = above[index - samples] if index >= samples else 0
            row[index] = (row[index] + _guess(kind, left, above[index], corner)) & 255
        yield bytes(row)
        above = row


def _guess(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:
        middle = left + up - corner
        return min((left, up, corner), key=lambda value: abs(middle - value))
    return {1: left, 2: up, 3: (left + up) // 2}[kind]
