"""Rules about the file's shape: what Bitbucket does not run, or does not read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipe import definition_file
from pipe.check.model import SCRIPTS, misread
from pipe.check.rule import Checked, Found, rule
from pipe.check.source import Map, holds_variable, items_of, mapping_of, text_of

IN_AFTER_SCRIPT = """
after-script:
  - pipe: …/pagerduty-events:…
    variables:
      INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY
      EXIT_CODE: $BITBUCKET_EXIT_CODE
      ALERT_NAME: build # and in each step that is to page
""".strip()
_CALL = re.compile(r"^\s*-?\s*pipe:?\s+\S*(pagerduty|docker://)", re.IGNORECASE)


@rule(
    "file-name",
    "Bitbucket reads `bitbucket-pipelines.yml` only: nothing of this ever runs.",
    "# git mv bitbucket-pipelines.yaml bitbucket-pipelines.yml",
)
def file_name(checked: Checked) -> Iterator[Found]:
    if checked.file.path.name == "bitbucket-pipelines.yaml":
        yield Found(1, f"The file is called {checked.file.path.name}.")


@rule(
    "no-pipe",
    "The pipe is known by `pagerduty` in its name, or by INTEGRATION_KEY among its variables.",
    IN_AFTER_SCRIPT,
)
def no_pipe(checked: Checked) -> Iterator[Found]:
    file = checked.file
    elsewhere = any(
        (*not_run(checked), *variables_not_read(checked), *(one.imported for one in file.definition.pipelines))
    )
    if not file.uses and not elsewhere:
        yield Found(file.document.line_of("pipelines"), "No step uses this pipe, so it pages nobody.")


@rule(
    "not-run",
    "Bitbucket runs a pipe only as an item of its own in `script` or `after-script` of a step: here it never runs.",
    IN_AFTER_SCRIPT,
)
def not_run(checked: Checked) -> Iterator[Found]:
    file = checked.file
    shown = {key: value for key, value in file.document.items() if key != "definitions"}
    ours = definition_file.references(shown)
    for key, value in shown.items():
        yield from _not_run(value, file.document.line_of(key), (key,), ours)
    for step in file.steps:
        for line, command in step.shell(*SCRIPTS):
            if _CALL.match(command):
                what = f"`{command}` is a line of the shell, and calls a command `pipe`, which does not exist."
                yield Found(line, what)


def _not_run(node: Any, line: int, path: tuple[str, ...], ours: set[str]) -> Iterator[Found]:
    """`line`, `path`: of the key under which the node stands, and of those around it."""
    if definition_file.is_ours(node, ours):
        deeper = "in a list of its own " if path[-1] in SCRIPTS and path[-2:-1] in (("step",), ("final",)) else ""
        where = " in ".join(f"`{key}`" for key in reversed(path[-2:]))
        yield Found(line, f"A pipe stands {deeper}under {where}.")
    elif isinstance(node, Map):
        for key, value in node.items():
            runs = key in SCRIPTS and path[-1] in ("step", "final")
            others = [one for one in items_of(value) if not definition_file.is_ours(one, ours)] if runs else value
            yield from _not_run(others, node.line_of(key), (*path, key), ours)
    else:
        for one in items_of(node):
            yield from _not_run(one, line, path, ours)


@rule(
    "variables-not-read",
    "Bitbucket takes a pipe's variables as `NAME: value`, two spaces further in than `variables:`, and these are not.",
    """
variables:
  INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY
""",
)
def variables_not_read(checked: Checked) -> Iterator[Found]:
    ours = {id(use.node) for use in checked.file.uses}
    for step in checked.file.steps:
        entries = (entry for key in SCRIPTS for entry in definition_file.entries(step.body.get(key)))
        for item in (entry for entry in entries if isinstance(entry, Map) and "pipe" in entry):
            names = misread(item)
            if names and (id(item) in ours or "INTEGRATION_KEY" in dict(names)):
                is_list = isinstance(item.get("variables"), list)
                how = "`variables:` is a list" if is_list else f"{', '.join(dict(names))} beside `pipe:`"
                line = item.line_of("variables" if is_list else names[0][0])
                pairs = [*names, *mapping_of(item.get("variables")).items()]
                write = "\n".join(["variables:", *(f"  {name}: {_shown(value)}" for name, value in pairs)])
                yield Found(line, f"In the pipe of {step.name}: {how}.", write)


def _shown(value: Any) -> str:
    """A key that is written out is no one's to repeat."""
    text = text_of(value)
    return text if holds_variable(text) and " " not in text else "…"
