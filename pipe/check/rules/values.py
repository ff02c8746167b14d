"""Rules about a variable's value."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipe.check.rule import Checked, Found, rule
from pipe.check.source import Seq, Text, text_of
from pipe.settings import VARIABLES, Variable

_NO_STRING = re.compile(
    r"(?i)y|n|yes|no|on|off|true|false|null|~|[-+]?(\d[\d_]*(\.\d*)?|\.\d+)(e[-+]?\d+)?|0[xo][0-9a-f]+"
)
_BY_NAME = {variable.name: variable for variable in VARIABLES}


@rule(
    "unquoted-value",
    "A pipe's variables are strings. Without quotes this is a boolean or a number, which Bitbucket refuses or writes "
    "in another way (1.10 becomes 1.1).",
    'DRY_RUN: "true"',
)
def unquoted_value(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        for name, value in use.variables.items():
            for one in value if isinstance(value, Seq) else [value]:
                if isinstance(one, Text) and one.plain and _NO_STRING.fullmatch(one):
                    write = f'{name}: "{one}"' if one is value else f'- "{one}"'
                    yield Found(one.line, f"{name} has the value {one} without quotes.", write)


@rule("bad-value", "The pipe cannot read it.", "SEVERITY: critical")
def bad_value(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        for name, value in use.variables.items():
            if (variable := _BY_NAME.get(name)) and (why := _wrong(variable, value)):
                yield Found(
                    use.variables.line_of(name), f"{name}: {why}; {variable.bad}.", f"{name}: … # {variable.help}"
                )


def _wrong(variable: Variable, value: object) -> str:
    """What the run would say of it; empty for one with a `$`, and for a secret, which has a rule of its own."""
    if not isinstance(value, (Text, Seq)):
        return "it is no string" if value is not None else ""
    texts = [text_of(one) for one in value] if isinstance(value, Seq) else [text_of(value)]
    if variable.secret or not any(texts) or any("$" in text for text in texts):
        return ""
    if isinstance(value, Seq) and not variable.many:
        return "it is an array; give one string"
    try:
        variable.parse(texts if variable.many else texts[0])
    except ValueError as error:
        return str(error)
    return ""
