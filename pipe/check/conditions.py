"""A trigger's condition: names, strings, `== != && || !`, parentheses and `glob(NAME, "pattern")`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pipe.definition import matches

_TOKEN = re.compile(r"""\s*(?:(\|\||&&|==|!=|[!(),])|"([^"]*)"|'([^']*)'|([A-Za-z_][A-Za-z0-9_]*))""")


class _NotUnderstood(Exception):
    pass


def may_hold(condition: str, known: Mapping[str, str]) -> bool:
    """Whether the condition can be true where these names have these values, and any other name could have any."""
    try:
        reader = _Reader(condition, known)
        value = reader.either()
        return not reader.at_end or value is not False
    except _NotUnderstood:
        return True


class _Reader:
    """Reads and evaluates in one go, in three values: None is not known."""

    def __init__(self, condition: str, known: Mapping[str, str]) -> None:
        self._known = known
        self._tokens: list[tuple[str, str]] = []
        position = 0
        while condition[position:].strip():
            found = _TOKEN.match(condition, position)
            if not found:
                raise _NotUnderstood
            sign, double, single, name = found.groups()
            text = double if double is not None else single
            self._tokens.append(("sign", sign) if sign else ("name", name) if name else ("text", text))
            position = found.end()

    @property
    def at_end(self) -> bool:
        return not self._tokens

    def either(self) -> bool | None:
        return self._joined("||", self._both, decides=True)

    def _both(self) -> bool | None:
        return self._joined("&&", self._one, decides=False)

    def _joined(self, sign: str, part: Callable[[], bool | None], *, decides: bool) -> bool | None:
        values = [part()]
        while self._takes(sign):
            values.append(part())
        return decides if decides in values else None if None in values else not decides

    def _one(self) -> bool | None:
        if self._takes("!"):
            value = self._one()
            return None if value is None else not value
        if self._takes("("):
            value = self.either()
            self._expects(")")
            return value
        left = self._operand()
        if self._takes("("):
            name = self._operand()
            self._expects(",")
            pattern = self._operand()
            self._expects(")")
            return None if name is None or pattern is None else matches(pattern, name)
        for sign in ("==", "!="):
            if self._takes(sign):
                right = self._operand()
                return None if left is None or right is None else (left == right) is (sign == "==")
        return None

    def _operand(self) -> str | None:
        if not self._tokens or self._tokens[0][0] == "sign":
            raise _NotUnderstood
        kind, text = self._tokens.pop(0)
        return text if kind == "text" else self._known.get(text)

    def _takes(self, sign: str) -> bool:
        if self._tokens[:1] != [("sign", sign)]:
            return False
        del self._tokens[0]
        return True

    def _expects(self, sign: str) -> None:
        if not self._takes(sign):
            raise _NotUnderstood
