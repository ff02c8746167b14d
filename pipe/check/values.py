"""A variable's value: what the run says of a bad one, and what to write in its place, as near as it goes to what was
meant."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import yaml

from pipe import parsing
from pipe.check.source import Map, Seq, Text, holds_variable, text_of, texts_of
from pipe.settings import VARIABLES, Settings

BY_NAME = {variable.name: variable for variable in VARIABLES}
SYNONYMS = {
    "critical": "high highest fatal crit emergency emerg alert urgent p1 sev1 blocker page",
    "error": "err major failure medium p2 sev2",
    "warning": "warn minor moderate p3 sev3",
    "info": "low lowest notice information informational debug p4 sev4",
    "us": "usa america north-america default",
    "eu": "europe european emea",
    "true": "yes y on 1 enabled",
    "false": "no n off 0 disabled",
    "successful": "green ok succeeded",
    "failed": "red failure fail broken",
}
_MEANT = {word: meant for meant, words in SYNONYMS.items() for word in words.split()}
EXAMPLES = {
    "BRANCHES": "main release/*", "TAGS": "v*", "IGNORE_EXIT_CODES": "130 143", "TIMEOUT": "120", "LOG_LINES": "50",
    "CUSTOM_DETAILS": '{"team": "shop"}', "EXIT_CODE": "$BITBUCKET_EXIT_CODE", "BUILD_STATUS": "$STATUS",
    "INTEGRATION_KEY": "$PAGERDUTY_INTEGRATION_KEY", "LINKS": "Runbook https://wiki.example/runbook",
}  # fmt: skip
ANY_TEXT = (parsing.line, parsing.trimmed)


def wrong(name: str, value: object) -> str:
    """What the run itself says of a value; empty for one that it can read, or that only the shell knows."""
    if value is None or name not in BY_NAME:
        return ""
    if isinstance(value, Seq):
        return _said(name, tuple(map(text_of, value)))
    if not isinstance(value, Text):
        return f"{name}: it is no string."
    return "" if BY_NAME[name].parse in ANY_TEXT else _said(name, text_of(value))


@lru_cache(maxsize=1024)
def _said(name: str, value: str | tuple[str, ...]) -> str:
    texts = (value,) if isinstance(value, str) else value
    if not "".join(texts) or any(map(holds_variable, texts)):
        return ""
    given = {name: value} if isinstance(value, str) else {f"{name}_{index}": one for index, one in enumerate(value)}
    given |= {} if isinstance(value, str) else {f"{name}_COUNT": str(len(value))}
    settings = Settings.read({"INTEGRATION_KEY": "k" * 32} | given)
    return next((line for line in (*settings.fatal, *settings.problems) if line.startswith(f"{name}: ")), "")


def in_place_of(name: str, value: object) -> str:
    """YAML for the variable. The first of what could be meant that the pipe can read; else an example."""
    if name.endswith("URL") or name == "DRY_RUN":
        return f"# leave {name} out"
    choices = _choices(name, value)
    for meant in _meant(name, value, choices):
        if meant and not holds_variable(meant) and not _said(name, meant):
            return written(name, meant)
    if choices:
        default = BY_NAME[name].shown
        first = default if default in choices else choices[0]
        return f"{written(name, first)} # or {', '.join(one for one in choices if one != first)}"
    return written(name, EXAMPLES.get(name, "in words of your own"))


def written(name: str, text: str) -> str:
    if name == "LINKS":
        return f"{name}:\n  - {text}"
    doubled = text.replace("'", "''")
    try:
        if not text.startswith(tuple("&*!%@`\"'#{[")) and yaml.safe_load(f"{name}: {text}") == {name: text}:
            return f"{name}: {text}"
    except yaml.YAMLError:
        pass
    return f'{name}: "{text}"' if re.fullmatch(r"[\w ]+", text) else f"{name}: '{doubled}'"


def _meant(name: str, value: object, choices: list[str]) -> Iterator[str]:
    texts = texts_of(value)
    text = " ".join(texts)
    if name == "CUSTOM_DETAILS":
        found = _typed(value if isinstance(value, (Map, Seq)) else Text(text))
        yield json.dumps(found, ensure_ascii=False, default=str) if isinstance(found, dict) else ""
    elif name in ("BRANCHES", "TAGS"):
        yield " ".join(filter(None, map(_name, re.split(r"[\s,;|]+", text))))
    elif name == "LINKS" and (address := re.search(r"https?://[^\s\"'\])>,]+", text)):
        yield " ".join([*re.findall(r"[\w-]+", text.replace(address[0], "")), address[0]])
    elif name in ("TIMEOUT", "LOG_LINES", "IGNORE_EXIT_CODES"):
        yield " ".join(re.findall(r"\d+", text)) if not re.search(r"\d\s*(m|h)", text) else ""
    elif choices:
        word = re.sub(r"[^a-z0-9-]", "", texts[0].lower())
        yield _MEANT.get(word, word)
        yield next(iter(difflib.get_close_matches(word, choices, n=1, cutoff=0.75)), "")
    elif isinstance(value, Seq):
        yield text


def _choices(name: str, value: object) -> list[str]:
    """In the run's own words."""
    said = re.search(r" is not one of (.*?);", _said(name, next(iter(texts_of(value)), "")))
    return said[1].split(", ") if said else []


def _name(pattern: str) -> str:
    """The plain name of what is written in another language: `^main$`, `[main`, `refs/heads/main`, `release/.*`."""
    text = re.sub(r"^[/^(\[\"'{]+|[/$)\]\"'}]+$", "", pattern.replace(".*", "*"))
    return re.sub(r"^refs/(heads|tags)/", "", text).replace("\\", "")


def _typed(value: Any) -> Any:
    """What stands in the file as JSON has it: a plain number is a number."""
    if isinstance(value, Map):
        return {key: _typed(one) for key, one in value.items()}
    if isinstance(value, Seq):
        return [_typed(one) for one in value]
    try:
        return yaml.safe_load(value) if getattr(value, "plain", True) else value
    except (yaml.YAMLError, RecursionError):
        return value
