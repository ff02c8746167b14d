"""An image registry on loopback, where a Docker engine asks for no TLS: Debian's `docker-registry`, as a process; and
a line to it that is as slow as a real one."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
UNPACKED = ROOT / ".cache/docker-registry/usr/bin/docker-registry"  # by `make registry`
MISSING = "docker-registry is not on this machine: `make registry` fetches Debian's package"
CONFIGURATION = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/images}}, delete: {{enabled: true}}}}
http: {{addr: 127.0.0.1:{port}}}
"""
PASSWORDS = "auth: {{htpasswd: {{realm: loopback, path: {file}}}}}\n"


def program() -> str | None:
    """Where docker-registry is, if it is."""
    return shutil.which("docker-registry") or (str(UNPACKED) if os.access(UNPACKED, os.X_OK) else None)


@contextlib.contextmanager
def registry(passwords: str = "") -> Iterator[str]:
    """Its `host:port`; it ends, and forgets all, with the block. `passwords` are lines of htpasswd (bcrypt)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        configuration = CONFIGURATION.format(folder=folder, port=port)
        if passwords:
            Path(folder, "htpasswd").write_text(passwords)
            configuration += PASSWORDS.format(file=f"{folder}/htpasswd")
        Path(folder, "configuration.yml").write_text(configuration)
        with subprocess.Popen(
            [program() or "docker-registry", "serve", f"{folder}/configuration.yml"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                _wait_for(port)
                yield f"127.0.0.1:{port}"
            finally:
                process.kill()


@contextlib.contextmanager
def throttled(address: str, bytes_per_second: float) -> Iterator[str]:
    """The `host:port` of a proxy to that address, over which all that comes back together is no faster than that."""
    host, _, port = address.partition(":")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        line = _Line(bytes_per_second)
        threading.Thread(target=_serve, args=(listening, (host, int(port)), line), daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


class _Line:
    """A line of a certain speed, shared by whoever sends over it."""

    def __init__(self, bytes_per_second: float) -> None:
        self.speed, self.free, self.lock = bytes_per_second, 0.0, threading.Lock()

    def carry(self, size: int) -> None:
        with self.lock:
            now = time.monotonic()
            self.free = max(self.free, now) + size / self.speed
            wait = self.free - now
        time.sleep(wait)


def _serve(listening: socket.socket, address: tuple[str, int], line: _Line) -> None:
    with contextlib.suppress(OSError):  # once it is shut down
        while True:
            client, _ = listening.accept()
            server = socket.create_connection(address)
            threading.Thread(target=_pump, args=(client, server, None), daemon=True).start()
            threading.Thread(target=_pump, args=(server, client, line), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket, line: _Line | None) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(64 * 1024):
            if line:
                line.carry(len(data))
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _wait_for(port: int) -> None:
    ends = time.monotonic() + 20
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            connection.request("GET", "/v2/")
            connection.getresponse()
            return
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.02)
