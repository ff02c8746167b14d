"""Processes of the pipe that need not import a hundred modules each: a run takes a fifth of the time.

One Python has imported what the pipe imports. Each run is a fork of it in which `python -m pipe` begins anew, with its own
variables, folder and streams. It has a process id, streams and an exit status, as one that was started from nothing.
"""

from __future__ import annotations

import array
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).parent.parent


class Started:
    """A run that was begun in a fork; to be used as `subprocess.Popen` is."""

    def __init__(self, address: Path, folder: Path, environ: dict[str, str], *words: str) -> None:
        self.args = ["pipe", *words]
        self.returncode: int | None = None
        ends = [os.pipe() for _ in range(2)]
        self.stdout, self.stderr = (open(ours, errors="surrogateescape") for ours, _ in ends)  # noqa: SIM115
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(str(address))
        theirs = array.array("i", (end for _, end in ends))
        self._server.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, theirs)])
        for end in theirs:
            os.close(end)
        variables = {os.fsencode(name).hex(): os.fsencode(value).hex() for name, value in environ.items()}
        self._server.sendall(json.dumps([str(folder), variables, self.args]).encode())
        self._server.shutdown(socket.SHUT_WR)
        self._said = self._server.makefile("r")
        self.pid = int(self._said.readline())

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """What is still to be read of both streams, once the run has ended. Raises TimeoutExpired."""
        ends = time.monotonic() + timeout
        streams: dict[int, tuple[TextIO, bytearray]] = {
            stream.fileno(): (stream, bytearray()) for stream in (self.stdout, self.stderr)
        }
        waiting = select.poll()
        for handle in (*streams, self._server.fileno()):
            waiting.register(handle, select.POLLIN | select.POLLHUP)
        left = len(streams) + 1
        while left:
            ready = waiting.poll(1000 * max(0.0, ends - time.monotonic()))
            if not ready:
                raise subprocess.TimeoutExpired(self.args, timeout)
            for handle, _ in ready:
                if handle not in streams:
                    self.returncode = int(self._said.readline())
                elif piece := os.read(handle, 64 * 1024):
                    streams[handle][1].extend(piece)
                    continue
                waiting.unregister(handle)
                left -= 1
        self._said.close()
        self._server.close()
        stdout, stderr = (bytes(text).decode(errors="surrogateescape") for _, text in streams.values())
        self.stdout.close()
        self.stderr.close()
        return stdout, stderr


@contextmanager
def running(folder: Path, *modules: str) -> Iterator[Path]:
    """Where runs are to be had, in a fork of a Python that has imported these modules too."""
    address = folder / "socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(address))
        listening.listen(64)
        command = [sys.executable, "-P", __file__, str(listening.fileno()), *modules]
        environ = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"}
        server = subprocess.Popen(command, cwd=ROOT, env=environ, pass_fds=[listening.fileno()])
    yield address
    server.kill()
    server.wait()


def serve(listening: socket.socket, *modules: str) -> None:
    import gc
    import importlib
    import threading

    import yaml  # noqa: F401 (what the children behind the wall would each import)

    import pipe.__main__
    import pipe.evidence.commit
    import pipe.evidence.reports
    import pipe.inquiry  # noqa: F401 (what a run with a token imports)

    for module in modules:
        importlib.import_module(module)
    del sys.modules["pipe.__main__"]
    assert threading.active_count() == 1
    gc.freeze()
    ended, write = os.pipe()
    for end in (ended, write):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    runs: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([listening, ended], [], [])
        if ended in ready:
            os.read(ended, 4096)
            tell_of_those_that_have_ended(runs)
        if listening in ready:
            client, _ = listening.accept()
            run = os.fork()
            if not run:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for handle in (ended, write, listening.detach(), *(one.detach() for one in runs.values())):
                    os.close(handle)
                be_the_run(client)
            runs[run] = client


def tell_of_those_that_have_ended(runs: dict[int, socket.socket]) -> None:
    while runs:
        run, status = os.waitpid(-1, os.WNOHANG)
        if not run:
            return
        with runs.pop(run) as client, suppress(OSError):  # nobody asks any more
            client.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def be_the_run(client: socket.socket) -> None:
    client.sendall(f"{os.getpid()}\n".encode())
    _, streams, _, _ = socket.recv_fds(client, 1, 2)
    with client.makefile("rb") as sent:
        folder, variables, sys.argv = json.load(sent)
    client.close()
    os.chdir(folder)
    os.environb.clear()
    os.environb.update({bytes.fromhex(name): bytes.fromhex(value) for name, value in variables.items()})
    for standard, stream in enumerate(streams, 1):
        os.dup2(stream, standard)
        os.close(stream)
    sys.stdout, sys.stderr = open(1, "w"), open(2, "w")  # noqa: SIM115
    import runpy

    runpy.run_module("pipe", run_name="__main__", alter_sys=True)
    os._exit(70)  # the pipe has ended the process by now


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), *sys.argv[2:])
