"""Delivery against the sandbox, and what only a process or a thread of its own shows; the faults stand in tests/faults."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipe import delivery
from pipe.delivery import Receipt, deliver
from sandbox import Sandbox
from tests.conftest import KEY
from tests.wire.an_event import EVENT

ROOT = Path(__file__).parents[2]


def delivered(url: str) -> tuple[Receipt, list[str]]:
    lines: list[str] = []
    receipt = deliver(EVENT, url, KEY, 20, lines.append)
    assert KEY not in "".join([*lines, receipt.said, receipt.advice])
    return receipt, lines


def test_an_event_whose_answers_are_lost_makes_one_incident(sandbox, monkeypatch):
    monkeypatch.setattr(delivery, "LONGEST_WAIT_SECONDS", 0.02)
    sandbox.fail_next({"drop_after_accept": True, "times": 3})
    receipt, _ = delivered(sandbox.url)
    assert (receipt.accepted, receipt.attempts) == (True, 4)
    assert len(sandbox.incidents()) == 1


def test_where_no_thread_can_be_started_the_event_goes_out_all_the_same(sandbox):
    code = f"""
import threading
from pipe.delivery import deliver
from tests.wire.an_event import EVENT
def refuse(_): raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
print(deliver(EVENT, {sandbox.url!r}, {KEY!r}, 20, lambda line: None).accepted)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:9", "http://[", "http://" + "a" * 70 + ".example", "nothing", "http://*.b/"]
)
def test_an_address_or_a_proxy_that_cannot_be_used_is_final_and_told(monkeypatch, url):
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
    receipt, _ = delivered(url)
    assert (receipt.attempts, receipt.said) == (1, "the address, or the proxy's, cannot be used")
    assert "EVENTS_URL" in receipt.advice


@pytest.mark.parametrize("proxy", ["somebody:secret@", "somebody@", "http://somebody:secret@"])
def test_a_proxy_with_a_login_and_no_host_is_final_and_told(monkeypatch, sandbox, capfd, proxy):
    monkeypatch.setenv("HTTP_PROXY", proxy)
    receipt, _ = delivered(sandbox.url)
    assert (receipt.attempts, receipt.said) == (1, "the address, or the proxy's, cannot be used")
    assert "HTTPS_PROXY" in receipt.advice
    assert capfd.readouterr().err == ""


BUNDLES = {
    "missing": None,
    "empty": b"",
    "no certificates": b"# from the settings\n",
    "a broken one": b"-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n",
    "a cut-off one": b"-----BEGIN CERTIFICATE-----\nbm8",
    "not text": bytes(range(256)),
}


@pytest.mark.parametrize("content", BUNDLES.values(), ids=BUNDLES)
def test_a_bundle_that_holds_no_certificates_is_final_and_told(monkeypatch, tmp_path, tls, content):
    if content is not None:
        (tmp_path / "bundle.pem").write_bytes(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "bundle.pem"))
    with Sandbox(tls=tls) as running:
        receipt, _ = delivered(running.url)
    assert receipt.attempts == 1
    assert "REQUESTS_CA_BUNDLE" in receipt.said
    assert "below the clone" in receipt.advice


def test_no_credentials_of_a_netrc_file_are_sent(sandbox, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert delivered(sandbox.url)[0].accepted
    assert sandbox.requests[0].headers.get("Authorization") is None


def test_a_login_in_the_address_is_neither_sent_nor_shown(sandbox):
    _, lines = delivered(sandbox.url.replace("://", "://ada:hunter2@"))
    assert sandbox.requests[0].headers.get("Authorization") is None
    assert "hunter2" not in "".join(lines)


STOPPED = """
import os, signal, sys
from pipe.delivery import deliver
from tests.wire.an_event import EVENT
from pipe.lib.interrupts import Terminated, raise_on_termination
raise_on_termination()
try:
    print("ready", flush=True)
    deliver(EVENT, sys.argv[1], sys.argv[2], 60, lambda line: None)
except Terminated as stop:
    for line in range(2000):
        print("event", line)
    sys.exit(stop.status)
"""


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGTERM, signal.SIGINT] * 3], ids=len)
def test_a_signal_at_any_moment_and_however_often_lets_what_follows_be_printed_whole(sandbox, signals):
    sandbox.fail_next({"delay": 30})
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, sandbox.url, KEY],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGSTOP)  # so that all of them are pending together
    for number in signals:
        os.kill(process.pid, number)
    os.kill(process.pid, signal.SIGCONT)
    stdout, stderr = process.communicate(timeout=20)
    assert stderr == ""
    assert stdout.endswith("event 1999\n")
    assert process.returncode in {128 + number for number in signals}
