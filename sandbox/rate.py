"""How often each integration key may call: PagerDuty's sliding window."""

from collections import OrderedDict, deque
from collections.abc import Callable

CALLS_PER_WINDOW = 120
WINDOW = 60.0
"""Seconds; it slides. [D]"""
KEYS_WATCHED = 1_000
"""The least recent keys beyond these are counted from nothing again, so that memory stays bounded."""


class Rate:
    """The calls of each key within the last window. Not thread-safe."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._calls: OrderedDict[str, deque[float]] = OrderedDict()

    def admit(self, routing_key: str) -> bool:
        """Count a call against the key's window; False if it is full. That a throttled call does not count is ours."""
        calls, now = self._calls.setdefault(routing_key, deque()), self._clock()
        self._calls.move_to_end(routing_key)
        if len(self._calls) > KEYS_WATCHED:
            self._calls.popitem(last=False)
        while calls and now - calls[0] >= WINDOW:
            calls.popleft()
        if len(calls) >= CALLS_PER_WINDOW:
            return False
        calls.append(now)
        return True
