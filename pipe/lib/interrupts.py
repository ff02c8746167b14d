"""The signals that end a container, as an exception."""

from __future__ import annotations

import signal
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Terminated(BaseException):
    """SIGTERM or SIGINT arrived; `status` is the exit status that says so. Not an Exception, so that no library takes
    it for one of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


def hold_back_termination() -> None:
    """Let neither signal reach this thread until `let_termination`; one that comes meanwhile waits. Not on Windows."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def let_termination() -> None:
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def raise_on_termination() -> None:
    """Raise Terminated in the main thread at the first SIGTERM or SIGINT; later ones do nothing, so that what is
    printed on the way out is printed whole. As a container's first process the pipe would otherwise ignore SIGTERM."""

    def end(number: int, frame: FrameType | None) -> None:
        ignore_termination()
        raise Terminated(number)

    for number in SIGNALS:
        signal.signal(number, end)
    let_termination()  # one that came while modules were imported arrives now


def ignore_termination() -> None:
    """Once all is said and done, a signal changes nothing any more."""
    for number in SIGNALS:
        signal.signal(number, _ignore)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Unlike SIG_IGN also good for a signal that is already pending: Python would print a traceback for that one."""
