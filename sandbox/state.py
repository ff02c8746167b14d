"""What PagerDuty remembers: alerts and the incidents they made, and change events.

Urgency is left out on purpose: `warning` and `info` make incidents like any other severity, and whether those are low
urgency depends on the service (only with dynamic notifications [D]), which no event can tell. So are a service's
timers: nothing resolves, and no acknowledgement ends, by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from sandbox.body import parse
from sandbox.incident import Entry, Incident, Json, last_four, opened, rfc3339, touched
from sandbox.kept import Kept
from sandbox.rules import Event

Clock = Callable[[], float]

INCIDENTS_KEPT = 2_000
INCIDENT_BYTES_KEPT = 32_000_000
CHANGES_KEPT = 1_000
CHANGE_BYTES_KEPT = 8_000_000


@dataclass(frozen=True)
class Taken:
    """What came of an event."""

    dedup_key: str
    effect: str
    """For a person."""
    incident: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One change event: it is shown, it never pages, and a repeated one shows twice. [D]"""

    at: float
    body: bytes

    @property
    def event(self) -> Event:
        event: Event = parse(self.body)
        return event

    def to_json(self) -> Json:
        event = self.event
        return {
            "at": rfc3339(self.at),
            "routing_key": last_four(event["routing_key"]),
            "summary": event["payload"]["summary"],
            "payload": event["payload"],
            "links": event.get("links") or [],
            "images": event.get("images") or [],
        }


class State:
    """Not thread-safe: its owner holds a lock. Events given to it are valid.

    Beyond its bounds the incident resolved longest ago is forgotten, and the oldest open one only when none is
    resolved. PagerDuty forgets nothing.
    """

    def __init__(self, clock: Clock, incidents_kept: int = INCIDENTS_KEPT) -> None:
        self._clock = clock
        self._incidents_kept = incidents_kept
        self.changes: Kept[Change] = Kept(CHANGES_KEPT, CHANGE_BYTES_KEPT, lambda change: len(change.body) + 200)
        self.opened = 0
        """Incidents ever opened, the forgotten ones too."""
        self.bytes = 0
        """What the kept incidents measure together."""
        self._open: dict[tuple[str, str], Incident] = {}
        self._resolved: dict[int, Incident] = {}

    def incidents(self) -> list[Incident]:
        """All that are kept, the oldest first."""
        return sorted((*self._resolved.values(), *self._open.values()), key=lambda incident: incident.number)

    def alerts(self) -> list[Incident]:
        """The incidents whose alert is open, that is triggered or acknowledged; the oldest first."""
        return list(self._open.values())

    def incident(self, number: int) -> Incident | None:
        found = self._resolved.get(number)
        return found or next((one for one in self._open.values() if one.number == number), None)

    def take_alert(self, event: Event, body: bytes) -> Taken:
        """Apply an alert event that came as `body`."""
        # A trigger without a key can never be de-duplicated: it gets one of its own. [D]
        dedup_key = event.get("dedup_key") or ""
        dedup_key = dedup_key if dedup_key.strip() else uuid4().hex
        entry = Entry(self._clock(), event["event_action"], body)
        known = self._open.get((event["routing_key"], dedup_key))
        if known:
            return Taken(dedup_key, self._touch(known, entry, event), known.number)
        if entry.action != "trigger":
            # Dropped without a word. [D]
            return Taken(dedup_key, "nothing is open under this key: dropped")
        self.opened += 1
        self._put(opened(self.opened, event, dedup_key, entry))
        return Taken(dedup_key, f"opened #{self.opened}", self.opened)

    def take_by_hand(self, number: int, action: str) -> str:
        """What a person does to an incident, as in PagerDuty's own pages: acknowledge or resolve. What came of it.

        Raises LookupError if there is no such incident, and ValueError if it is resolved.
        """
        incident = self.incident(number)
        if incident is None:
            raise LookupError(f"there is no incident #{number}")
        if not incident.open:
            raise ValueError(f"#{number} is resolved")
        return self._touch(incident, Entry(self._clock(), action))

    def take_change(self, event: Event, body: bytes) -> Taken:
        self.changes.add(Change(self._clock(), body))
        return Taken("", "shown among the change events; it pages nobody")

    def _touch(self, known: Incident, entry: Entry, event: Event | None = None) -> str:
        number = known.number
        self.bytes -= known.bytes
        self._put(touched(known, entry, event))
        if entry.action == "trigger":
            stays = ", which stays acknowledged" if known.status == "acknowledged" else ""
            return f"merged into #{number}{stays}: nobody is paged again"
        if entry.action == "acknowledge" and known.status == "acknowledged":
            return f"#{number} was acknowledged already"
        return f"{entry.action}d #{number}"

    def _put(self, incident: Incident) -> None:
        alert = (incident.routing_key, incident.dedup_key)
        self.bytes += incident.bytes
        if incident.open:
            self._open[alert] = incident
        else:
            self._open.pop(alert, None)
            self._resolved[incident.number] = incident
        while len(self._open) + len(self._resolved) > self._incidents_kept or self.bytes > INCIDENT_BYTES_KEPT:
            if self._resolved:
                forgotten = self._resolved.pop(next(iter(self._resolved)))
            else:
                forgotten = self._open.pop(next(iter(self._open)))
            self.bytes -= forgotten.bytes
