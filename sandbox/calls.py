"""The sandbox's memory of what reached it: each call whole for tests in the same process, masked for anybody else."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import Headers

from sandbox.api import Endpoint
from sandbox.body import parse
from sandbox.incident import Json, last_four, rfc3339
from sandbox.kept import Kept

CALLS_KEPT = 10_000
CALL_BYTES_KEPT = 32_000_000
_CALL_BYTES = 1_000
"""About what a call costs beside its text."""
_PART_LIMIT = 160
"""Characters of one part of a log line."""

# A key in a URL or in a body that cannot be read has no name to find it by: whatever looks like one is taken for one.
_LIKE_A_KEY = re.compile(r"(?<![0-9A-Za-z])[0-9A-Za-z]{28}(?=[0-9A-Za-z]{4}(?![0-9A-Za-z]))")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as received, and what came of it."""

    time: float
    """When it came, in seconds since 1970."""
    method: str
    path: str
    """With the query string, if there was one."""
    fields: tuple[tuple[str, str], ...]
    """The headers as they came."""
    body: bytes
    """Empty if it was too long to be read to its end."""
    status: int | None
    """The status answered; None if the connection was closed without an answer."""
    dedup_key: str = ""
    """The one answered, a made-up one included; else the one received."""
    reason: str = ""
    """Why it was not accepted, or which fault it met."""
    effect: str = ""
    """What came of it, if it was taken in."""
    incident: int | None = None
    """The incident it touched."""
    action: str = ""
    """The event's action, `change` for a change event; any other call's method and path."""
    key: str = ""
    """The integration key's last four characters, as far as they may be shown."""
    summary: str = ""

    @property
    def headers(self) -> Headers:
        """A name may be asked for in any case."""
        return Headers(list(self.fields))

    @property
    def json(self) -> Any:
        """The body parsed; None if it is not JSON."""
        try:
            return parse(self.body)
        except ValueError:
            return None

    @property
    def event(self) -> Json:
        event = self.json
        return event if isinstance(event, dict) else {}

    @property
    def at(self) -> str:
        return rfc3339(self.time)

    @property
    def bytes(self) -> int:
        texts = (self.path, self.reason, self.dedup_key, self.summary, *(text for pair in self.fields for text in pair))
        return len(self.body) + sum(len(text) + 50 for text in texts) + _CALL_BYTES

    def to_json(self) -> Json:
        """The call without its routing key. What the event says elsewhere is shown as it came."""
        event = self.json
        return {
            "at": self.at,
            "method": self.method,
            "path": mask(self.path, event),
            "headers": {name: mask(value, event) for name, value in self.headers.items()},
            "bytes": len(self.body),
            "body": mask(self.body.decode("utf-8", "replace"), event) if event is None else None,
            "json": without_key(event),
            "status": self.status,
            "dedup_key": self.dedup_key,
            "reason": self.reason,
            "effect": self.effect,
            "incident": self.incident,
        }

    def line(self) -> str:
        """The call as one line of log, safe for a terminal."""
        key, dedup_key = self.key and f"key …{self.key}", self.dedup_key and f"dedup {self.dedup_key}"
        parts = [f"{self.status or '---'} {self.action}", key, dedup_key, self.reason, self.summary]
        return "  ".join(_printable(part) for part in parts if part)


class Journal:
    """Every call in the order of arrival, thread-safe; `log` is handed a line for each. The oldest are forgotten."""

    def __init__(self, log: Callable[[str], None] | None = None, most: int = CALLS_KEPT) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._calls: Kept[Call] = Kept(most, CALL_BYTES_KEPT, lambda call: call.bytes)
        self.version = 0
        """Another number whenever anything else is to be seen."""

    def add(self, call: Call) -> None:
        with self._lock:
            self._calls.add(call)
            self.version += 1
        if self._log:
            self._log(call.line())

    def calls(self) -> list[Call]:
        with self._lock:
            return list(self._calls)

    def numbered(self) -> list[tuple[int, Call]]:
        """Each with its number, from 1 in the order of arrival."""
        with self._lock:
            return list(enumerate(self._calls, start=self._calls.forgotten + 1))

    def get(self, number: int) -> Call | None:
        with self._lock:
            return self._calls.get(number)

    @property
    def total(self) -> int:
        """How many came, the forgotten ones too."""
        return self._calls.total

    @property
    def bytes(self) -> int:
        """What is kept, measured."""
        return self._calls.bytes

    def forget(self) -> None:
        with self._lock:
            self._calls.clear()
            self.version += 1


def action_of(method: str, path: str, event: Any) -> str:
    """What a call is called: its event's action, `change`, or method and path."""
    address = path.removesuffix("/")
    if address == Endpoint.CHANGE.value:
        return "change"
    action = event.get("event_action") if isinstance(event, dict) else None
    if address == Endpoint.ALERT.value and isinstance(action, str) and action.isidentifier():
        return action[:_PART_LIMIT]
    return f"{method} {mask(path, event)}"[:_PART_LIMIT]


def without_key(event: Any) -> Any:
    """The event with only the last four characters of its routing key."""
    if not isinstance(event, dict) or event.get("routing_key") is None:
        return event
    return {**event, "routing_key": f"…{last_four(event['routing_key'])}"}


def mask(text: str, event: Any) -> str:
    """`text` without the event's routing key, and without anything that looks like one."""
    key = event.get("routing_key") if isinstance(event, dict) else None
    if isinstance(key, str) and last_four(key):
        text = text.replace(key, f"…{last_four(key)}")
    return _LIKE_A_KEY.sub("…", text)


def _printable(text: str) -> str:
    cut = text if len(text) <= _PART_LIMIT else text[: _PART_LIMIT - 1] + "…"
    return "".join(character if character.isprintable() else "?" for character in cut)
