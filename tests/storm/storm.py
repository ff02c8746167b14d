"""One storm: pipes as processes of their own that all send at the same moment, and what became of each page."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import socket
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pipe.__main__ as pipe_main
from pipe.delivery import Receipt
from sandbox import Sandbox, api, rate
from tests.conftest import KEY, MAIN, ONE_STEP

AT_WORK = 4  # pipes that read and decide at the same time; all together would wait for two processors
_fork = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Pipe:
    """How one of them ended."""

    accepted: bool
    attempts: int
    seconds: float  # from the moment at which all began to send
    status: int  # of the process
    log: str
    name: str

    @property
    def printed(self) -> bool:
        return any(line.startswith("{") and f'"{self.key}"' in line for line in self.log.splitlines())

    @property
    def throttled(self) -> int:
        return len(re.findall(r", attempt \d+: 429 ", self.log))

    @property
    def key(self) -> str:
        return f"bitbucket:acme/shop:branch/main:step/{self.name}"


@dataclass(frozen=True)
class Storm:
    timeout: float
    pipes: tuple[Pipe, ...]
    opened: int  # incidents
    seconds: float

    @property
    def lost(self) -> list[Pipe]:
        """Neither delivered nor printed."""
        return [one for one in self.pipes if not one.accepted and not one.printed]

    def __str__(self) -> str:
        took = [one.seconds for one in self.pipes if one.accepted] or [0.0]
        delivered, throttled = sum(one.accepted for one in self.pipes), sum(one.throttled for one in self.pipes)
        return (
            f"{len(self.pipes)} pipes at once, TIMEOUT {self.timeout:g}: {delivered} delivered, "
            f"{len(self.pipes) - delivered - len(self.lost)} printed, {len(self.lost)} lost; "
            f"{sum(one.attempts for one in self.pipes)} attempts, {throttled} of them 429; to accepted "
            f"{statistics.median(took):.1f} s median, {max(took):.1f} s at most; {self.seconds:.0f} s in all"
        )


class Strict(rate.Rate):
    """The rate limit if a throttled call counted too: which it is with PagerDuty is not known [?]."""

    def admit(self, routing_key: str) -> bool:
        admitted = super().admit(routing_key)
        if not admitted:
            self._calls[routing_key].append(self._clock())
        return admitted


def rage(pipes: int, timeout: float, *, strict: bool = False) -> Storm:
    """So many pipes, each with a page of its own, and the sandbox with PagerDuty's rate limit."""
    with mock.patch.object(api, "Rate", Strict if strict else rate.Rate):
        return _rage(pipes, timeout)


def _rage(pipes: int, timeout: float) -> Storm:
    began, gate, turn, said = time.monotonic(), _fork.Barrier(pipes + 1), _fork.Semaphore(AT_WORK), _fork.SimpleQueue()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder)
        (clone / "bitbucket-pipelines.yml").write_text(ONE_STEP)
        environ = {**MAIN, "INTEGRATION_KEY": KEY, "EVENTS_URL": f"http://127.0.0.1:{port}", "EXIT_CODE": "1"}
        environ["TIMEOUT"] = f"{timeout:g}"
        processes = [
            _fork.Process(target=_be_a_pipe, args=(clone, str(one), environ, turn, gate, said)) for one in range(pipes)
        ]
        for process in processes:  # before there is a thread
            process.start()
        with Sandbox(port=port) as sandbox:
            gate.wait()
            receipts = dict(said.get() for _ in processes)
            for process in processes:
                process.join()
            opened = len(sandbox.alerts())
        ended = tuple(
            Pipe(*receipts[str(one)], process.exitcode, (clone / f"{one}.log").read_text(), str(one))
            for one, process in enumerate(processes)
        )
    return Storm(timeout, ended, opened, time.monotonic() - began)


def _be_a_pipe(clone: Path, name: str, environ: dict[str, str], turn: Any, gate: Any, said: Any) -> None:
    """The whole pipe, but that it waits for all others before it sends."""
    os.chdir(clone)
    log = os.open(f"{name}.log", os.O_CREAT | os.O_WRONLY)
    os.dup2(log, sys.stderr.fileno())
    real = pipe_main.deliver

    def deliver(*given: Any) -> Receipt:
        turn.release()
        gate.wait()
        began = time.monotonic()
        receipt = real(*given)
        said.put((name, (receipt.accepted, receipt.attempts, time.monotonic() - began)))
        return receipt

    pipe_main.deliver = deliver  # type: ignore[assignment]
    turn.acquire()
    status = pipe_main.main({**environ, "ALERT_NAME": name})
    sys.stderr.flush()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(status)
