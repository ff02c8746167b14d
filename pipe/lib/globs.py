"""Bitbucket's glob patterns, for branches, tags and files: `*` stops at `/`, `**` does not, `{a,b}` alternates.

Source: "Use glob patterns on the Pipelines yaml file" in Bitbucket Cloud's documentation.

A pattern becomes a small machine of numbered places, and a name moves through all the places it can be at, at once. So
the time is linear in pattern × name, whatever they hold: nothing is tried twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Places = frozenset[int]  # where in a pattern one can stand after some text; empty: nothing that begins so can match
Test = Callable[[str], bool]  # of one character

_TOKEN = re.compile(r"\*\*+/|\*+|\[[!^]?\]?(?:\\.|[^]\\])*\]|\\?.", re.DOTALL)
_RANGE = re.compile(r"(\\?.)(?:-(\\?.))?", re.DOTALL)
_WRONG = {"[": "a [ without its ]", "}": "a } without its {", "\\": "a \\ with nothing behind it"}


class Glob:
    """A pattern that was read: `*` is any characters but `/`, `**` any at all (and `a/**/b` fits `a/b` too), `?` one
    but `/`, `[a-z]` and `[!a-z]` one of those or one but those, never `/`, `{a,b}` one of them. `\\` takes the next
    character as it is.

    Raises `ValueError` for a pattern that cannot be read; the message says what is wrong with it.
    """

    def __init__(self, pattern: str) -> None:
        if not pattern:
            raise ValueError("an empty pattern")
        self._steps: list[
            tuple[Test, int] | None
        ] = []  # of each place: what a character must be to lead on, and whither
        self._jumps: list[list[int]] = []  # of each place: where one stands as well
        self._jumps_in_front: dict[int, int] = {}  # the same, but only at the beginning of a path's segment
        self._known: dict[tuple[Places, str], Places] = {}
        self._end = self._lay_out(pattern)
        self.start = self._with_jumps([0], in_front=True)

    def matches(self, name: str) -> bool:
        """Whether the pattern fits the whole name, case-sensitively."""
        return self.ends(self.after(self.start, name))

    def ends(self, places: Places) -> bool:
        """Whether the whole pattern fits the text that led to these places."""
        return self._end in places

    def after(self, places: Places, text: str) -> Places:
        """Where one stands after some more text. (A walk through folders so leaves out those that cannot match.)"""
        for character in text:
            reached = self._known.get((places, character))
            if reached is None:
                steps = [step for place in places if (step := self._steps[place])]
                reached = self._with_jumps([to for test, to in steps if test(character)], in_front=character == "/")
                self._known[places, character] = reached
            places = reached
        return places

    def _with_jumps(self, places: list[int], *, in_front: bool) -> Places:
        reached: dict[int, None] = dict.fromkeys(places)
        pending = [*reached]
        while pending:
            place = pending.pop()
            beyond = self._jumps[place]
            if in_front and place in self._jumps_in_front:
                beyond = [*beyond, self._jumps_in_front[place]]
            pending += [to for to in beyond if to not in reached]
            reached |= dict.fromkeys(beyond)
        return frozenset(reached)

    def _lay_out(self, pattern: str) -> int:
        """Makes the places, and returns the one behind the whole pattern."""
        here = self._place()
        braces: list[tuple[int, int]] = []  # that are open: the place in front of each and the one behind it
        for found in _TOKEN.finditer(pattern):
            token = found[0]
            if token == "{":
                braces.append((here, self._place()))
                here = self._place(after=here)
            elif braces and token in (",", "}"):
                before, behind = braces[-1]
                self._jumps[here].append(behind)
                here = self._place(after=before) if token == "," else braces.pop()[1]
            else:
                here = self._part(token, here)
        if braces:
            raise ValueError("a { without its }")
        return here

    def _part(self, token: str, here: int) -> int:
        if token in _WRONG:
            raise ValueError(_WRONG[token])
        if not token.startswith("*"):
            return self._step(here, _test(token))
        within = self._place(after=here)
        self._steps[within] = (_anything if token.startswith("**") else _no_slash, within)
        behind = self._place(after=within)
        if token.endswith("/"):
            behind = self._step(behind, "/".__eq__)
            self._jumps_in_front[here] = behind
        return behind

    def _place(self, *, after: int | None = None) -> int:
        self._steps.append(None)
        self._jumps.append([])
        place = len(self._steps) - 1
        if after is not None:
            self._jumps[after].append(place)
        return place

    def _step(self, here: int, test: Test) -> int:
        there = self._place()
        self._steps[here] = (test, there)
        return there


def _anything(character: str) -> bool:
    return True


def _no_slash(character: str) -> bool:
    return character != "/"


def _test(token: str) -> Test:
    if token == "?":
        return _no_slash
    if len(token) < 2 or token.startswith("\\"):
        return token[-1].__eq__
    negated = token[1] in "!^"
    ranges = [(low[-1], (high or low)[-1]) for low, high in _RANGE.findall(token[2 if negated else 1 : -1])]
    if not ranges:
        raise ValueError("an empty []")
    if any(low > high for low, high in ranges):
        raise ValueError(f"{token} runs backwards")
    return lambda character: character != "/" and any(low <= character <= high for low, high in ranges) != negated
