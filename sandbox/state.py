"""What PagerDuty remembers: alerts and the incidents they made, change events, and each key's calls of the last minute.

Urgency is left out on purpose: `warning` and `info` make incidents like any other severity, and whether those are low
urgency depends on the service (only with dynamic notifications [D]), which no event can tell.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sandbox.rules import Event

CALLS_PER_WINDOW = 120
WINDOW = 60.0
"""Seconds; it slides. [D]"""

Clock = Callable[[], float]
Json = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """One event that touched an incident, as it was received."""

    at: float
    event: Event

    def to_json(self) -> Json:
        payload = self.event.get("payload")
        return {
            "at": rfc3339(self.at),
            "action": self.event["event_action"],
            "summary": payload["summary"] if payload else None,
            "payload": payload,
            "links": self.event.get("links") or [],
            "images": self.event.get("images") or [],
            "client": self.event.get("client"),
            "client_url": self.event.get("client_url"),
        }


@dataclass(frozen=True)
class Incident:
    """One alert's life. PagerDuty can group several alerts into an incident; here each has its own."""

    number: int
    routing_key: str
    dedup_key: str
    status: str
    timeline: tuple[Entry, ...]

    @property
    def opening(self) -> Json:
        """The payload of the trigger that opened it."""
        return _payload(self.timeline[0])

    @property
    def latest(self) -> Json:
        """The payload of the last trigger: the alert follows it [O], the incident keeps its first title [D]."""
        return _payload([entry for entry in self.timeline if entry.event["event_action"] == "trigger"][-1])

    def to_json(self) -> Json:
        return {
            "number": self.number,
            "routing_key": last_four(self.routing_key),
            "dedup_key": self.dedup_key,
            "title": self.opening["summary"],
            "status": self.status,
            "severity": self.opening["severity"],
            "timeline": [entry.to_json() for entry in self.timeline],
        }

    def alert_to_json(self) -> Json:
        return {
            "routing_key": last_four(self.routing_key),
            "dedup_key": self.dedup_key,
            "status": self.status,
            "severity": self.latest["severity"],
            "summary": self.latest["summary"],
            "incident": self.number,
        }


@dataclass(frozen=True)
class Change:
    """One change event: it is shown, it never pages, and a repeated one shows twice. [D]"""

    at: float
    event: Event

    def to_json(self) -> Json:
        payload = self.event["payload"]
        return {
            "at": rfc3339(self.at),
            "routing_key": last_four(self.event["routing_key"]),
            "summary": payload["summary"],
            "payload": payload,
            "links": self.event.get("links") or [],
            "images": self.event.get("images") or [],
        }


@dataclass
class State:
    """Not thread-safe: its owner holds a lock. Events given to it are valid."""

    clock: Clock
    changes: list[Change] = field(default_factory=list)
    _incidents: dict[int, Incident] = field(default_factory=dict)
    _open: dict[tuple[str, str], int] = field(default_factory=dict)
    _calls: defaultdict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def incidents(self) -> list[Incident]:
        """All of them, the oldest first."""
        return list(self._incidents.values())

    def alerts(self) -> list[Incident]:
        """The incidents whose alert is open, that is triggered or acknowledged."""
        return [self._incidents[number] for number in self._open.values()]

    def admit(self, routing_key: str) -> bool:
        """Count a call against the key's window; False if it is full. That a throttled call does not count is ours."""
        calls, now = self._calls[routing_key], self.clock()
        while calls and now - calls[0] >= WINDOW:
            calls.popleft()
        if len(calls) >= CALLS_PER_WINDOW:
            return False
        calls.append(now)
        return True

    def take_alert(self, event: Event) -> str:
        """Apply an alert event; the dedup key that PagerDuty answers with."""
        action = event["event_action"]
        # A trigger without a key can never be de-duplicated: it gets one of its own. [D]
        dedup_key = event.get("dedup_key") or ""
        dedup_key = dedup_key if dedup_key.strip() else uuid4().hex
        alert = (event["routing_key"], dedup_key)
        entry = Entry(self.clock(), event)
        number = self._open.get(alert)
        if number is not None:
            known = self._incidents[number]
            # A trigger does not take an acknowledgement back. [D]
            status = {"trigger": known.status, "acknowledge": "acknowledged", "resolve": "resolved"}[action]
            self._incidents[number] = replace(known, status=status, timeline=(*known.timeline, entry))
            if action == "resolve":
                del self._open[alert]
        elif action == "trigger":
            number = len(self._incidents) + 1
            self._open[alert] = number
            self._incidents[number] = Incident(number, *alert, "triggered", (entry,))
        # Acknowledging or resolving what is not open is dropped without a word. [D]
        return dedup_key

    def take_change(self, event: Event) -> None:
        self.changes.append(Change(self.clock(), event))


def _payload(trigger: Entry) -> Json:
    payload: Json = trigger.event["payload"]
    return payload


def rfc3339(at: float) -> str:
    """Seconds since 1970 as UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def last_four(routing_key: object) -> str:
    """All of a key that anybody gets to see; nothing of one too short to hide behind four characters."""
    return routing_key[-4:] if isinstance(routing_key, str) and len(routing_key) >= 12 else ""
