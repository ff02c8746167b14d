"""How a variable's value is read from the environment: empty means absent, and so does an unexpanded `$WORD`."""

from __future__ import annotations

import re
from collections.abc import Mapping

UNEXPANDED = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*|\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_LONE_SURROGATES = re.compile(
    "[\ud800-\udfff]"
)  # what Python makes of bytes that are not UTF-8, and of "\ud800" in JSON


def mend(text: str) -> str:
    """Text that can be encoded: every byte that was not valid UTF-8 becomes U+FFFD."""
    return _LONE_SURROGATES.sub("\ufffd", text)


def present(environ: Mapping[str, str], name: str) -> str:
    """The variable's value; an empty string for an absent, empty or unexpanded one (`$WORD`, `${WORD}`)."""
    value = mend(environ.get(name, ""))
    return "" if not value.strip() or UNEXPANDED.fullmatch(value.strip()) else value
