"""Faults on request: what the sandbox can be told to do wrong with the next calls."""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import groupby
from typing import Any

Json = Mapping[str, Any]

WAITING_LIMIT = 20_000
"""Calls that faults can be asked for in advance."""


@dataclass(frozen=True)
class Fault:
    """One call's misfortune.

    `status` (200 to 599, with `body` and `headers`) is answered instead of handling the event. `drop` closes the
    connection without an answer, the event unheard; `drop_after_accept` takes the event in first. `delay` (seconds)
    holds back the answer, or the end of the connection; the event is handled at once, as a slow server would have.
    """

    status: int | None = None
    body: str | list[Any] | dict[str, Any] = ""
    headers: Json = field(default_factory=dict)
    delay: float = 0.0
    drop: bool = False
    drop_after_accept: bool = False

    def __str__(self) -> str:
        """What the log says of it; nothing if there is none."""
        what = [
            f"{self.status}" if self.status is not None else "",
            "dropped" if self.drop else "",
            "taken in, then dropped" if self.drop_after_accept else "",
            f"{self.delay:g} s late" if self.delay else "",
        ]
        return f"fault: {', '.join(filter(None, what))}" if any(what) else ""

    @property
    def drops(self) -> bool:
        return self.drop or self.drop_after_accept


NO_FAULT = Fault()


class Faults:
    """The faults to come, one for each call, in order; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Fault] = deque()
        self._closed = threading.Event()

        self.version = 0
        """Another number whenever others are waiting."""

    def __len__(self) -> int:
        return len(self._waiting)

    def waiting(self) -> list[tuple[str, int]]:
        """What the next calls will meet, and how many of them in a row."""
        with self._lock:
            return [(text, len(list(same))) for text, same in groupby(map(str, self._waiting))]

    def add(self, faults: Sequence[Fault]) -> None:
        """Raises ValueError if too many wait already."""
        with self._lock:
            if len(self._waiting) + len(faults) > WAITING_LIMIT:
                raise ValueError(f"more than {WAITING_LIMIT} faults would be waiting")
            self._waiting.extend(faults)
            self.version += 1

    def take(self) -> Fault:
        """The next call's fault, which is none most of the time."""
        with self._lock:
            if not self._waiting:
                return NO_FAULT
            self.version += 1
            return self._waiting.popleft()

    def hold(self, fault: Fault) -> None:
        """Let the fault's delay pass, unless the sandbox closes."""
        if fault.delay:
            self._closed.wait(fault.delay)

    def forget(self) -> None:
        with self._lock:
            self._waiting.clear()
            self.version += 1

    def close(self) -> None:
        """End every delay, now and later."""
        self._closed.set()


def parse_faults(wanted: object) -> list[Fault]:
    """One fault per call to come, from a list of objects with a Fault's fields, and `times` to repeat one.

    Raises ValueError with a text for a person.
    """
    if not isinstance(wanted, list | tuple):
        raise ValueError("faults must be a list of objects")
    return [fault for one in wanted for fault in _parse(one)]


def _parse(wanted: object) -> list[Fault]:
    if not isinstance(wanted, dict):
        raise ValueError(f"a fault must be an object, not {wanted!r}")
    wanted = dict(wanted)
    times = wanted.pop("times", 1)
    unknown = sorted(set(wanted) - {known.name for known in fields(Fault)})
    if unknown:
        raise ValueError(f"a fault knows no {', '.join(map(repr, unknown))}")
    fault = Fault(**wanted)
    for name, value, right in (
        ("times", times, _is_number(times, int) and 1 <= times <= 10_000),
        ("status", fault.status, fault.status is None or _is_status(fault.status)),
        ("body", fault.body, isinstance(fault.body, str | list | dict)),
        ("headers", fault.headers, _are_headers(fault.headers)),
        ("delay", fault.delay, _is_number(fault.delay, int | float) and 0 <= fault.delay <= 3600),
        ("drop", fault.drop, isinstance(fault.drop, bool)),
        ("drop_after_accept", fault.drop_after_accept, isinstance(fault.drop_after_accept, bool)),
    ):
        if not right:
            raise ValueError(f"a fault's {name!r} cannot be {value!r}")
    endings = (fault.status is not None) + fault.drop + fault.drop_after_accept
    if endings > 1 or not (endings or fault.delay):
        raise ValueError("a fault needs one of 'status', 'drop' and 'drop_after_accept', or a 'delay'")
    if fault.status is None and (fault.body or fault.headers):
        raise ValueError("a fault's 'body' and 'headers' need a 'status'")
    return [fault] * times


def _is_number(value: object, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_status(value: Any) -> bool:
    return _is_number(value, int) and 200 <= value <= 599


def _are_headers(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(text, str) and text.isprintable() and text.isascii() for pair in value.items() for text in pair
    )
