"""As much of an event as a delivery needs; apart, so that a process that delivers it imports nothing else of the tests."""

from __future__ import annotations

import json


class Event:
    """As much of an event as a delivery needs."""

    path = "/v2/enqueue"

    def encoded(self, routing_key: str) -> bytes:
        payload = {"summary": "s", "source": "x", "severity": "error"}
        body = {"routing_key": routing_key, "event_action": "trigger", "dedup_key": "k", "payload": payload}
        return json.dumps(body).encode()

    def smallest(self, refusal: str) -> None:
        return None


EVENT = Event()
