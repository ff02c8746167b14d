"""What may end a piece of work from outside: a time limit, and the signal that ends the container."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


class OutOfTime(BaseException):
    """The time limit around this work is over. Not an Exception, so that no library takes it for one of its own."""


class Terminated(BaseException):
    """SIGTERM or SIGINT arrived; `status` is the exit status that says so."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise OutOfTime inside the block once `seconds` are over. Not to be nested; outside the main thread no limit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    previous = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:  # also when the alarm went off between the end of the work and the line above
        signal.signal(signal.SIGALRM, previous)


def in_time(seconds: float, work: Callable[[], T]) -> T:
    """What the work returns or raises, or OutOfTime. For work that an alarm cannot stop: looking up a name knows no
    time-out. It runs in a thread of its own, which is left behind when the time is over."""
    results: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put((work(), None))
        except Exception as error:
            results.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = results.get(timeout=max(seconds, 0.0))
    except queue.Empty:
        raise OutOfTime from None
    if error:
        raise error
    return result  # type: ignore[return-value]


def raise_on_termination() -> None:
    """As a container's first process the pipe would otherwise ignore SIGTERM."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
