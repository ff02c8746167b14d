"""The sandbox's memory of what reached it: each call whole for tests in the same process, masked for anybody else."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import Headers

from sandbox.api import Endpoint
from sandbox.state import Json, last_four, rfc3339

_PART_LIMIT = 160
"""Characters of one part of a log line."""

# A key in a URL or in a body that cannot be read has no name to find it by: whatever looks like one is taken for one.
_LIKE_A_KEY = re.compile(r"(?<![0-9A-Za-z])[0-9A-Za-z]{28}(?=[0-9A-Za-z]{4}(?![0-9A-Za-z]))")


@dataclass(frozen=True)
class Call:
    """One request, as received, and what came of it."""

    time: float
    """When it came, in seconds since 1970."""
    method: str
    path: str
    """With the query string, if there was one."""
    headers: Headers
    """A name may be asked for in any case."""
    body: bytes
    json: Any
    """The body parsed; None if it is not JSON."""
    status: int | None
    """The status answered; None if the connection was closed without an answer."""
    dedup_key: str = ""
    """The one answered, a made-up one included; else the one received."""
    reason: str = ""
    """Why it was not accepted, or which fault it met."""

    @property
    def event(self) -> Json:
        return self.json if isinstance(self.json, dict) else {}

    @property
    def at(self) -> str:
        return rfc3339(self.time)

    @property
    def key(self) -> str:
        """The routing key's last four characters, as far as they may be shown."""
        return last_four(self.event.get("routing_key"))

    @property
    def action(self) -> str:
        """The event's action, `change` for a change event; any other call's method and path."""
        if self.path == Endpoint.CHANGE.value:
            return "change"
        action = self.event.get("event_action")
        if self.path == Endpoint.ALERT.value and isinstance(action, str) and action.isidentifier():
            return action
        return f"{self.method} {self._masked(self.path)}"

    def to_json(self) -> Json:
        """The call without its routing key. What the event says elsewhere is shown as it came."""
        event = self.json
        if self.event.get("routing_key") is not None:
            event = {**event, "routing_key": f"…{self.key}"}
        return {
            "at": self.at,
            "method": self.method,
            "path": self._masked(self.path),
            "headers": {name: self._masked(value) for name, value in self.headers.items()},
            "bytes": len(self.body),
            "body": self._masked(self.body.decode("utf-8", "replace")) if self.json is None else None,
            "json": event,
            "status": self.status,
            "dedup_key": self.dedup_key,
            "reason": self.reason,
        }

    def line(self) -> str:
        """The call as one line of log, safe for a terminal."""
        payload = self.event.get("payload")
        summary = payload.get("summary") if isinstance(payload, dict) else None
        parts = [
            f"{self.status or '---'} {self.action}",
            self.key and f"key …{self.key}",
            self.dedup_key and f"dedup {self.dedup_key}",
            self.reason,
            summary if isinstance(summary, str) else "",
        ]
        return "  ".join(_printable(part) for part in parts if part)

    def _masked(self, text: str) -> str:
        key = self.event.get("routing_key")
        if isinstance(key, str) and self.key:
            text = text.replace(key, f"…{self.key}")
        return _LIKE_A_KEY.sub("…", text)


class Journal:
    """Every call in the order of arrival, thread-safe; `log` is handed a line for each."""

    def __init__(self, log: Callable[[str], None] | None = None) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._calls: list[Call] = []

    def add(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)
        if self._log:
            self._log(call.line())

    def calls(self) -> list[Call]:
        with self._lock:
            return list(self._calls)

    def forget(self) -> None:
        with self._lock:
            self._calls.clear()


def _printable(text: str) -> str:
    cut = text if len(text) <= _PART_LIMIT else text[: _PART_LIMIT - 1] + "…"
    return "".join(character if character.isprintable() else "?" for character in cut)
