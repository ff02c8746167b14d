"""Reads `bitbucket-pipelines.yml` the way Bitbucket does, anchors and `<<` merges included, behind the wall.

Bitbucket has run the file, so what is not understood is passed over where it cannot hold a step, and searched for steps
where it can.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain, count
from pathlib import Path
from typing import Any

from pipe import definition
from pipe.definition import Definition, Item, Pipeline, Step
from pipe.lib import wall
from pipe.lib.environment import encodable, unquoted
from pipe.lib.text import one_line
from pipe.parsing import MAX_LINE_LENGTH

NAME = "bitbucket-pipelines.yml"
READING_TIME = 2.0  # seconds
MAX_PATTERN_LENGTH = 1000  # characters, as of a branch's name
MAX_DEFINITION_BYTES = 1024 * 1024  # of what is understood of it; a file of 2,000 lines makes some 50 KB

# What YAML takes for a number or a boolean (`yes`, `1.10`) may reach the pipe in other words.
_NO_STRING = re.compile(r"(?i)y|n|yes|no|on|off|true|false|[-+]?[.0-9][-+.:_0-9a-fox]*")
KEYS = ("INTEGRATION_KEY", "PAGERDUTY_INTEGRATION_KEY")
ANYTHING = "$"  # a value that could be any other
BUILDING_EVENTS = ("repository-push", "pullrequest-")  # of `triggers:`: what they start builds, and is told of nothing


def read(clone: Path, conceal: Callable[[Any], Any] = lambda value: value) -> Definition:
    """The definition in a clone. Never raises: `unread` says why a file that is there tells nothing. `conceal` masks
    what is secret in a JSON value: names stand in the log and on pages."""

    def question() -> object:
        try:
            return parse((clone / NAME).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return Definition(absent=True)
        except OSError as error:
            return Definition(unread=f"{NAME} could not be read ({error.strerror})")

    try:
        return definition.of_json(conceal(wall.ask(question, seconds=READING_TIME, size=MAX_DEFINITION_BYTES)))
    except wall.Unread as error:
        return Definition(unread=f"{NAME} could not be read ({error})")
    except TypeError:
        return Definition(unread=f"{NAME} could not be read (the answer makes no sense)")


def parse(text: bytes) -> Definition:
    """The definition that a file's bytes hold; `unread` where they are not understood."""
    import yaml  # only ever needed in the child process

    try:
        return of_document(load(text))
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        return Definition(unread=f"{NAME} is not valid YAML" + (f" in line {line + 1}" if line is not None else ""))
    except (KeyError, TypeError, AttributeError):
        return Definition(unread=f"{NAME} has no pipelines that could be read")


def of_document(document: dict[str, Any]) -> Definition:
    """The definition that a loaded file holds. Raises KeyError, TypeError or AttributeError where there is none."""
    pipelines = tuple(_pipelines(document["pipelines"]))
    triggers = document.get("triggers")
    events = triggers if isinstance(triggers, dict) else {}
    named = {str(event): tuple(_triggered(entries)) for event, entries in events.items()}
    return Definition(
        pipelines,
        triggered=tuple(chain(*named.values())),
        behind_an_end=tuple(chain(*(named[event] for event in named if not event.startswith(BUILDING_EVENTS)))),
        told=named.get("pipeline-completed", ()),
    )


def load(text: bytes, construct: Callable[[Any, Any], Any] | None = None) -> Any:
    """The first document. Every scalar is the string that stands there (a branch `1.10` is not the number 1.1),
    whatever its tag; `<<` merges. `construct` makes a node's value in another way."""
    import yaml

    def strings(loader: Any, node: Any) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return node.value
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_mapping(node, deep=True)

    class Strings(yaml.SafeLoader):
        pass

    Strings.yaml_implicit_resolvers, Strings.yaml_multi_constructors = {}, {}
    Strings.yaml_constructors = {None: construct or strings}
    Strings.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])
    decoded = yaml.reader.Reader.NON_PRINTABLE.sub(" ", text.decode("utf-8-sig", "replace"))
    return next(yaml.load_all(decoded, Loader=Strings), None)


def _triggered(entries: Any) -> Iterator[str]:
    for entry in entries if isinstance(entries, list) else ():
        names = entry.get("pipelines") if isinstance(entry, dict) else None
        yield from (name.strip() for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def _pipelines(sections: dict[str, Any]) -> Iterator[Pipeline]:
    ours = references(sections)
    groups = count(1)
    for section, content in sections.items():
        named = {"": content} if section == "default" or not isinstance(content, dict) else content
        for pattern, items in named.items():
            imported = isinstance(items, dict) and "import" in items
            steps = () if imported else tuple(_steps(items, Step(), ours, groups))
            yield Pipeline(section, one_line(str(pattern), MAX_PATTERN_LENGTH), steps, imported)


def references(pipelines: Any) -> set[str]:
    """The references, tag aside, under which this pipe stands in the `pipelines` of a file: those that contain
    `pagerduty`, and those of items with an integration key."""
    return {_reference(item) for item in _pipe_items(pipelines) if _names_itself(item)}


def is_ours(item: Any, ours: set[str]) -> bool:
    """Whether an entry of a script is an item of this pipe; `ours` are the file's `references`."""
    return isinstance(item, dict) and isinstance(item.get("pipe"), str) and _reference(item) in ours


def _pipe_items(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if isinstance(node.get("pipe"), str):
            yield node
        for value in node.values():
            yield from _pipe_items(value)
    elif isinstance(node, list):
        for value in node:
            yield from _pipe_items(value)


def _names_itself(item: dict[str, Any]) -> bool:
    variables = item.get("variables")
    has_key = isinstance(variables, dict) and not variables.keys().isdisjoint(KEYS)
    return "pagerduty" in item["pipe"].lower() or has_key


def _reference(item: dict[str, Any]) -> str:
    """Which pipe or image it is, the tag aside."""
    return re.sub(r"[:@][^/]*$", "", item["pipe"].strip())


def _steps(node: Any, group: Step, ours: set[str], groups: Iterator[int]) -> Iterator[Step]:
    """Every step below a node, in order; `group` holds what a parallel group or stage hands down to its steps."""
    if isinstance(node, list):
        for item in node:
            yield from _steps(item, group, ours, groups)
            if _is_gate(item) and not group.group:
                group = group._replace(may_be_skipped=True)  # what stands behind it
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "final" and isinstance(value, dict):
                yield _step(value, group._replace(may_be_skipped=False), ours, final=True)
            elif key == "step" and isinstance(value, dict):
                yield _step(value, group, ours, final=False)
            elif isinstance(value, (dict, list)):
                below = _inherited(value, group) if isinstance(value, dict) else group
                below = below._replace(group=next(groups)) if key == "parallel" else below
                yield from _steps(value, below, ours, groups)


def _is_gate(item: Any) -> bool:
    """Whether an entry of a pipeline, a step or a stage, waits for a person."""
    return isinstance(item, dict) and any(isinstance(one, dict) and _is_manual(one) for one in item.values())


def _is_manual(node: dict[str, Any]) -> bool:
    return _text(node.get("trigger")) == "manual"


def _inherited(node: dict[str, Any], group: Step) -> Step:
    on_fail = node.get("on-fail")
    strategy = on_fail.get("strategy") if isinstance(on_fail, dict) else on_fail
    environments = group.environments
    if deployment := _text(node.get("deployment")):
        environments = (deployment,)
    elif environment := _text(node.get("environment")):
        environments = (*environments, environment)  # in the schema beside `deployment`; what it does is not documented
    return group._replace(
        environments=environments,
        on_fail=_text(strategy) or group.on_fail,
        may_be_skipped=group.may_be_skipped or "condition" in node or _is_manual(node),
    )


def _step(node: dict[str, Any], group: Step, ours: set[str], *, final: bool) -> Step:
    items = tuple(
        _item(item, place)
        for place in ("script", "after-script")
        for item in entries(node.get(place))
        if is_ours(item, ours)
    )
    name = one_line(_text(node.get("name")), MAX_PATTERN_LENGTH)  # as Bitbucket's answers are read
    return _inherited(node, group)._replace(name=name, final=final, items=items)


def _item(item: dict[str, Any], place: str) -> Item:
    variables = item.get("variables")
    given = variables if isinstance(variables, dict) else {}
    has_defaults = not item["pipe"].strip().startswith("docker:")
    return Item(
        place,
        alert_name=_variable(given.get("ALERT_NAME")),
        dedup_key=_variable(given.get("DEDUP_KEY")),
        action=_variable(given.get("EVENT_ACTION")).lower() or "auto",
        exit_code=_text(given.get("EXIT_CODE")),
        own_code=_text(given.get("BITBUCKET_EXIT_CODE")),
        build_status=_text(given.get("BUILD_STATUS")),
        knows_environment=has_defaults or "BITBUCKET_DEPLOYMENT_ENVIRONMENT" in given,
        knows_tag=has_defaults or "BITBUCKET_TAG" in given,
    )


def entries(script: Any) -> Iterator[Any]:
    """Of a list, and of lists in it: what Bitbucket makes of those is not known."""
    for entry in script if isinstance(script, list) else ():
        yield from entries(entry) if isinstance(entry, list) else (entry,)


def _text(value: Any, null: str = "") -> str:
    """A scalar as it stands; anything else could be anything."""
    if not isinstance(value, str):
        return "" if value is None else ANYTHING
    return null if value in ("~", "null", "Null", "NULL") else value.strip()


def _variable(value: Any) -> str:
    """As the run reads its value: without quotes around it and on one line. A login in it, which a run masks, and
    `null`, which may be a word or nothing, could be anything."""
    text = one_line(unquoted(encodable(_text(value, null=ANYTHING))), MAX_LINE_LENGTH)
    return ANYTHING if _NO_STRING.fullmatch(text) or "://" in text else text
