"""`python -m tests.wire.sandbox_memory`: what the sandbox holds in memory after 100,000 events of as many alerts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import requests

ROOT = Path(__file__).parents[2]
SERVER = """
import sys
from sandbox import Sandbox
with Sandbox(calls_kept=int(sys.argv[1]), incidents_kept=int(sys.argv[2])) as sandbox:
    print(sandbox.port, flush=True)
    for _ in sys.stdin:
        print(sandbox.bytes, len(sandbox.requests), flush=True)
"""


@dataclass(frozen=True)
class Found:
    events: int
    accepted: int
    seconds: float
    kept_calls: int
    kept_incidents: int
    kept_bytes: int
    before_mib: float
    after_mib: float
    peak_mib: float

    @property
    def grown_mib(self) -> float:
        return self.after_mib - self.before_mib

    def __str__(self) -> str:
        return (
            f"{self.events} events, {self.accepted} accepted, {self.seconds:.0f} s; {self.before_mib:.0f} MiB before, "
            f"{self.after_mib:.0f} after, {self.peak_mib:.0f} at most; kept {self.kept_calls} calls and "
            f"{self.kept_incidents} incidents, measured {self.kept_bytes / 1e6:.1f} MB"
        )


def measure(events: int, calls_kept: int, incidents_kept: int, details: int = 3_000) -> Found:
    """Of a process of its own: every event is another alert under another integration key."""
    command = [sys.executable, "-c", SERVER, str(calls_kept), str(incidents_kept)]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout and server.stdin
        try:
            port = int(server.stdout.readline())
            url = f"http://127.0.0.1:{port}"
            requests.get(url, timeout=30)  # templates are loaded
            before = _memory(server.pid, "VmRSS")
            start = time.monotonic()
            accepted = sum(_send(port, number, details) == 202 for number in range(events))
            seconds = time.monotonic() - start
            for path in ("/", "/calls"):
                requests.get(url + path, timeout=60).raise_for_status()
            server.stdin.write("\n")
            server.stdin.flush()
            kept_bytes, kept_calls = map(int, server.stdout.readline().split())
            kept_incidents = len(requests.get(f"{url}/alerts", timeout=60).json())
            after, peak = _memory(server.pid, "VmRSS"), _memory(server.pid, "VmHWM")
        finally:
            server.kill()
    return Found(events, accepted, seconds, kept_calls, kept_incidents, kept_bytes, before, after, peak)


def _send(port: int, number: int, details: int) -> int:
    payload = {
        "summary": f"acme/shop: tests failed on main (#{number})",
        "source": "bitbucket.org/acme/shop",
        "severity": "error",
        "custom_details": {"failed_tests": ["a: b"] * (details // 10), "build_number": number},
    }
    event = {"routing_key": f"{number:032}", "event_action": "trigger", "dedup_key": f"{number}", "payload": payload}
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/v2/enqueue", json.dumps(event), {"Content-Type": "application/json"})
    status = connection.getresponse().status
    connection.close()
    return status


def _memory(pid: int, name: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{name}:")) / 1024


if __name__ == "__main__":
    from sandbox.calls import CALLS_KEPT
    from sandbox.state import INCIDENTS_KEPT

    print(measure(int(sys.argv[1]) if sys.argv[1:] else 100_000, CALLS_KEPT, INCIDENTS_KEPT))
