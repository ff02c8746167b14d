"""The two endpoints without HTTP: the bytes of one call go in, PagerDuty's answer comes out."""

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sandbox import rules
from sandbox.body import LIMIT, parse
from sandbox.incident import Incident, Json
from sandbox.rate import Rate
from sandbox.state import INCIDENTS_KEPT, Change, Clock, State

ERRORS_TOLD = 20
"""Of one event; a body of 512 000 bytes can hold a hundred thousand mistakes."""


class Endpoint(Enum):
    ALERT = "/v2/enqueue"
    CHANGE = "/v2/change/enqueue"


@dataclass(frozen=True)
class Answer:
    """What is answered, and for a person: why an event was refused, or what came of it, and of which incident."""

    status: int
    body: str | list[Any] | Json
    reason: str = ""
    effect: str = ""
    incident: int | None = None


class EventsApi:
    """PagerDuty's side of the Events API v2, in memory and thread-safe."""

    def __init__(
        self, unknown_keys: Collection[str] = (), clock: Clock = time.time, incidents_kept: int = INCIDENTS_KEPT
    ) -> None:
        self._unknown_keys = frozenset(unknown_keys)
        self._clock = clock
        self._incidents_kept = incidents_kept
        self._lock = threading.Lock()
        self.version = 0
        """Another number whenever anything else is to be seen."""
        self.forget()

    def take(self, endpoint: Endpoint, body: bytes) -> Answer:
        """Judge one call and, if it is good, take its event in.

        The order of the checks, that a refused call counts against the key's rate, and that the Content-Type is not
        judged, are ours.
        """
        if len(body) > LIMIT:
            return too_long()
        try:
            event = parse(body)
        except ValueError:
            return _unrecognized("JSON parse error")  # [O]
        if not isinstance(event, dict):
            return _unrecognized("Event must be an object")  # ours
        with self._lock:
            return self._judge(endpoint, event, body)

    def _judge(self, endpoint: Endpoint, event: rules.Event, body: bytes) -> Answer:
        key = event.get("routing_key")
        if isinstance(key, str) and rules.is_routing_key(key) and not self._rate.admit(key):
            # No body is documented; this one stands in a test of PagerDuty's own Go client. No Retry-After either. [D]
            message = "Requests for this service are arriving too quickly.  Please retry later."
            return _refusal(429, "throttle exceeded", message, "Enhance Your Calm.")
        errors = rules.alert_errors(event) if endpoint is Endpoint.ALERT else rules.change_errors(event)
        if errors:
            more = [f"… and {len(errors) - ERRORS_TOLD} more"] if len(errors) > ERRORS_TOLD else []
            return _invalid(400, *errors[:ERRORS_TOLD], *more)
        if key in self._unknown_keys:
            return Answer(400, "Invalid routing key", "Invalid routing key")  # plain text [O]
        accepted = {"status": "success", "message": "Event processed"}
        self.version += 1
        if endpoint is Endpoint.CHANGE:
            return Answer(202, accepted, effect=self._state.take_change(event, body).effect)
        taken = self._state.take_alert(event, body)
        return Answer(202, {**accepted, "dedup_key": taken.dedup_key}, effect=taken.effect, incident=taken.incident)

    def take_by_hand(self, number: int, action: str) -> str:
        """Acknowledge or resolve as a person would; LookupError or ValueError if that cannot be."""
        with self._lock:
            self.version += 1
            return self._state.take_by_hand(number, action)

    def incidents(self) -> list[Incident]:
        """All that are kept, the oldest first."""
        with self._lock:
            return self._state.incidents()

    def incident(self, number: int) -> Incident | None:
        with self._lock:
            return self._state.incident(number)

    def alerts(self) -> list[Incident]:
        """Those whose alert is open, the oldest first."""
        with self._lock:
            return self._state.alerts()

    def changes(self) -> list[tuple[int, Change]]:
        """All change events that are kept, numbered, the oldest first."""
        with self._lock:
            return list(enumerate(self._state.changes, start=self._state.changes.forgotten + 1))

    @property
    def opened(self) -> int:
        """Incidents ever opened, those that are not kept any more too."""
        return self._state.opened

    @property
    def bytes(self) -> int:
        """What is kept, measured."""
        with self._lock:
            return self._state.bytes + self._state.changes.bytes

    def forget(self) -> None:
        """Start anew: no incidents, no changes, empty rate windows."""
        with self._lock:
            self.version += 1
            self._state = State(self._clock, self._incidents_kept)
            self._rate = Rate(self._clock)


def too_long() -> Answer:
    """The answer to a body of more than 512 000 bytes: the limit is documented, its status code is not."""
    return _invalid(413, f"Event is too long (maiximum is {LIMIT} bytes)")  # ours


def _refusal(status: int, title: str, message: str, *errors: str) -> Answer:
    return Answer(status, {"status": title, "message": message, "errors": list(errors)}, "; ".join(errors))


def _invalid(status: int, *errors: str) -> Answer:
    return _refusal(status, "invalid event", "Event object is invalid", *errors)


def _unrecognized(error: str) -> Answer:
    return _refusal(400, "Unrecognized object", "Event object format is unrecognized", error)  # [O]
