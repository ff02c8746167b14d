"""A wall between this process and other people's bytes: a child process reads them, and only its answer comes back.

The child may take so much memory and so much time, and one JSON value is all that it can hand over. Whatever becomes
of it, this process goes on. So the readers behind the wall need no guards of their own.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from .text import one_line

with suppress(ModuleNotFoundError):  # on Windows, where no child can be forked either
    import resource

MAX_ANSWER_BYTES = 256 * 1024  # of JSON; decoded, it takes at most some thirty times as many
MAX_MEMORY_BYTES = 24 * 1024 * 1024  # beside what the process has: both have their place in a container of 64 MiB
MAX_REASON = 200  # characters
ENDING = {signal.SIGTERM, signal.SIGINT}
SLICE = 0.1  # seconds after which a signal is noticed at the latest


class Unread(Exception):
    """Something could not be read. The message says why in a few words on one line, fit for the log and the page.

    `details` travel with it from behind the wall: a small JSON object of whoever raised it there."""

    def __init__(self, why: str, **details: Any) -> None:
        super().__init__(why)
        self.details = details


def ask(
    question: Callable[[], object], *, seconds: float, size: int = MAX_ANSWER_BYTES, memory: int = MAX_MEMORY_BYTES
) -> Any:
    """What `question()` returns in a forked child: a JSON value, so tuples come back as lists.

    `seconds` of wall time, `size` in bytes of JSON, `memory` in bytes of data beside what this process has now. To be
    called from the only thread there is. What the question prints is lost, and so is all else that it changes.

    Raises `Unread` when there is no answer: the question raised it (with its details) or something else (whose message
    is not passed on, it may quote a secret), or the child was late, killed, too large or made no sense, or could not be
    started. A signal that ends this process (TERM, INT) ends the child first, and then does what it does.
    """
    (answer,) = ask_all(question, seconds=seconds, size=size, memory=memory)
    if isinstance(answer, Unread):
        raise answer
    return answer


def ask_all(
    *questions: Callable[[], object], seconds: float, size: int = MAX_ANSWER_BYTES, memory: int = MAX_MEMORY_BYTES
) -> list[Any]:
    """The same of several questions at once, each in a child of its own and within the same `seconds`: the answers in
    their order, an `Unread` in the place of one that is missing."""
    if not hasattr(os, "fork"):
        return [Unread("no process can be started") for _ in questions]
    # The signals are held back, so that none of their handlers leaves a child behind.
    held = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        began = time.monotonic()
        children = [_start(question, seconds, memory, held) for question in questions]
        ended = [child if isinstance(child, Unread) else _ended(*child, began, seconds, size) for child in children]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    # Decoded once the children's memory is free again.
    return [one if isinstance(one, Unread) else _decoded(*one) for one in ended]


def _start(question: Callable[[], object], seconds: float, memory: int, held: set[Any]) -> tuple[int, int] | Unread:
    """The child's process id, and what its answer can be read from."""
    ours, theirs = os.pipe()
    try:
        child = os.fork()
    except OSError:  # no process left to this container, or no memory for one
        os.close(ours)
        os.close(theirs)
        return Unread("no process can be started")
    if not child:
        os.close(ours)
        _be_the_child(question, theirs, seconds, memory, held)
    os.close(theirs)
    return child, ours


def _ended(child: int, answer: int, began: float, seconds: float, size: int) -> tuple[bytes, int] | Unread:
    """What the child said in its time, and the status with which it has ended."""
    try:
        text = _received(answer, began, seconds, size)
    finally:
        os.close(answer)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    return text if isinstance(text, Unread) else (text, status)


def _received(answer: int, began: float, seconds: float, size: int) -> bytes | Unread:
    ready = select.poll()
    ready.register(answer)
    text = bytearray()
    while True:
        if signal.sigpending() & ENDING:
            return b""  # whose handler is called as soon as the child is gone
        left = max(0.0, began + seconds - time.monotonic())
        if not ready.poll(1000 * min(left, SLICE)):
            if not left:
                return Unread(f"no answer within {seconds:g} s")
            continue
        piece = os.read(answer, 64 * 1024)
        text += piece
        if len(text) > size:
            return Unread(f"the answer is larger than {size} bytes")
        if not piece:
            return bytes(text)


def _decoded(text: bytes, status: int) -> Any:
    if not text:
        by = f"was killed ({signal.Signals(os.WTERMSIG(status)).name})" if os.WIFSIGNALED(status) else "gave no answer"
        return Unread(f"the reader {by}")
    try:
        reply = json.loads(text)
        if "unread" not in reply:
            return reply["answer"]
        return Unread(one_line(str(reply["unread"]), MAX_REASON), **reply["details"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return Unread("the answer makes no sense")


def _be_the_child(question: Callable[[], object], answer: int, seconds: float, memory: int, held: set[Any]) -> NoReturn:
    try:
        _limit(seconds, memory, held)
        reply = _reply(question)
        with open(answer, "wb") as out:
            out.write(reply)
    finally:  # nothing that this process would do at its end is the child's to do
        os._exit(0)


def _limit(seconds: float, memory: int, held: set[Any]) -> None:
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, held)
    # What ends the child where its parent was killed and cannot.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    gc.freeze()  # a collection would touch, and so copy, all that is shared with the parent
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # not on Linux, or /proc is not for us: no limit to keep, or the container's own must do
        with open("/proc/self/statm") as numbers:
            data = int(numbers.read().split()[5]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_DATA, (data + memory, data + memory))
        with open("/proc/self/oom_score_adj", "w") as first_to_go:
            first_to_go.write("1000")


def _reply(question: Callable[[], object]) -> bytes:
    why: str
    details: dict[str, Any] = {}
    try:
        return json.dumps({"answer": question()}).encode()
    except Unread as error:
        why, details = str(error), error.details
    except MemoryError:
        why = "too large"
    except Exception as error:
        why = f"not understood ({type(error).__name__})"
    return json.dumps({"unread": why, "details": details}).encode()  # by now what the question held is let go
