"""What to write in place of a bad value: YAML that the pipe can read, as near to what was meant as it goes."""

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
from pipe.settings import VARIABLES, Settings, Variable

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
    "INTEGRATION_KEY": "$PAGERDUTY_INTEGRATION_KEY",
}  # fmt: skip
ANY_TEXT = (parsing.line, parsing.trimmed)
AN_ADDRESS = "Runbook https://wiki.example/runbook"


def wrong(name: str, value: object) -> str:
    """What the run itself says of a value; empty for one that it can read, or that only the shell knows."""
    if value is None or name not in BY_NAME:
        return ""
    if not isinstance(value, (Text, Seq)):
        return f"{name}: it is no string."
    if isinstance(value, Seq):
        return _said(name, tuple(map(text_of, value)))
    return "" if BY_NAME[name].parse in ANY_TEXT else _said(name, text_of(value))


@lru_cache(maxsize=1024)
def _said(name: str, value: str | tuple[str, ...]) -> str:
    if not "".join(value) or any(map(holds_variable, (value,) if isinstance(value, str) else value)):
        return ""
    given = {name: value} if isinstance(value, str) else {f"{name}_COUNT": str(len(value))}
    given |= {} if isinstance(value, str) else {f"{name}_{index}": one for index, one in enumerate(value)}
    key = {} if name == "INTEGRATION_KEY" else {"INTEGRATION_KEY": "k" * 32}
    settings = Settings.read(key | given)
    return next((line for line in (*settings.fatal, *settings.problems) if line.startswith(f"{name}: ")), "")


def in_place_of(name: str, value: object) -> str:
    """YAML for the variable. The first of what could be meant that the pipe can read; else an example."""
    variable = BY_NAME[name]
    if name.endswith("URL") or name == "DRY_RUN":
        return f"# leave {name} out"
    for meant in _meant(variable, value):
        if meant and not holds_variable(meant) and not _said(name, meant):
            return written(name, meant)
    choices = _choices(name, value)
    if len(choices) > 1:
        first = variable.shown if variable.shown in choices else choices[0]
        return f"{written(name, first)} # or {', '.join(one for one in choices if one != first)}"
    if name == "LINKS":
        return written(name, AN_ADDRESS)
    return written(name, EXAMPLES.get(name, "in words of your own"))


def written(name: str, text: str) -> str:
    if name == "LINKS":
        return f"{name}:\n  - {text}"
    is_plain = not text.startswith(("&", "*", "!", "%", "@", "`", '"', "'", "#", "{", "["))
    try:
        plain = is_plain and yaml.safe_load(f"{name}: {text}") == {name: text}
    except yaml.YAMLError:
        plain = False
    doubled = text.replace("'", "''")
    quoted = f'"{text}"' if re.fullmatch(r"[\w ]+", text) else f"'{doubled}'"
    return f"{name}: {text if plain else quoted}"


def _meant(variable: Variable, value: object) -> Iterator[str]:
    if isinstance(value, (Map, Seq)) and variable.name == "CUSTOM_DETAILS":
        yield json.dumps(_typed(value), ensure_ascii=False)
        return
    texts = texts_of(value)
    text = " ".join(texts)
    if isinstance(value, Seq) and not variable.many:
        yield text
    if variable.name == "CUSTOM_DETAILS":
        yield from _as_json(text)
    elif variable.name in ("BRANCHES", "TAGS"):
        yield " ".join(filter(None, map(_name, re.split(r"[\s,;|]+", text))))
    elif variable.name == "LINKS":
        yield from _link(texts)
    elif variable.name in ("TIMEOUT", "LOG_LINES", "IGNORE_EXIT_CODES"):
        yield " ".join(re.findall(r"\d+", text)) if not re.search(r"\d\s*(m|h)", text) else ""
    elif choices := _choices(variable.name, value):
        word = re.sub(r"[^a-z0-9-]", "", texts[0].lower())
        yield _MEANT.get(word, word)
        yield next((one for one in choices if len(one) > 2 and word.startswith(one)), "")
        yield next(iter(difflib.get_close_matches(word, choices, n=1, cutoff=0.75)), "")
        if variable.name == "REGION":
            yield word[:2]


def _choices(name: str, value: object) -> list[str]:
    """In the run's own words."""
    said = re.search(r" is not one of (.*?);", _said(name, next(iter(texts_of(value)), "")))
    return said[1].split(", ") if said else []


def _name(pattern: str) -> str:
    """The plain name of what is written in another language: `^main$`, `[main`, `refs/heads/main`, `release/.*`."""
    text = re.sub(r"^[/^(\[\"'{]+|[/$)\]\"'}]+$", "", pattern.replace(".*", "*"))
    return re.sub(r"^refs/(heads|tags)/", "", text).replace("\\", "")


def _link(texts: list[str]) -> Iterator[str]:
    for text in texts:
        if _said("LINKS", text) and (address := re.search(r"https?://[^\s\"'\])>,]+", text)):
            words = " ".join(re.findall(r"[\w-]+", text.replace(address[0], "")))
            yield f"{words} {address[0]}".strip()


def _as_json(text: str) -> Iterator[str]:
    try:
        found = yaml.safe_load(text)
        yield json.dumps(found, ensure_ascii=False) if isinstance(found, dict) else ""
    except (yaml.YAMLError, TypeError, ValueError, RecursionError):
        pass
    pairs = dict(re.findall(r"([\w.-]+)\s*[=:]\s*([^,;\s]+)", text))
    yield json.dumps(pairs, ensure_ascii=False) if pairs else ""


def _typed(value: Any) -> Any:
    """What stands in the file as JSON has it: a plain number is a number."""
    if isinstance(value, Map):
        return {key: _typed(one) for key, one in value.items()}
    if isinstance(value, Seq):
        return [_typed(one) for one in value]
    if isinstance(value, Text) and value.plain and re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?|true|false|null", value):
        return json.loads(value)
    return value
