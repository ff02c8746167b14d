"""Rules about where the pipe stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipe import definition_file
from pipe.check.model import Use
from pipe.check.rule import Checked, Found, rule
from pipe.check.source import Map, Seq, shell_lines, text_of
from pipe.placement import STEPS_OWN_CODE

PAGER_FIRST = """
after-script:
  - pipe: …/pagerduty-events:… # first
  - ./clean-up.sh
"""
_ASSIGNS = r"(export )?\w+=(\"[^\"`]*\"|'[^']*'|[^\s;&|`]*)|echo [^;&|>`]*"
_HARMLESS = re.compile(
    r"(echo|printf|export|set|unset|true|:)\b[^;&|>]*(>&2)?"  # says or sets something
    rf"|{_ASSIGNS}"
    rf"|if [^;]*; then (({_ASSIGNS}); |else |elif [^;]*; then )+fi"
    r"|.*\|\| *(true|:|echo [^;&|]*)"
)
_CALL = re.compile(r"^\s*-?\s*pipe:?\s+\S*(pagerduty|docker://)", re.IGNORECASE | re.MULTILINE)


IN_AFTER_SCRIPT = """
after-script:
  - pipe: …/pagerduty-events:…
    variables:
      INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY
      EXIT_CODE: $BITBUCKET_EXIT_CODE
      ALERT_NAME: build # and in each step that is to page
"""


@rule(
    "in-script",
    "In the script of an ordinary step the pipe runs only after every line before it succeeded: it never pages.",
    IN_AFTER_SCRIPT,
)
def in_script(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        if stands_in_script(use):
            yield Found(use.line, f"The pipe stands in `script` of {use.at.label}.")


def stands_in_script(use: Use) -> bool:
    """Where nothing else tells how it went."""
    by_hand = use.has_own_action or use.item.exit_code not in STEPS_OWN_CODE
    return use.placed.runs_only_after_a_success and not use.item.build_status and not by_hand


@rule(
    "after-script-of-final",
    "There the exit code is the final step's own, and says nothing of the build.",
    """
- final:
    script:
      - pipe: …/pagerduty-events:…
        variables:
          INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY
          BITBUCKET_ACCESS_TOKEN: $BITBUCKET_ACCESS_TOKEN
""",
)
def after_script_of_final(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        if use.at.step.final and use.item.place == "after-script":
            yield Found(use.line, f"The pipe stands in the after-script of a `final:` step ({use.at.pipeline.label}).")


@rule(
    "after-script-of-told",
    "In the after-script of a pipeline that is told how another one ended, a told failure is reported in place of the "
    "step's own success.",
    """
script:
  - pipe: …/pagerduty-events:…
""",
)
def after_script_of_told(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        if use.told and use.item.place == "after-script":
            yield Found(use.line, f"The pipe stands in the after-script of {use.at.pipeline.label}, which is told.")


@rule(
    "behind-a-line",
    "An after-script stops at its first line that fails: then the pipe does not run, and nobody is paged.",
    PAGER_FIRST,
)
def behind_a_line(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        if use.item.place != "after-script":
            continue
        entries = list(definition_file.entries(use.at.body.get("after-script")))
        unchecked = False
        for entry in entries[: next(index for index, entry in enumerate(entries) if entry is use.node)]:
            unchecked = unchecked or any(re.match(r"set \+e\b", line) for _, line in shell_lines(entry))
            if risky := _risky(entry, unchecked=unchecked):
                yield Found(risky[0], f"`{risky[1]}` stands before the pipe in the after-script of {use.at.name}.")


def _risky(entry: Any, *, unchecked: bool) -> tuple[int, str] | None:
    """The line and the words of what may end the after-script."""
    if isinstance(entry, Map):
        other = text_of(entry.get("pipe"))
        return (entry.line, f"pipe: {other}") if "pagerduty" not in other.lower() else None
    lines = list(shell_lines(entry))
    whole = re.sub(r"\b(then|else);", r"\1", "; ".join(command for _, command in lines))
    if _HARMLESS.fullmatch(whole):
        return None
    for line, command in lines:
        ends = re.search(r"\b(exit|exec)\b", command)
        if ends or not (unchecked or command.startswith("#") or _HARMLESS.fullmatch(command)):
            return line, command
    return None


@rule(
    "after-script-outside",
    "Bitbucket knows `after-script` only inside of a step: here it never runs.",
    """
- step:
    script:
      - make
    after-script:
      - pipe: …/pagerduty-events:…
""",
)
def after_script_outside(checked: Checked) -> Iterator[Found]:
    document = checked.file.document
    for key, value in document.items():
        if key == "pipelines":
            yield from _outside(value)
        elif key == "after-script":
            yield Found(document.line_of(key), "`after-script` stands at the top of the file.")
        elif key == "options" and isinstance(value, Map) and "after-script" in value:
            yield Found(value.line_of("after-script"), "`after-script` stands under `options`.")


def _outside(node: Any) -> Iterator[Found]:
    if isinstance(node, Seq):
        for item in node:
            yield from _outside(item)
    elif isinstance(node, Map):
        beside_step = any(key in node and not isinstance(node[key], Map) for key in ("step", "final"))
        if "after-script" in node and not beside_step:
            yield Found(node.line_of("after-script"), "`after-script` stands outside of a step.")
        for key, value in node.items():
            if key not in ("step", "final", "after-script"):
                yield from _outside(value)


@rule(
    "called-in-shell",
    "As a line of the shell this is a command called `pipe`, which does not exist.",
    """
- pipe: …/pagerduty-events:… # an item of its own, without quotes and without `|`
  variables:
    INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY
""",
)
def called_in_shell(checked: Checked) -> Iterator[Found]:
    for step in checked.file.steps:
        for line, command in step.shell("script", "after-script"):
            if _CALL.match(command):
                yield Found(line, f"`{command}` is a line of the shell.")


@rule(
    "two-places",
    "One failure then opens two alerts, which resolve apart.",
    "# keep the after-scripts, or the one `final:` step or told pipeline, not both",
)
def two_places(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        if use.has_own_action or use.item.place != "script" or not (use.at.step.final or use.is_told):
            continue
        others = [
            one
            for one in checked.file.uses
            if not one.has_own_action and (one.is_by_exit_code or one.at.step.final) and one is not use and not one.told
            if use.is_told or (one.at.pipeline is use.at.pipeline and not one.at.step.final)
        ]
        if others:
            yield Found(use.line, f"{others[0].at.label} pages by itself, and {use.at.name} pages too.")
