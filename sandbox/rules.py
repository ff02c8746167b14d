"""What the Events API v2 accepts: an event goes in, PagerDuty's complaints about it come out.

Every complaint is marked with its source: [D] PagerDuty's documentation or client libraries, [O] seen in real answers,
and "ours" where the rule is known but PagerDuty's wording is not: invented in the same manner, unproven.

A field that is JSON `null` counts as absent. Fields PagerDuty does not know are passed over. [both ours]
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

DEDUP_KEY_LIMIT = 255
SUMMARY_LIMIT = 1024
"""Characters, counted as code points. [O]"""
ROUTING_KEY_LENGTH = 32

ACTIONS = ("trigger", "acknowledge", "resolve")
SEVERITIES = ("critical", "warning", "error", "info")

Event = Mapping[str, Any]

# A leap second is RFC 3339; whether the day exists is left to Python. PagerDuty's own examples write +0000. [D]
_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):?[0-5]\d)", re.ASCII
)


def alert_errors(event: Event) -> list[str]:
    """Everything wrong with an event for /v2/enqueue; empty if it would be taken in."""
    return [
        *_routing_key(event),
        *_action(event),
        *_dedup_key(event),
        *_payload(event),
        *_texts(event, "", "client", "client_url"),
        *_attachments(event, "links", "href", "text"),
        *_attachments(event, "images", "src", "href", "alt"),
    ]


def change_errors(event: Event) -> list[str]:
    """Everything wrong with an event for /v2/change/enqueue; empty if it would be taken in."""
    errors = list(_routing_key(event))
    if not errors and event["routing_key"].startswith("R"):
        # [D] Event Orchestration keys are refused for change events. Wording: ours.
        errors.append("'routing_key' is invalid (change events do not support Event Orchestration keys)")
    payload = event.get("payload")
    if not isinstance(payload, dict):
        return [*errors, _missing("payload") if payload is None else _not("payload", "an object")]
    return [
        *errors,
        *_summary(payload),
        *_texts(payload, "payload.", "source"),
        *_optional(payload),
        *_attachments(event, "links", "href", "text"),
        *_attachments(event, "images", "src", "href", "alt"),
    ]


def is_routing_key(value: object) -> bool:
    """Whether `value` is well-formed; PagerDuty alone knows whether it exists."""
    return not list(_routing_key({"routing_key": value}))


def _routing_key(event: Event) -> Iterator[str]:
    key = event.get("routing_key")
    if _blank(key):
        yield "'routing_key' cannot be blank"  # [O]
    elif not isinstance(key, str):
        yield _not("routing_key", "a string")
    else:
        if len(key) != ROUTING_KEY_LENGTH:
            yield "Length of 'routing_key' is incorrect (should be 32 characters)"  # [O]
        if not (key.isascii() and key.isalnum()):
            yield "'routing_key' cannot contain non-alphanumeric characters."  # [O]


def _action(event: Event) -> Iterator[str]:
    action = event.get("event_action")
    if _blank(action):
        yield _missing("event_action")  # [O]
    elif action not in ACTIONS:
        # Ours, after the one for severities.
        yield "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')"


def _dedup_key(event: Event) -> Iterator[str]:
    key = event.get("dedup_key")
    if _blank(key):
        # A trigger without one gets one made up. [D]
        if event.get("event_action") in ("acknowledge", "resolve"):
            yield _missing("dedup_key")  # the rule [D], the wording ours
    elif not isinstance(key, str):
        yield _not("dedup_key", "a string")
    elif len(key) > DEDUP_KEY_LIMIT:
        # [O] refused, not cut. Wording: ours, after the one for summaries.
        yield f"'dedup_key' is too long (maiximum is {DEDUP_KEY_LIMIT} characters)"


def _payload(event: Event) -> Iterator[str]:
    payload = event.get("payload")
    if payload is None:
        # Acknowledge and resolve need none, but what they bring must be complete. [O]
        if event.get("event_action") not in ("acknowledge", "resolve"):
            yield _missing("payload")  # ours
        return
    if not isinstance(payload, dict):
        yield _not("payload", "an object")
        return
    yield from _summary(payload)
    if _blank(payload.get("source")):
        yield _missing("payload.source")  # [O]
    elif not isinstance(payload["source"], str):
        yield _not("payload.source", "a string")
    severity = payload.get("severity")
    if _blank(severity):
        yield _missing("payload.severity")  # [O]
    elif severity not in SEVERITIES:
        # [O]
        yield "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')"
    yield from _texts(payload, "payload.", "component", "group", "class")
    yield from _optional(payload)


def _summary(payload: Event) -> Iterator[str]:
    summary = payload.get("summary")
    if _blank(summary):
        yield _missing("payload.summary")  # ours, after source and severity
    elif not isinstance(summary, str):
        yield _not("payload.summary", "a string")
    elif len(summary) > SUMMARY_LIMIT:
        yield f"'summary' is too long (maiximum is {SUMMARY_LIMIT} characters)"  # [O], their spelling


def _optional(payload: Event) -> Iterator[str]:
    timestamp = payload.get("timestamp")
    if timestamp is not None and not (isinstance(timestamp, str) and _is_timestamp(timestamp)):
        yield _not("payload.timestamp", "an RFC 3339 timestamp")
    if not isinstance(payload.get("custom_details", {}), dict | None):
        yield _not("payload.custom_details", "an object")


def _texts(fields: Event, prefix: str, *names: str) -> Iterator[str]:
    for name in names:
        if not isinstance(fields.get(name), str | None):
            yield _not(f"{prefix}{name}", "a string")


def _attachments(event: Event, name: str, address: str, *texts: str) -> Iterator[str]:
    items = event.get(name)
    if items is None:
        return
    if not isinstance(items, list):
        yield _not(name, "an array")
        return
    for index, item in enumerate(items):
        where = f"{name}[{index}]"
        if not isinstance(item, dict):
            yield _not(where, "an object")
            continue
        value = item.get(address)
        if _blank(value):
            yield _missing(f"{where}.{address}")
        elif not isinstance(value, str):
            yield _not(f"{where}.{address}", "a string")
        elif name == "images" and not value.lower().startswith("https://"):
            yield _not(f"{where}.{address}", "an https address")  # the rule [D], the wording ours
        yield from _texts(item, f"{where}.", *texts)


def _is_timestamp(text: str) -> bool:
    match = _TIMESTAMP.fullmatch(text)
    try:
        return bool(match and date.fromisoformat(match[1]))
    except ValueError:
        return False


def _blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _missing(name: str) -> str:
    return f"'{name}' is missing or blank"


def _not(name: str, kind: str) -> str:
    return f"'{name}' is invalid (must be {kind})"  # ours
