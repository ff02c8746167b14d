"""What the page shows, without HTML: rows of lists, and an event's details by their kind."""

import json
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from sandbox.calls import Call
from sandbox.incident import Entry, Incident, last_four, rfc3339
from sandbox.rules import Event
from sandbox.state import Change

VALUES_SHOWN = 100
"""Of one list or table."""
TEXT_SHOWN = 8_000
"""Characters of one text; the end of a log, the beginning of anything else."""
LEVELS_SHOWN = 3
"""Of tables within tables; below that, JSON."""
_OWN_PLACES = ("failed_tests", "failed_tests_total", "log_tail", "resolves", "error")
"""Details that are not shown in the table, but where one looks first."""


@dataclass(frozen=True)
class Row:
    """One line of a list."""

    id: str
    number: int
    at: str
    title: str
    words: tuple[str, ...]
    """Where a search looks."""
    status: str = ""
    severity: str = ""
    service: str = ""
    note: str = ""
    """The second line."""
    dedup_key: str = ""
    events: int = 1
    incident: int | None = None
    bad: bool = False

    def matches(self, query: str) -> bool:
        """Whether every word of the query stands somewhere in the row."""
        text = "\n".join(self.words).casefold()
        return all(word in text for word in query.casefold().split())


def incident_row(incident: Incident) -> Row:
    service = last_four(incident.routing_key)
    status, first = incident.status, incident.timeline[0]
    words = (incident.title, incident.summary, status, "open" * incident.open, incident.severity, service)
    return Row(
        id=f"incident-{incident.number}",
        number=incident.number,
        at=rfc3339(first.at),
        title=incident.title,
        words=(*words, incident.dedup_key, f"#{incident.number}", *incident.failing),
        status=status,
        severity=incident.severity,
        service=service,
        note=incident.failing[0] if incident.failing else "",
        dedup_key=incident.dedup_key,
        events=len(incident.timeline) + incident.forgotten,
    )


def call_row(number: int, call: Call) -> Row:
    note = "; ".join(filter(None, (call.reason, call.effect)))
    status = str(call.status or "no answer")
    return Row(
        id=f"call-{number}",
        number=number,
        at=call.at,
        title=call.action,
        words=(call.action, status, note, call.dedup_key, call.summary, call.key),
        status=status,
        service=call.key,
        note=_cut(note, 1_000),
        dedup_key=call.dedup_key,
        incident=call.incident,
        bad=call.status != 202,
    )


def change_row(number: int, change: Change) -> Row:
    told = change.to_json()
    row_id, at, service = f"change-{number}", told["at"], told["routing_key"]
    return Row(id=row_id, number=number, at=at, title=told["summary"], words=(told["summary"],), service=service)


def entry_row(number: int, entry: Entry) -> Row:
    by_hand = not entry.body
    summary = "by hand" if by_hand else entry.to_json()["summary"] or ""
    return Row(
        id=f"entry-{number}",
        number=number,
        at=rfc3339(entry.at),
        title=entry.action,
        words=(),
        note=summary,
        bad=by_hand,
    )


class Shown(NamedTuple):
    """A value, and how it is shown: `text`, `log` (many lines), `list` (of Shown), `table` (of names and Shown)."""

    kind: str
    value: Any
    left_out: int = 0
    """Values, or characters of a text."""


class Link(NamedTuple):
    text: str
    address: str
    safe: bool
    """Whether it is a web address: no javascript:, data: or the like."""


@dataclass(frozen=True)
class EventView:
    """One event as the page shows it."""

    summary: str
    failed_tests: Shown | None
    failed_total: str
    error: Shown | None
    resolves: Shown | None
    log_tail: Shown | None
    fields: Shown
    details: Shown | None
    links: tuple[Link, ...]


def event_view(event: Event) -> EventView:
    """An event that was accepted, by its kinds of details; names that the pipe does not send are shown alike."""
    payload = event.get("payload") or {}
    details = payload.get("custom_details") or {}
    tests = details.get("failed_tests")
    # Where one of the pipe's names holds another kind of value than the pipe's, it is a detail like any other.
    own = {name: details[name] for name in _OWN_PLACES if details.get(name) is not None}
    if not (isinstance(tests, list) and tests):
        own.pop("failed_tests", None)
        own.pop("failed_tests_total", None)
    rest = {name: value for name, value in details.items() if name not in own and value is not None}
    fields = {name: value for name, value in payload.items() if name != "custom_details" and value is not None}
    log = own.get("log_tail")
    return EventView(
        summary=payload.get("summary") or "",
        failed_tests=shown(own["failed_tests"]) if "failed_tests" in own else None,
        failed_total=_cut(str(own.get("failed_tests_total", "")), 20),
        error=shown(own["error"]) if "error" in own else None,
        resolves=shown(own["resolves"]) if "resolves" in own else None,
        log_tail=_log(log) if isinstance(log, str) else shown(log) if log is not None else None,
        fields=shown({name: event[name] for name in ("event_action", "dedup_key") if event.get(name)} | fields),
        details=shown(rest) if rest else None,
        links=tuple(_links(event)),
    )


def shown(value: object, level: int = 0) -> Shown:
    """A value of any kind and size, cut to what a page can bear."""
    if isinstance(value, dict | list) and value and level < LEVELS_SHOWN:
        left_out = max(0, len(value) - VALUES_SHOWN)
        if isinstance(value, dict):
            pairs = [(_cut(name, 200), shown(one, level + 1)) for name, one in list(value.items())[:VALUES_SHOWN]]
            return Shown("table", pairs, left_out)
        return Shown("list", [shown(one, level + 1) for one in value[:VALUES_SHOWN]], left_out)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if text.count("\n") > 2:
        return _log(text)
    return Shown("text", text[:TEXT_SHOWN], max(0, len(text) - TEXT_SHOWN))


def _log(text: str) -> Shown:
    return Shown("log", text[-TEXT_SHOWN:], max(0, len(text) - TEXT_SHOWN))


def _links(event: Event) -> list[Link]:
    found = []
    client_url = event.get("client_url")
    if client_url and isinstance(client_url, str):  # a change event has no client: what stands there is not looked at
        found.append(_link(f"View in {event.get('client') or 'client'}", client_url))
    found += [_link(link.get("text"), link["href"]) for link in event.get("links") or []]
    found += [_link(image.get("alt") or "image", image["src"]) for image in event.get("images") or []]
    return found[:VALUES_SHOWN]


def _link(text: str | None, address: str) -> Link:
    safe = re.fullmatch(r"https?://[^\s\\]+", address, re.IGNORECASE) is not None
    return Link(_cut(text or address, 300), _cut(address, 2_000), safe and len(address) <= 2_000)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
