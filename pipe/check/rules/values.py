"""Rules about a variable's value."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipe.check.model import Use
from pipe.check.proposals import BY_NAME, in_place_of, wrong
from pipe.check.rule import Checked, Found, rule
from pipe.check.source import Seq, Text, text_of

_NO_STRING = re.compile(
    r"(?i)y|n|yes|no|on|off|true|false|null|~|[-+]?(\d[\d_]*(\.\d*)?|\.\d+)(e[-+]?\d+)?|0[xo][0-9a-f]+"
)


@rule(
    "unquoted-value",
    "A pipe's variables are strings. Without quotes this is a boolean or a number, which Bitbucket refuses or writes "
    "in another way (1.10 becomes 1.1).",
    'DEBUG: "true"',
)
def unquoted_value(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        for name, value in use.variables.items():
            for one in value if isinstance(value, Seq) else [value]:
                is_no_string = isinstance(one, Text) and one.plain and _NO_STRING.fullmatch(one)
                if is_no_string and not _has_a_rule_of_its_own(use, name) and not wrong(name, value):
                    write = f'{name}: "{one}"' if one is value else f'- "{one}"'
                    yield Found(one.line, f"{name} has the value {one} without quotes.", write)


@rule(
    "bad-value",
    "The value counts for nothing, the page says so, and the pipe exits with 1.",
    "SEVERITY: critical",
)
def bad_value(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        withheld = {row.promise.withheld for row in checked.rows_of(use)}
        for name, value in use.variables.items():
            known = name in BY_NAME and not BY_NAME[name].secret and not _has_a_rule_of_its_own(use, name)
            if known and (why := wrong(name, value)) and why not in withheld:
                yield Found(use.variables.line_of(name), why, in_place_of(name, value))


def _has_a_rule_of_its_own(use: Use, name: str) -> bool:
    """`exit-code-not-the-step-s` and `never-pages` say what to write, which is another value."""
    dry_run = name == "DRY_RUN" and text_of(use.variables.get(name)).lower() == "true"
    return dry_run or (name == "EXIT_CODE" and use.is_by_exit_code)
