"""Other people's text on one line: printable, without anything that is not seen, and cut where it is too long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe.lib.text import masked_line, one_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        (" \n\t ", ""),
        ("a\nb\r\nc\td  e", "a b c d e"),
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07and \x9b1mbold", "red and bold"),
        ("10%\r100%", "100%"),
        ("a\x00b\x07c\x7fd\x85e", "abcde"),
        ("a\u2028b\u2029c", "a b c".replace(" ", "")),
        ("\u202eder\u202c \u2066x\u2069 \u200ey\u200f \u061cz", "der x y z"),
        ("a\ud800b", "ab"),
        ("é日本🚀", "é日本🚀"),
        ("x" * 20, "x" * 20),
        ("x" * 21, "x" * 19 + "…"),
        ("x" * 18 + " yyyy", "x" * 18 + "…"),
    ],
)
def test_one_line(text, line):
    assert one_line(text, 20) == line


@given(st.text() | st.text("\x1b[]0;m\x9b\r\b\n\t aK\u202e"), st.integers(1, 50))
def test_whatever_the_text_holds_it_is_one_line_that_can_be_shown(text, limit):
    line = one_line(text, limit)
    assert len(line) <= limit
    assert line == " ".join(line.split())
    assert not [c for c in line if c < " " or "\x7f" <= c < "\xa0" or c in "\u2028\u2029\u202e\u200f"]
    line.encode()


@pytest.mark.parametrize("secret", ["hunter2", "hun\x1b[31mter2", "hunX\bter2", "hun\u202eter2"])
@pytest.mark.parametrize("before", [0, 4, 15, 18])
def test_of_a_secret_no_part_stays_wherever_the_line_is_cut(secret, before):
    line = masked_line("x" * before + secret, lambda text: text.replace("hunter2", "****"), 20)
    assert "hun" not in line and "ter" not in line
