"""One alert's life as PagerDuty tells it: what opened it, what touched it, and how it stands."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sandbox.body import parse
from sandbox.rules import Event

Json = dict[str, Any]

ENTRIES_KEPT = 1_000
ENTRY_BYTES_KEPT = 4_000_000
"""Of one incident; beyond either, its second-oldest entry is forgotten. The first one holds the title."""
TESTS_KEPT = 10
TEXT_KEPT = 300
"""Failing tests of the latest trigger that a list can show and a search can find, and characters of each."""
_ENTRY_BYTES = 400
"""About what an entry costs beside its body."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event that touched an incident, as it was received; or what a person did by hand, which has no body."""

    at: float
    action: str
    body: bytes = b""

    @property
    def event(self) -> Event:
        # Parsed when asked for: a parsed event can be twenty times as large as its bytes.
        event: Event = parse(self.body) if self.body else {}
        return event

    @property
    def bytes(self) -> int:
        return len(self.body) + _ENTRY_BYTES

    def to_json(self) -> Json:
        event = self.event
        payload = event.get("payload")
        return {
            "at": rfc3339(self.at),
            "action": self.action,
            "by_hand": not self.body,
            "summary": payload["summary"] if payload else None,
            "payload": payload,
            "links": event.get("links") or [],
            "images": event.get("images") or [],
            "client": event.get("client"),
            "client_url": event.get("client_url"),
        }


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident and its one alert. PagerDuty can group several alerts into an incident; here each has its own."""

    number: int
    routing_key: str
    dedup_key: str
    status: str
    title: str
    """Of the first trigger: the incident keeps it. [D]"""
    severity: str
    """Of the first trigger."""
    summary: str
    """Of the last trigger: the alert follows it. [O]"""
    alert_severity: str
    """Of the last trigger."""
    failing: tuple[str, ...]
    """The last trigger's failing tests, as far as they are kept."""
    latest: Entry
    """The last trigger."""
    timeline: tuple[Entry, ...]
    forgotten: int = 0
    """Entries that were dropped from the timeline, all of them behind the first."""
    triggers: int = 1
    bytes: int = field(default=0, compare=False)

    @property
    def open(self) -> bool:
        return self.status != "resolved"

    def to_json(self) -> Json:
        return {
            "number": self.number,
            "routing_key": last_four(self.routing_key),
            "dedup_key": self.dedup_key,
            "title": self.title,
            "status": self.status,
            "severity": self.severity,
            "timeline": [entry.to_json() for entry in self.timeline],
            "timeline_forgotten": self.forgotten,
        }

    def alert_to_json(self) -> Json:
        return {
            "routing_key": last_four(self.routing_key),
            "dedup_key": self.dedup_key,
            "status": self.status,
            "severity": self.alert_severity,
            "summary": self.summary,
            "incident": self.number,
        }


def opened(number: int, event: Event, dedup_key: str, entry: Entry) -> Incident:
    """The incident that a trigger opens."""
    payload = event["payload"]
    summary, severity = payload["summary"], payload["severity"]
    return Incident(
        number=number,
        routing_key=event["routing_key"],
        dedup_key=dedup_key,
        status="triggered",
        title=summary,
        severity=severity,
        summary=summary,
        alert_severity=severity,
        failing=_failing(event),
        latest=entry,
        timeline=(entry,),
        bytes=entry.bytes,
    )


def touched(incident: Incident, entry: Entry, event: Event | None = None) -> Incident:
    """The incident after an event, or after what a person did. A trigger takes no acknowledgement back. [D]"""
    if entry.action == "trigger" and event:
        payload = event["payload"]
        incident = replace(
            incident,
            summary=payload["summary"],
            alert_severity=payload["severity"],
            failing=_failing(event),
            latest=entry,
            triggers=incident.triggers + 1,
        )
    status = {"trigger": incident.status, "acknowledge": "acknowledged", "resolve": "resolved"}[entry.action]
    first, *others = (*incident.timeline, entry)
    size = sum(one.bytes for one in others) + first.bytes
    dropped = 0
    while others[dropped + 1 :] and (len(others) - dropped >= ENTRIES_KEPT or size > ENTRY_BYTES_KEPT):
        size -= others[dropped].bytes
        dropped += 1
    return replace(
        incident,
        status=status,
        timeline=(first, *others[dropped:]),
        forgotten=incident.forgotten + dropped,
        bytes=size + incident.latest.bytes,
    )


def _failing(event: Event) -> tuple[str, ...]:
    details = event["payload"].get("custom_details")
    tests = details.get("failed_tests") if isinstance(details, dict) else None
    if not isinstance(tests, list):
        return ()
    return tuple(test[:TEXT_KEPT] for test in tests[:TESTS_KEPT] if isinstance(test, str))


def rfc3339(at: float) -> str:
    """Seconds since 1970 as UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def last_four(routing_key: object) -> str:
    """All of a key that anybody gets to see; nothing of one too short to hide behind four characters."""
    return routing_key[-4:] if isinstance(routing_key, str) and len(routing_key) >= 12 else ""
