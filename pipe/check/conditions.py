"""A trigger's condition: names, strings, `== != && || !`, parentheses and `glob(NAME, "pattern")`."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from pipe.definition import matches

_SIGNS = {"&&": " and ", "||": " or ", "!": " not "}
_STRING_OR_SIGN = re.compile(r"""(?P<quote>["'])(?P<text>.*?)(?P=quote)|&&|\|\||!(?!=)""", re.DOTALL)


def may_hold(condition: str, known: Mapping[str, str]) -> bool:
    """Whether the condition can be true where these names have these values, and any other name could have any. What is
    not understood can be."""
    as_python = _STRING_OR_SIGN.sub(lambda found: _SIGNS.get(found[0]) or repr(found["text"]), condition)
    try:
        return _holds(ast.parse(f"({as_python})", mode="eval").body, known) is not False
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return True


def _holds(node: ast.expr, known: Mapping[str, str]) -> bool | None:
    """None: it is not known."""
    match node:
        case ast.BoolOp(op=sign, values=parts):
            found, decides = [_holds(part, known) for part in parts], isinstance(sign, ast.Or)
            return decides if decides in found else None if None in found else not decides
        case ast.UnaryOp(op=ast.Not(), operand=part):
            value = _holds(part, known)
            return None if value is None else not value
        case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq() as sign], comparators=[right]):
            one, other = _text(left, known), _text(right, known)
            return None if one is None or other is None else (one == other) is isinstance(sign, ast.Eq)
        case ast.Call(func=ast.Name(id="glob"), args=[name, pattern]):
            one, other = _text(name, known), _text(pattern, known)
            return None if one is None or other is None else matches(other, one)
    return None


def _text(node: ast.expr, known: Mapping[str, str]) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name):
            return known.get(name)
    return None
