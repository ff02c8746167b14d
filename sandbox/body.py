"""The body of a call as bytes: how long it may be, and what of it is JSON."""

import json
from typing import Any

LIMIT = 512_000
"""Bytes of encoded JSON. [D] says 512 KB; the smaller reading of it is the safe one."""
NESTING_LIMIT = 200
"""Levels; PagerDuty's own limit is unknown. This one keeps whatever is taken in fit to be shown again."""


def parse(body: bytes) -> Any:
    """The JSON in `body`. Raises ValueError for anything but strict JSON in UTF-8, not nested too deeply."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    level, depth = [value], 0
    while level := [child for one in level for child in _children(one)]:
        depth += 1
        if depth > NESTING_LIMIT:
            raise ValueError("nested too deeply")
    return value


def _children(value: object) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _no_constant(name: str) -> None:
    # Python would read NaN and Infinity; JSON has neither.
    raise ValueError(f"{name} is not JSON")
