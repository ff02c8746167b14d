"""An image registry on loopback, where a Docker engine asks for no TLS: Debian's `docker-registry`, as a process."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import tempfile
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
