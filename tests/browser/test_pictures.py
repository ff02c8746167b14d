"""The pictures in docs/pictures: small, and of the present page."""

from __future__ import annotations

import zlib

import pytest

from tests.browser import chromium, pictures, png

if not chromium.paths():
    pytest.skip(f"who cannot make them need not: {chromium.WHAT_IS_MISSING}", allow_module_level=True)


def test_the_pictures_are_of_the_present_page() -> None:
    assert pictures.SOURCE.read_text().strip() == pictures.source(), "make pictures"


def test_they_are_all_there_and_small() -> None:
    names = {name for name, *_ in pictures.PICTURES}
    files = list(pictures.FOLDER.glob("*.png"))
    assert {file.stem for file in files} == names
    assert sum(file.stat().st_size for file in files) < 400_000


@pytest.mark.parametrize("kind", range(5))
def test_a_picture_grows_smaller_and_stays_what_it_was(kind: int) -> None:
    """All of PNG's filters, on rows of 3 pixels; filtered by hand, after its specification."""
    rows = [bytes([10, 20, 30, 40, 50, 60, 70, 80, 90]), bytes([15, 25, 35, 45, 55, 65, 250, 5, 95])]
    above = bytes(9)
    data = b""
    for row in rows:
        guesses = []
        for at in range(9):
            left, corner = (row[at - 3], above[at - 3]) if at >= 3 else (0, 0)
            up = above[at]
            nearest = min((left, up, corner), key=lambda value: abs(left + up - corner - value))
            guesses.append((0, left, up, (left + up) // 2, nearest)[kind])
        data += bytes([kind, *((value - guess) % 256 for value, guess in zip(row, guesses, strict=True))])
        above = row
    header = b"\0\0\0\3\0\0\0\2\x08\2\0\0\0"
    made = png.smaller(png.SIGNATURE + png._chunk(b"IHDR", header) + png._chunk(b"IDAT", zlib.compress(data)))
    chunks = dict(png._chunks(made))
    palette = [chunks[b"PLTE"][at : at + 3] for at in range(0, len(chunks[b"PLTE"]), 3)]
    indexes = zlib.decompress(chunks[b"IDAT"])
    assert [b"".join(palette[index] for index in indexes[at + 1 : at + 4]) for at in (0, 4)] == rows
