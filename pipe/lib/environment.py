"""How a variable's value is read from the environment: empty means absent, and so does an unexpanded `$WORD`."""

from __future__ import annotations

import re
from collections.abc import Mapping

_QUOTED = re.compile(r"""\s*(["'])(.*)\1\s*""", re.S)


def encodable(text: str) -> str:
    """Text that can be encoded: what Python made of bytes that were not valid UTF-8, and of "\\ud800" in JSON, becomes
    U+FFFD."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def unexpanded(value: str) -> bool:
    """Whether the value is exactly `$WORD` or `${WORD}`: a variable that nobody has replaced."""
    name = r"[A-Za-z_][A-Za-z0-9_]*"
    return bool(re.fullmatch(rf"\s*\$({name}|\{{{name}\}})\s*", value))


def quoted(value: str) -> bool:
    """Whether the value has quotes around it, as `docker run --env-file` leaves them."""
    return bool(_QUOTED.fullmatch(value))


def unquoted(value: str) -> str:
    found = _QUOTED.fullmatch(value)
    return found[2] if found else value


def present(environ: Mapping[str, str], name: str) -> str:
    """The variable's value, without quotes around it; an empty string for an absent, empty or unexpanded one."""
    given = environ.get(name)
    value = unquoted(encodable(given)) if given else ""
    return "" if not value.strip() or unexpanded(value) else value
