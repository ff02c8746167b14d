"""Plays one row: its servers, the pipe as a process of its own, and whether what must hold of every run has held."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import MAIN, ONE_STEP, ROOT, UNSEEN, Run
from tests.faults.matrix import Row
from tests.faults.servers import Server, certificates, closed_port, full_backlog, reads_tls

NAMES = Path(__file__).parent / "names"  # holds a sitecustomize
MEASURED = Path(__file__).parent / "measured.py"

MAX_PEAK_KIB = 64 * 1024
MAX_SECONDS_LATE = 5.0  # behind TIMEOUT: Python starts, decides and prints
SHOWN_OF_A_KEY = 12  # characters of it in a row are a leak; the log may show the last four
PASSWORD = "a-password-of-hers"


@dataclass
class Seen:
    """What came of a row, and what is wrong with it: leaks, tracebacks, losses, and all else."""

    row: Row
    outcome: str
    reached: int
    attempts: int
    seconds: float
    status: int
    peak: int  # KiB
    last: str  # the line of the log that says how it ended
    log: str
    leaks: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        return [*self.leaks, *self.tracebacks, *self.losses, *self.others]


class Judge:
    """The project's sandbox as a process of its own: whether PagerDuty would take an event."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "sandbox", "--port", "0", "--quiet"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self._url = self._process.stdout.readline().split()[-1]

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()

    def refusal(self, event: bytes) -> str:
        """Why the event would not be taken; empty if it would."""
        request = urllib.request.Request(f"{self._url}/v2/enqueue", event, {"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return "" if answer.status == 202 else str(answer.status)
        except urllib.error.HTTPError as error:
            return f"{error.code} {error.read().decode()}"


@dataclass(frozen=True)
class Field:
    """Where rows are played, several at a time."""

    judge: Judge
    folder: Path
    certificates: Mapping[str, Path]
    seconds_late: float


@contextlib.contextmanager
def ready(seconds_late: float = MAX_SECONDS_LATE) -> Iterator[Field]:
    with tempfile.TemporaryDirectory() as name, Judge() as judge:
        folder = Path(name)
        (folder / "clone").mkdir()
        (folder / "clone/bitbucket-pipelines.yml").write_text(ONE_STEP)
        yield Field(judge, folder, certificates(folder), seconds_late)


def play(row: Row, field: Field) -> Seen:
    key = hashlib.sha256(f"{row.group} {row.name}".encode()).hexdigest()[:32]
    with ExitStack() as stack:
        servers = _servers(row, field, stack)
        run, peak, seconds = _run(row, _environ(row, key, field, _ports(row, servers, stack)), field)
    seen = Seen(
        row=row,
        outcome=_outcome(run),
        reached=len(servers["target"].calls),
        attempts=len(re.findall(r"POST .*, attempt \d+: ", run.log)),
        seconds=seconds,
        status=run.status,
        peak=peak,
        last=_last(run),
        log=run.stderr,
    )
    _check_expected(seen, run, servers["target"])
    _check_limits(seen, run, servers["target"], field.seconds_late)
    _check_secrets(seen, run, key, servers)
    _check_losses(seen, run, key, servers["target"], field.judge)
    return seen


def _servers(row: Row, field: Field, stack: ExitStack) -> dict[str, Server]:
    proxy = reads_tls(field.certificates["self-signed"]) if row.proxy_reads_tls else row.proxy
    made = {"target": Server(row.target, field.certificates.get(row.tls))}
    made |= {name: Server(behave) for name, behave in (("other", row.other), ("proxy", proxy)) if behave}
    for server in made.values():
        stack.callback(server.close)
    return made


def _ports(row: Row, servers: Mapping[str, Server], stack: ExitStack) -> dict[str, int]:
    ports = {name: server.port for name, server in servers.items()}
    addresses = " ".join([row.url, *row.environ.values()])
    if "{closed}" in addresses:
        ports["closed"] = stack.enter_context(closed_port())
    if "{full}" in addresses:
        ports["full"] = stack.enter_context(full_backlog())
    if row.hole:
        stack.enter_context(full_backlog("::1", servers["target"].port))
    for server in servers.values():
        server.start(ports)
    return ports


def _environ(row: Row, key: str, field: Field, ports: Mapping[str, int]) -> dict[str, str]:
    def filled(text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda name: str(ports.get(name[1], name[0])), text)

    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{NAMES}{os.pathsep}{ROOT}" if row.names else str(ROOT),
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        "FAULT_NAMES": json.dumps(row.names),
        **MAIN,
        "INTEGRATION_KEY": key,
        "EXIT_CODE": "2",
        "EVENTS_URL": filled(row.url),
        "TIMEOUT": str(row.timeout),
        **{name: filled(value) for name, value in row.environ.items()},
    }
    return environ | ({"REQUESTS_CA_BUNDLE": str(field.certificates[row.trusts])} if row.trusts else {})


def _run(row: Row, environ: dict[str, str], field: Field) -> tuple[Run, int, float]:
    """How `python -m pipe` ended, its peak of memory in KiB, and how long it took in seconds."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-IS", str(MEASURED), str(theirs.fileno()), sys.executable, "-m", "pipe"],
            cwd=field.folder / "clone",
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        try:
            stdout, stderr = process.communicate(timeout=row.timeout + 60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
        took = time.monotonic() - began
        status, peak = (ours.recv(64) or b"-9 0").split()
    return Run(int(status), stdout, stderr), int(peak), took


def _outcome(run: Run) -> str:
    how = "smallest form, " if "in its smallest form" in run.log else ""
    how = how or ("retried, " if "Waiting " in run.log else "")
    return how + ("printed" if run.printed else "delivered" if "PagerDuty accepted" in run.log else "lost")


def _last(run: Run) -> str:
    """How it ended, in the log's words, without what changes from run to run."""
    tried = re.findall(r"POST .*, attempt \d+: (.*)", run.log)
    said = run.red[-1].removeprefix("✖ The trigger event was not delivered: ") if run.red else "".join(tried[-1:])
    return re.sub(r"_ssl\.c:\d+", "_ssl.c", re.sub(r"; gave up after \d+ s .*", "; gave up", said))


def _check_expected(seen: Seen, run: Run, target: Server) -> None:
    row, wrong = seen.row, seen.others
    if seen.outcome != row.expected:
        wrong.append(f"{row.expected} was expected, {seen.outcome} was seen")
    if row.says not in run.log:
        wrong.append(f"the log does not say {row.says!r}")
    several = row.expected_attempts < 0
    if (seen.attempts < 2) if several else (seen.attempts != row.expected_attempts):
        wrong.append(f"{seen.attempts} attempts were logged")
    if seen.reached != (seen.attempts if row.expected_reached < 0 else row.expected_reached):
        wrong.append(f"{seen.reached} connections reached the server")
    if row.waits and (len(target.calls) < 2 or target.calls[-1].began - target.calls[0].began < row.waits):
        wrong.append(f"the last attempt did not wait {row.waits:g} s")


def _check_limits(seen: Seen, run: Run, target: Server, seconds_late: float) -> None:
    wrong = seen.others
    accepted = any(call.status == 202 for call in target.calls)
    if run.status != (0 if seen.outcome.endswith("delivered") else 1):
        wrong.append(f"exit status {run.status}")
    if run.status == 0 and not accepted:
        wrong.append("exit status 0 without a 202")
    if seen.seconds > seen.row.timeout + seconds_late:
        wrong.append(f"{seen.seconds:.0f} s, with a TIMEOUT of {seen.row.timeout}")
    if not 0 < seen.peak < MAX_PEAK_KIB:
        wrong.append(f"a peak of {seen.peak} KiB")
    if run.stdout:
        wrong.append("something on stdout")
    if UNSEEN.search(run.log):
        wrong.append("control characters in the log")
    if "Traceback" in run.stdout + run.stderr:
        seen.tracebacks.append("a traceback")


def _check_secrets(seen: Seen, run: Run, key: str, servers: Mapping[str, Server]) -> None:
    places = {"the log": run.stdout + run.stderr}
    for name, server in servers.items():
        came = b"".join(bytes(call.came) for call in server.calls)
        if name != "target":
            places[f"the {name}"] = came.decode("latin-1")
        if name == "other" and server.calls:
            seen.leaks.append("the other host was called")
    for place, text in places.items():
        if any(form in text for form in _forms(key)):
            seen.leaks.append(f"the key at {place}")
    if any(form in places["the log"] for form in _forms(PASSWORD)):
        seen.leaks.append("the proxy's password in the log")


def _forms(secret: str) -> Iterator[str]:
    """Parts of a secret as they may be written: plain, percent-encoded, and in base64 wherever it begins there."""
    for start in range(max(1, len(secret) - SHOWN_OF_A_KEY + 1)):
        part = secret[start : start + SHOWN_OF_A_KEY]
        yield part
        yield "".join(f"%{ord(letter):02x}" for letter in part)
        yield "".join(f"%{ord(letter):02X}" for letter in part)
    for before in range(3):
        yield base64.b64encode(b"\0" * before + secret.encode())[4 * bool(before) : -4].decode()


def _check_losses(seen: Seen, run: Run, key: str, target: Server, judge: Judge) -> None:
    """Whatever was sent, and whatever was printed instead, is one and the same page, and one that PagerDuty takes."""
    sent = [call.body for call in target.calls if call.whole]
    printed = [{**event, "routing_key": key} for event in run.printed]
    if seen.outcome.endswith("lost"):
        seen.losses.append("neither delivered nor printed")
    if len(set(sent)) > (2 if seen.outcome.startswith("smallest") else 1):
        seen.losses.append("the attempts differ")
    if printed and (len(printed) != 1 or (sent and json.loads(sent[0]) != printed[0])):
        seen.losses.append("what was printed is not what was sent")
    for event in {*sent, *(json.dumps(one).encode() for one in printed)}:
        if refusal := judge.refusal(event):
            seen.losses.append(f"not an event that PagerDuty takes: {refusal}")
