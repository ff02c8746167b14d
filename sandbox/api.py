"""The two endpoints without HTTP: the bytes of one call go in, PagerDuty's answer comes out."""

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sandbox import rules
from sandbox.body import LIMIT, parse
from sandbox.state import Clock, Json, State


class Endpoint(Enum):
    ALERT = "/v2/enqueue"
    CHANGE = "/v2/change/enqueue"


@dataclass(frozen=True)
class Answer:
    """What is answered; `reason` says why an event was refused, and is empty if it was not."""

    status: int
    body: str | list[Any] | Json
    reason: str = ""


class EventsApi:
    """PagerDuty's side of the Events API v2, in memory and thread-safe."""

    def __init__(self, unknown_keys: Collection[str] = (), clock: Clock = time.time) -> None:
        self._unknown_keys = frozenset(unknown_keys)
        self._clock = clock
        self._lock = threading.Lock()
        self._state = State(clock)

    def take(self, endpoint: Endpoint, body: bytes) -> Answer:
        """Judge one call and, if it is good, take its event in.

        A body of more than 512 000 bytes is answered 413: the limit is documented, its status code is not.
        The order of the checks, that a refused call counts against the key's rate, and that the Content-Type is not
        judged, are ours.
        """
        if len(body) > LIMIT:
            return _invalid(413, f"Event is too long (maiximum is {LIMIT} bytes)")  # ours
        try:
            event = parse(body)
        except ValueError:
            return _unrecognized("JSON parse error")  # [O]
        if not isinstance(event, dict):
            return _unrecognized("Event must be an object")  # ours
        with self._lock:
            return self._judge(endpoint, event)

    def _judge(self, endpoint: Endpoint, event: rules.Event) -> Answer:
        key = event.get("routing_key")
        if isinstance(key, str) and rules.is_routing_key(key) and not self._state.admit(key):
            # No body is documented; this one stands in a test of PagerDuty's own Go client. No Retry-After either. [D]
            message = "Requests for this service are arriving too quickly.  Please retry later."
            return _refusal(429, "throttle exceeded", message, "Enhance Your Calm.")
        errors = rules.alert_errors(event) if endpoint is Endpoint.ALERT else rules.change_errors(event)
        if errors:
            return _invalid(400, *errors)
        if key in self._unknown_keys:
            return Answer(400, "Invalid routing key", "Invalid routing key")  # plain text [O]
        accepted = {"status": "success", "message": "Event processed"}
        if endpoint is Endpoint.CHANGE:
            self._state.take_change(event)
            return Answer(202, accepted)
        return Answer(202, {**accepted, "dedup_key": self._state.take_alert(event)})

    def incidents(self) -> list[Json]:
        """All incidents, the oldest first."""
        with self._lock:
            return [incident.to_json() for incident in self._state.incidents()]

    def alerts(self) -> list[Json]:
        """The open alerts, the oldest first."""
        with self._lock:
            return [incident.alert_to_json() for incident in self._state.alerts()]

    def changes(self) -> list[Json]:
        """All change events, the oldest first."""
        with self._lock:
            return [change.to_json() for change in self._state.changes]

    def forget(self) -> None:
        """Start anew: no incidents, no changes, empty rate windows."""
        with self._lock:
            self._state = State(self._clock)


def _refusal(status: int, title: str, message: str, *errors: str) -> Answer:
    return Answer(status, {"status": title, "message": message, "errors": list(errors)}, "; ".join(errors))


def _invalid(status: int, *errors: str) -> Answer:
    return _refusal(status, "invalid event", "Event object is invalid", *errors)


def _unrecognized(error: str) -> Answer:
    return _refusal(400, "Unrecognized object", "Event object format is unrecognized", error)  # [O]
