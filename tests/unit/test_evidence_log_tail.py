"""A log's last lines as a person would have seen them, and no secret in them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipe.evidence.log_tail import MAX_TAIL, tail


@pytest.mark.parametrize(
    ("raw", "lines", "shown"),
    [
        (b"", 5, ""),
        (b"\n\n  \n", 5, ""),
        (b"a\nb\nc\n", 2, "b\nc"),
        (b"a\nb\nc", 2, "b\nc"),
        (b"a\n\nb\n\n \n\n", 3, "a\n\nb"),
        (b"a\n\nb", 2, "\nb"),
        (b"a\nb", 0, ""),
        (b"a\nb", -1, ""),
        (b"a", 1000, "a"),
        (b"a \t\nb\tc  ", 2, "a\nb\tc"),
        (b"a\r\nb\r\n", 2, "a\nb"),
        (b"x" * 500, 1, "x" * 500),
        (b"x" * 501, 1, "x" * 499 + "…"),
    ],
)
def test_the_last_lines_are_kept_without_blank_ones_at_the_end(raw, lines, shown):
    assert tail(raw, lines, str, False) == shown


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m and \x1b[1;38;5;208mbold\x1b[m", "red and bold"),
        ("\x1b[38:2::255:0:0mred\x1b[?25l\x1b[2J\x1b[1;1H\x1b7\x1b(B\x1b=", "red"),
        ("\x9b31mred\x9b0m", "red"),
        ("\x1b]0;title\x07a\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
        ("\x1bP1;2|data\x1b\\a\x1b_app\x1b\\b\x9d0;title\x9cc", "abc"),
        ("a\x1b]0;a title without an end", "a0;a title without an end"),
        ("a\x1b]0;a title\nwithout an end\x07", "a0;a title\nwithout an end"),
        ("a\x1b[31", "a31"),
        ("a\x1b", "a"),
        ("a\x00b\x07c\x0bd\x7fe\x85f\u2028g\u202eh\u2066i", "abcdefghi"),
        ("10%\r50%\r100%", "100%"),
        ("100%\r", "100%"),
        ("Downloading\rDone", "Doneloading"),
        ("Downloading\r\x1b[KDone", "Done"),
        ("Downloading\x1b[2K\rDone", "Done"),
        ("Downloading\r\x1b[2KDone", "Done"),
        ("abc\x1b[2Kd", "   d"),
        ("abc\x1b[1Kd", "   d"),
        ("abc\x1b[1G\x1b[1Kd", "dbc"),
        ("abcdef\x1b[3D\x1b[Kx", "abcx"),
        ("abcdef\r\x1b[2Cx", "abxdef"),
        ("abc\x1b[5Gd", "abc d"),
        ("a\x1b[99999999999Cb", "a"),
        ("abd\bc\b\b\b\b\bA", "Abc"),
        ("\b\ba", "a"),
        ("一二\r三", "三二"),
        ("\x1b[32m⠋\x1b[0m wait\r\x1b[32m✔\x1b[0m done", "✔ done"),
    ],
)
def test_escapes_go_and_progress_is_what_it_was_at_last(raw, shown):
    assert tail(raw.encode(), 10, str, False) == shown


def test_bytes_that_are_not_utf_8_are_replaced():
    assert tail(b"a\xffb\xe2\x82\nc\xc3", 10, str, False) == "a\ufffdb\ufffd\nc\ufffd"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"rest of a line\nwhole\n", "whole"),
        (b"\nwhole\n", "whole"),
        (b"\xa9 rest\r\nwhole\n", "whole"),
        (b"rest of a line that never ends", ""),
        (b"", ""),
    ],
)
def test_the_piece_of_a_line_in_front_is_left_out(raw, shown):
    assert tail(raw, 10, str, cut_in_front=True) == shown


SECRET = "hunter2/+ü"


def conceal(text: str) -> str:
    return text.replace(SECRET, "****")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"password={SECRET}!", "password=****!"),
        (f"{SECRET}{SECRET}", "********"),
        (f"\x1b[1m{SECRET[:3]}\x1b[0m{SECRET[3:]}", "****"),
        (f"{SECRET[:3]}\x1b]0;title\x07{SECRET[3:]}", "****"),
        (f"hunxx\b\b{SECRET[3:]}", "****"),
        (f"{SECRET[:3]}\x1b[K{SECRET[3:]}", "****"),
        (f"xxxxx{SECRET[5:]}\r{SECRET[:5]}", "****"),
        (f"token {SECRET}\rdone", "donen ****"),
        (f"{SECRET}\b\b\bxyz", "*xyz"),
        ("x" * 495 + SECRET, "x" * 495 + "****"),
        ("x" * 498 + SECRET, "x" * 498 + "*…"),
    ],
)
def test_secrets_are_concealed_before_between_and_after_the_cleaning(text, shown):
    assert tail(text.encode(), 10, conceal, False) == shown


def test_of_a_long_tail_the_end_is_kept():
    lines = [f"{number} ".ljust(500, "x") for number in range(200)]
    kept = tail("\n".join(lines).encode(), 200, str, False).split("\n")
    assert kept == lines[-len(kept) :]
    assert 30_000 < len("\n".join(kept)) <= MAX_TAIL


SEQUENCES = [*b"\x1b \x1b[ \x1b] \xc2\x9b \b 1 ; K 2D 5G m \x07".split(), b"\r", b"\n"]
WILD = st.binary(max_size=200) | st.lists(st.sampled_from(SEQUENCES), max_size=60).map(b"".join)


@settings(max_examples=200, deadline=None)
@given(WILD, st.integers(-1, 20), st.booleans())
def test_whatever_a_log_holds_it_is_some_clean_short_lines(raw, lines, cut):
    shown = tail(raw, lines, str, cut_in_front=cut)
    shown.encode()
    kept = shown.split("\n")
    assert not shown or len(kept) <= lines
    assert not shown or kept[-1].strip()
    assert all(len(line) <= 500 for line in kept)
    assert not [char for char in shown if char not in "\n\t" and (char < " " or "\x7f" <= char < "\xa0")]


@given(st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=50), max_size=30))
def test_plain_lines_stay_as_they_are(lines):
    assert tail("\n".join(lines).encode(), 30, str, False) == "\n".join(lines)


@pytest.mark.parametrize(
    "piece",
    [b"a", b"\n", b"\r", b"a\r", b"a\b", b"\x1b", b"\x1b]", b"\x1b[", b"\x1b[1", b"\x1b[C", b"\x1b[9999C", b"\x1b[K", b"\x1b]0;",
     b"\xc2\x9d", b"a\x1b[2K", b"x" * 500 + b"\x1b[1K\r", b"hunter2", b"hunter", b"%", b"h" * 40],
)  # fmt: skip
def test_as_much_as_is_fetched_of_anything_takes_no_more_than_a_second(piece):
    raw = piece * (128 * 1024 // len(piece))
    started = time.process_time()
    tail(raw, 100, str, False)
    assert time.process_time() - started < 3
