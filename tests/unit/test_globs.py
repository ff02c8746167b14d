"""Bitbucket's globs, against a matcher so simple that it is right, and against patterns made to take for ever."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pipe.lib.globs import Glob
from tests.conftest import MORE


def matches(pattern: str, name: str) -> bool:
    return Glob(pattern).matches(name)


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("main", ["main"], ["Main", "main2", "amain", "", "mai"]),
        ("*", ["main", "", ".hidden"], ["a/b", "/"]),
        ("feature/*", ["feature/a", "feature/"], ["feature", "feature/a/b", "feature/a/"]),
        ("**", ["main", "a/b/c", ""], []),
        ("feature/**", ["feature/a", "feature/a/b", "feature/"], ["feature", "features/a"]),
        ("release-**", ["release-1", "release-1/2", "release-"], ["release", "a/release-1"]),
        ("**foo", ["foo", "a/foo", "a/bfoo"], ["foob", "foo/"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb", "a/bx", "b"]),
        ("**/b", ["b", "a/b", "a/c/b"], ["ab", "a/cb"]),
        ("a/**/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab"]),
        ("x**/b", ["x/b", "xy/b", "x/y/b"], ["xb", "b"]),
        ("a***b", ["ab", "a/b", "axx/b"], ["a"]),
        ("?", ["a", "é", "\n"], ["", "/", "ab"]),
        ("v?.?", ["v1.2"], ["v12", "v1.", "v1.10"]),
        ("[abc]", ["a", "c"], ["d", "", "ab", "["]),
        ("[!a]", ["b", "A", "!"], ["a", "/", ""]),
        ("[^a]", ["b"], ["a", "/"]),
        ("[a-c]x[0-9]", ["ax0", "cx9"], ["dx0", "axa", "-x0"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[-a]", ["a", "-"], ["b"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("[!]a]", ["b"], ["]", "a"]),
        (r"[\]\-a]", ["]", "-", "a"], ["\\", "b"]),
        ("[a/b]", ["a", "b"], ["/"]),
        ("a[,}]{b[,}],c}", ["a,b,", "a}b}", "a,c"], ["a,b"]),
        ("{main,develop}", ["main", "develop"], ["main,develop", "{main}", ""]),
        ("{main}", ["main"], ["{main}"]),
        ("a{,b}c", ["ac", "abc"], ["abbc"]),
        ("{a,{b,c}d}e", ["ae", "bde", "cde"], ["be", "de"]),
        ("{feature/*,*/x}", ["feature/a", "a/x"], ["feature", "a/b"]),
        ("{a/**/b,c}", ["a/b", "a/x/b", "c"], ["a/c"]),
        ("{,a/}**/b", ["b", "a/b", "x/b"], ["ab"]),
        ("a,b", ["a,b"], ["a", "b"]),
        ("a]b", ["a]b"], []),
        (r"\*", ["*"], ["a", "\\*"]),
        (r"\{a,b\}", ["{a,b}"], ["a"]),
        (r"{a\,b,c}", ["a,b", "c"], ["a"]),
        (r"\\", ["\\"], ["\\\\"]),
        ("{1..3}", ["1..3"], ["2"]),
        ("grün/*", ["grün/ß"], ["grun/ß"]),
    ],
)
def test_what_a_pattern_fits(pattern, fits, does_not):
    assert [name for name in fits if not matches(pattern, name)] == []
    assert [name for name in does_not if matches(pattern, name)] == []


@pytest.mark.parametrize(
    ("pattern", "wrong"),
    [
        ("", "an empty pattern"),
        ("{a", "a { without its }"),
        ("{a,{b}", "a { without its }"),
        ("a}", "a } without its {"),
        ("{a}}", "a } without its {"),
        ("[a", "a [ without its ]"),
        ("a[", "a [ without its ]"),
        ("[", "a [ without its ]"),
        (r"[a\]", "a [ without its ]"),
        ("[]", "an empty []"),
        ("[!]", "an empty []"),
        ("[z-a]", "[z-a] runs backwards"),
        ("a\\", "a \\ with nothing behind it"),
        ("{" * 100_000, "a { without its }"),
        ("[" * 100_000, "a [ without its ]"),
    ],
)
def test_what_is_wrong_with_a_pattern_is_said(pattern, wrong):
    with pytest.raises(ValueError) as error:
        Glob(pattern)
    assert str(error.value) == wrong


def test_a_walk_through_folders_can_leave_out_what_cannot_match():
    glob = Glob("{build/*,**/out}/*.xml")
    build = glob.after(glob.start, "build/")
    assert not glob.ends(build)
    assert glob.ends(glob.after(build, "a/r.xml"))
    glob = Glob("build/*.xml")
    assert glob.after(glob.start, "src") == frozenset()


# A pattern as a tree: each part is a string or a list of alternatives, which are lists of parts.
PARTS = st.sampled_from(["a", "b", "/", "?", "*", "**", "**/", "[ab]", "[!a]"])
TREES = st.lists(
    PARTS | st.recursive(st.lists(st.lists(PARTS, max_size=3), min_size=1, max_size=3), lambda inner: st.lists(st.lists(PARTS | inner, max_size=3), min_size=1, max_size=3), max_leaves=4),
    min_size=1, max_size=6,
)  # fmt: skip


def written(parts) -> str:
    return "".join(part if isinstance(part, str) else "{" + ",".join(map(written, part)) + "}" for part in parts)


def expanded(parts):
    if not parts:
        yield ()
        return
    for rest in expanded(parts[1:]):
        for first in (parts[0],) if isinstance(parts[0], str) else (e for a in parts[0] for e in expanded(a)):
            yield ((first,) if isinstance(first, str) else first) + rest


def fits(parts: tuple[str, ...], name: str) -> bool:
    """By trying everything. In the plainest words that there are."""

    @cache
    def rest(at: int, part: int) -> bool:
        if part == len(parts):
            return at == len(name)
        kind, left = parts[part], name[at:]
        if kind == "**/":
            in_front = at == 0 or name[at - 1] == "/"
            ends = [at + n for n in range(1, len(left) + 1) if left[n - 1] == "/"] + [at] * in_front
        elif kind == "**":
            ends = [at + n for n in range(len(left) + 1)]
        elif kind == "*":
            ends = [at + n for n in range(len(left) + 1) if "/" not in left[:n]]
        else:
            one = {"?": "abc", "[ab]": "ab", "[!a]": "bc"}.get(kind, kind)
            ends = [at + 1] if left and left[0] in one else []
        return any(rest(end, part + 1) for end in ends)

    return rest(0, 0)


def reads_as_written(tree) -> bool:
    """Whether no two parts side by side read as another one: `*` and `*`, `**` and `/`."""
    every = [*flat(tree)]
    return not any(
        (first in ("*", "**") and second.startswith("*")) or (first, second) == ("**", "/")
        for first, second in pairwise(every)
    )


@settings(max_examples=150 * MORE, deadline=None)
@given(TREES, st.text("abc/", max_size=7))
@example(["a/", "**/", "b"], "a/b")
def test_it_says_what_trying_everything_says(tree, name):
    pattern = written(tree)
    assume(reads_as_written(tree))
    assert matches(pattern, name) == any(fits(parts, name) for parts in expanded(tree))


def flat(tree):
    for part in tree:
        if isinstance(part, str):
            yield part
        else:
            yield "{"
            for alternative in part:
                yield from flat(alternative)
                yield ","
            yield "}"


@settings(max_examples=500, deadline=None)
@given(st.text("ab*?[]!-{},\\/", max_size=12), st.text("ab/", max_size=6))
def test_any_pattern_is_read_or_said_to_be_wrong(pattern, name):
    with suppress(ValueError):
        matches(pattern, name)


def steps(pattern: str, name: str) -> int:
    """Lines of code that were run to match them."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        assert not matches(pattern, name)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*a" * 40 + "b", "a" * 40),
        ("**a" * 40 + "b", "a" * 40),
        ("{a,a}" * 40 + "b", "a" * 40),
        ("{*,**}" * 40 + "b", "a" * 40),
        ("**/" * 40 + "b", "a/" * 20),
        ("{" * 40 + "a" + ",a}" * 40 + "b", "a" * 40),
        ("[!b]" * 40, "a" * 80),
        ("{,a}" * 40 + "b", "a" * 40),
    ],
)
def test_the_work_grows_with_pattern_times_name_and_no_faster(pattern, name):
    small = steps(pattern, name)
    assert small < 20 * (len(pattern) + 1) * (len(name) + 1)
    if not pattern.startswith("{{"):
        assert steps(pattern[:-1] + pattern, name * 2) < 5 * small  # twice times twice, and a little


def test_thousands_of_characters_are_matched():
    assert not matches("*a" * 500 + "b", "a" * 2000)
    assert matches("{a,b}" * 30, "ab" * 15)
    assert matches("{" * 5000 + "a" + "}" * 5000, "a")
