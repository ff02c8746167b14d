"""Reads `bitbucket-pipelines.yml` the way Bitbucket does, anchors and `<<` merges included.

What is not understood is passed over where it cannot hold a step, and searched for steps where it can.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from pipe.definition import Alert, Definition, Pipeline, Step

NAME = "bitbucket-pipelines.yml"
LARGEST = 256 * 1024  # bytes; a real one has some tens of thousands, and a parsed one takes a hundred times as many
MOST_STEPS = 5_000  # in all pipelines; aliases can make any number of them
# An item with one of these among its variables, or with "pagerduty" in its reference, is this pipe: a team may call it
# what it likes, and leave the key to pipe.yml's default.
OURS = {"ALERT_NAME", "EXIT_CODE", "INTEGRATION_KEY"}
_NO_STRING = re.compile(r"(?i)y|n|yes|no|on|off|true|false|[-+]?[.0-9][-+.:_0-9a-fox]*")


def read(clone: Path) -> Definition:
    """The definition in a clone. Never raises for what the file holds: `unread` says why it says nothing."""
    path = clone / NAME
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return Definition(unread=f"{NAME} is not a file")
            text = file.read(LARGEST + 1)
    except OSError as error:
        return Definition(unread=f"{NAME} could not be read ({error.strerror})")
    if len(text) > LARGEST:
        return Definition(unread=f"{NAME} is larger than {LARGEST} bytes")
    return parse(text)


def parse(text: bytes) -> Definition:
    import yaml

    try:
        # Bitbucket has run the file, so whatever this reader stumbles over is passed over where that can be done.
        decoded = yaml.reader.Reader.NON_PRINTABLE.sub(" ", text.decode("utf-8-sig", "replace"))
        document = next(iter(yaml.load_all(decoded, Loader=_loader(yaml))))
        return Definition(pipelines=tuple(_pipelines(document["pipelines"])))
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f" in line {line + 1}" if line is not None else ""
        return Definition(unread=f"{NAME} is not valid YAML{where}")
    except RecursionError:
        return Definition(unread=f"{NAME} is nested too deeply")
    except TooManySteps:
        return Definition(unread=f"{NAME} has more than {MOST_STEPS} steps")
    except Exception:  # whatever the file holds, it must not cost a page
        return Definition(unread=f"{NAME} has no pipelines that could be read")


class TooManySteps(Exception):
    """No file of Bitbucket's: a pipeline has at most 100 steps."""


def _loader(yaml: Any) -> type:
    """Every scalar is the string that stands there (a branch `1.10` is not the number 1.1), whatever its tag; `<<`
    merges."""

    def construct(loader: Any, node: Any) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return node.value
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_mapping(node, deep=True)

    loader = type(
        "Strings",
        (yaml.SafeLoader,),
        {"yaml_implicit_resolvers": {}, "yaml_constructors": {None: construct}, "yaml_multi_constructors": {}},
    )
    loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])
    return loader


def _pipelines(sections: dict[str, Any]) -> Iterator[Pipeline]:
    steps = 0
    for section, content in sections.items():
        named = {"": content} if section == "default" or not isinstance(content, dict) else content
        for pattern, items in named.items():
            imported = isinstance(items, dict) and "import" in items
            found = [] if imported else list(islice(_steps(items, Step()), MOST_STEPS))
            steps += len(found)
            if steps >= MOST_STEPS:
                raise TooManySteps
            yield Pipeline(section, str(pattern).strip(), tuple(found), imported)


def _steps(node: Any, group: Step) -> Iterator[Step]:
    """Every step below a node, in order; `group` holds what a parallel group or stage hands down to its steps."""
    if isinstance(node, list):
        for item in node:
            yield from _steps(item, group)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in ("step", "final") and isinstance(value, dict):
                yield _step(value, group, final=key == "final")
            elif isinstance(value, dict):
                yield from _steps(value, _inherited(value, group))
            elif isinstance(value, list):
                yield from _steps(value, group)


def _inherited(node: dict[str, Any], group: Step) -> Step:
    on_fail = node.get("on-fail")
    strategy = on_fail.get("strategy") if isinstance(on_fail, dict) else on_fail
    environments = group.environments
    if deployment := _text(node.get("deployment")):
        environments = (deployment,)
    elif environment := _text(node.get("environment")):
        environments = (*environments, environment)  # in the schema beside `deployment`; what it does is not documented
    return replace(
        group,
        environments=environments,
        on_fail=_text(strategy) or group.on_fail,
        manual=group.manual or node.get("trigger") == "manual",
    )


def _step(node: dict[str, Any], group: Step, *, final: bool) -> Step:
    alerts = [
        *_alerts(node.get("script"), after_script=False),
        *_alerts(node.get("after-script"), after_script=True),
    ]
    child = _text(node.get("custom")) if node.get("type") == "pipeline" else ""
    return replace(
        _inherited(node, group), name=_text(node.get("name")), final=final, child=child, alerts=tuple(alerts)
    )


def _alerts(items: Any, *, after_script: bool) -> Iterator[Alert]:
    for item in items if isinstance(items, list) else ():
        if not isinstance(item, dict) or "pipe" not in item:
            continue
        variables = item.get("variables")
        variables = variables if isinstance(variables, dict) else {}
        if OURS & variables.keys() or "pagerduty" in _text(item["pipe"]).lower():
            yield Alert(
                name=_variable(variables.get("ALERT_NAME")),
                dedup_key=_variable(variables.get("DEDUP_KEY")),
                action=_variable(variables.get("EVENT_ACTION")).lower() or "auto",
                after_script=after_script,
            )


def _text(value: Any) -> str:
    """A scalar as it stands; anything else could be anything."""
    if not isinstance(value, str):
        return "" if value is None else "$"
    return "" if value in ("~", "null", "Null", "NULL") else value.strip()


def _variable(value: Any) -> str:
    """A pipe's variable. What YAML takes for a number or a boolean (`yes`, `1.10`) may reach the pipe in other words,
    so it could be anything."""
    text = _text(value)
    return "$" if _NO_STRING.fullmatch(text) else text
