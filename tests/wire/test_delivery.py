"""Delivery: every answer there is, a deadline that holds, and no secret in what is said."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipe import delivery
from pipe.delivery import deliver
from sandbox import Sandbox
from tests.conftest import KEY


@dataclass(frozen=True)
class Event:
    """As much of an event as a delivery needs."""

    summary: str = "s"
    small: bool = False
    path: str = "/v2/enqueue"

    def encoded(self, routing_key: str) -> bytes:
        payload = {"summary": self.summary, "source": "x", "severity": "error"}
        body = {"routing_key": routing_key, "event_action": "trigger", "dedup_key": "k", "payload": payload}
        return json.dumps(body).encode()

    def smallest(self, refusal: str) -> Event | None:
        return None if self.small else replace(self, summary=f"s ({refusal})", small=True)


EVENT = Event(small=True)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def quick(monkeypatch):
    """Back-off without the waiting."""
    monkeypatch.setattr(delivery, "LONGEST_WAIT_SECONDS", 0.02)


def delivered(url: str, timeout: float = 20, event: Event = EVENT):
    lines: list[str] = []
    started = time.monotonic()
    receipt = deliver(event, url, KEY, timeout, lines.append)
    assert KEY not in "".join([*lines, receipt.said, receipt.advice])
    return receipt, lines, time.monotonic() - started


@pytest.mark.parametrize("status", [*range(200, 227), *range(300, 309), *range(400, 432), 451, *range(500, 512), 599])
def test_every_status_is_accepted_final_or_tried_again(sandbox, quick, status):
    sandbox.fail_next({"status": status, "body": "why not"})
    receipt, _, _ = delivered(sandbox.url)
    again = status in (408, 429) or status >= 500
    assert receipt.accepted is (again or status == 202)
    assert len(sandbox.requests) == receipt.attempts == (2 if again else 1)
    if not receipt.accepted:
        assert receipt.said.startswith(f"{status} ")


@pytest.mark.parametrize(
    "fault",
    [{"drop": True}, {"drop_after_accept": True}, {"status": 503}, {"status": 429, "headers": {"Retry-After": "0"}}],
)
def test_what_is_temporary_is_tried_again_and_makes_one_incident(sandbox, quick, fault):
    sandbox.fail_next({**fault, "times": 3})
    receipt, lines, _ = delivered(sandbox.url)
    assert receipt.accepted
    assert receipt.attempts == 4
    assert len([line for line in lines if line.startswith("POST ")]) == 4
    assert len(sandbox.incidents()) == 1


def test_retry_after_is_honoured(sandbox, quick):
    sandbox.fail_next({"status": 429, "headers": {"Retry-After": "1"}})
    receipt, lines, took = delivered(sandbox.url)
    assert receipt.accepted
    assert took >= 1
    assert any("Waiting 1.0 s" in line for line in lines)


def test_retry_after_beyond_the_deadline_leaves_time_for_one_last_attempt(sandbox, quick):
    sandbox.fail_next({"status": 429, "headers": {"Retry-After": "3600"}})
    receipt, _, took = delivered(sandbox.url, timeout=1)
    assert receipt.accepted
    assert took < 1


def test_it_gives_up_at_the_deadline(sandbox, quick):
    sandbox.fail_next({"status": 500, "times": 1000})
    receipt, _, took = delivered(sandbox.url, timeout=1)
    assert not receipt.accepted
    assert took < 1.5
    assert "gave up after" in receipt.said


@pytest.mark.parametrize("value", ["soon", "-5", "1e9", "Wed, 21 Oct 2015 07:28:00 GMT", "1" * 4000])
def test_a_strange_retry_after_is_no_reason_to_fail(sandbox, quick, value):
    sandbox.fail_next({"status": 429, "headers": {"Retry-After": value}})
    assert delivered(sandbox.url, timeout=1)[0].accepted


def test_a_slow_answer_is_cut_off_at_the_deadline(sandbox):
    sandbox.fail_next({"delay": 30})
    receipt, _, took = delivered(sandbox.url, timeout=0.6)
    assert took < 2.5
    assert not receipt.accepted
    assert "no answer in time" in receipt.said


@contextlib.contextmanager
def answering(sent: bytes, forever: bytes = b"", pause: float = 0.0) -> Iterator[str]:
    """A server that answers whatever it is asked with these bytes, and then with the others, again and again."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            with contextlib.suppress(OSError):
                self.wfile.write(sent)
                while forever:
                    self.wfile.write(forever)
                    self.wfile.flush()
                    time.sleep(pause)

        do_CONNECT = do_POST

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


HEAD = b"HTTP/1.1 202 Accepted\r\nContent-Length: 100000\r\n\r\n"


@pytest.mark.parametrize(("head", "accepted"), [(b"", False), (HEAD, True)])
def test_a_dripping_answer_does_not_outlast_the_deadline(head, accepted):
    with answering(head, b"X", 0.05) as url:
        receipt, _, took = delivered(url, timeout=0.6)
    assert receipt.accepted is accepted
    assert took < 2.5


def test_an_accepted_event_is_accepted_where_the_words_behind_it_break_off():
    with answering(HEAD + b"X") as url:
        assert delivered(url)[0].accepted


@pytest.mark.parametrize("before", ["100 Continue", "102 Processing", "103 Early Hints\r\nLink: </a>"])
def test_what_comes_before_the_answer_is_not_the_answer(before):
    with answering(
        f"HTTP/1.1 {before}\r\n\r\n".encode() * 2 + b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
    ) as url:
        receipt, _, _ = delivered(url)
    assert (receipt.accepted, receipt.attempts) == (True, 1)


def test_the_status_line_s_words_are_fit_for_the_log():
    with answering(b"HTTP/1.1 418 I'm\x1b[31m a \x9b1mteapot\x07\r\nContent-Length: 0\r\n\r\n") as url:
        assert delivered(url)[0].said == "418 I'm a teapot"


def test_where_no_thread_can_be_started_the_event_goes_out_all_the_same(sandbox):
    code = f"""
import threading
from tests.wire.test_delivery import EVENT, KEY, deliver
def refuse(_): raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
print(deliver(EVENT, {sandbox.url!r}, KEY, 20, lambda line: None).accepted)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_a_redirect_is_never_followed(sandbox):
    sandbox.fail_next({"status": 307, "headers": {"Location": f"{sandbox.url}/elsewhere"}})
    receipt, _, _ = delivered(sandbox.url)
    assert not receipt.accepted
    assert "redirect is never followed" in receipt.said
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("location", ["/x", "http://[", "http://\\@h/", "\x1b"])
def test_a_redirect_s_body_is_not_read_to_its_end_and_its_address_not_at_all(location):
    head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 4000000000\r\n\r\n"
    with answering(head.encode(), b"x" * 65536) as url:
        receipt, _, took = delivered(url)
    assert receipt.said.startswith("302 ")
    assert "EVENTS_URL" in receipt.advice
    assert took < 3


def test_a_certificate_that_does_not_verify_is_final(tmp_path, tls):
    with Sandbox(tls=tls) as strange:
        receipt, _, took = delivered(strange.url)
        assert strange.requests == []
    assert receipt.attempts == 1
    assert "certificate does not verify" in receipt.said
    assert "REQUESTS_CA_BUNDLE" in receipt.advice
    assert took < 5


def test_a_certificate_that_verifies_is_accepted(monkeypatch, tls):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls[0]))
    with Sandbox(tls=tls) as trusted:
        assert delivered(trusted.url.replace("127.0.0.1", "localhost"))[0].accepted


def test_an_unreachable_server_is_tried_until_the_deadline():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        receipt, lines, took = delivered(f"http://127.0.0.1:{closed.getsockname()[1]}", timeout=1)
    assert not receipt.accepted
    assert "Connection refused" in receipt.said
    assert receipt.advice
    assert took < 2
    assert receipt.attempts == len([line for line in lines if line.startswith("POST ")])


def test_a_name_that_does_not_resolve_is_said_in_one_line():
    receipt, _, _ = delivered("http://no-such-host.invalid", timeout=0.5)
    assert "no connection" in receipt.said
    assert "\n" not in receipt.said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"status": "invalid event", "message": "Event object is invalid", "errors": ["a is b", "c"]}, "400 Event object is invalid: a is b; c"),
        ("Invalid routing key", "400 Invalid routing key"),
        ("<html>\n<b>no\x1b[31m</b>", "400 <html> <b>no</b>"),
        ({"errors": None}, '400 {"errors":null}'),
        ({"message": ["odd"], "errors": ["a", {"b": 1}]}, "400 a"),
        ({"status": 400, "error": "Bad"}, '400 {"status":400,"error":"Bad"}'),
        ("400 page not found", "400 page not found"),
        ("[" * 50_000, None),
        ("[" * 9_996 + "]" * 9_996, None),
        ('{"errors": ' + "[" * 9_996 + "]" * 9_996 + "}", None),
        ("x" * 200_000, None),
        ("", "400 BAD REQUEST"),
    ],
)  # fmt: skip
def test_pagerduty_s_own_words_are_quoted_in_one_line(sandbox, body, said):
    sandbox.fail_next({"status": 400, "body": body})
    receipt, _, _ = delivered(sandbox.url)
    assert len(receipt.said) < 600
    assert said is None or receipt.said.replace(", ", ",").replace(": ", ":") == said.replace(": ", ":")


@pytest.mark.parametrize(
    ("status", "advice", "final"), [(407, "HTTPS_PROXY", True), (403, "NO_PROXY", True), (503, "NO_PROXY", False)]
)
def test_a_proxy_that_refuses_is_told_and_final_unless_it_is_its_own_trouble(monkeypatch, quick, status, advice, final):
    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            self.send_error(status)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.server_port}")
    try:
        receipt, _, took = delivered("https://events.pagerduty.com", timeout=1)
    finally:
        server.shutdown()
        server.server_close()
    assert receipt.said.startswith(f"the proxy refuses with {status}")
    assert (receipt.attempts == 1) is final
    assert advice in receipt.advice
    assert took < 5


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:9", "http://[", "http://" + "a" * 70 + ".example", "nothing", "http://*.b/"]
)
def test_an_address_or_a_proxy_that_cannot_be_used_is_final_and_told(monkeypatch, url):
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
    receipt, _, _ = delivered(url)
    assert (receipt.attempts, receipt.said) == (1, "the address, or the proxy's, cannot be used")
    assert "EVENTS_URL" in receipt.advice


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
        receipt, _, _ = delivered(running.url)
    assert receipt.attempts == 1
    assert "REQUESTS_CA_BUNDLE" in receipt.said
    assert "below the clone" in receipt.advice


@pytest.mark.parametrize("status", [200, 201, 401, 418])
def test_an_answer_that_is_not_pagerduty_s_is_told(sandbox, status):
    sandbox.fail_next({"status": status})
    assert "something other than PagerDuty" in delivered(sandbox.url)[0].advice


def test_a_long_answer_that_quotes_the_key_is_masked_before_it_is_cut(sandbox):
    sandbox.fail_next({"status": 400, "body": "x" * 476 + KEY})
    assert KEY[:8] not in delivered(sandbox.url)[0].said


def test_a_name_that_is_never_looked_up_to_the_end_does_not_outlast_the_deadline(monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: time.sleep(30))
    receipt, _, took = delivered("http://some.example", timeout=0.6)
    assert not receipt.accepted
    assert took < 2


def test_an_unknown_key_is_told_where_to_look(quick):
    with Sandbox(unknown_keys=[KEY]) as strict:
        receipt, _, _ = delivered(strict.url)
    assert receipt.said == "400 Invalid routing key"
    assert "REGION" in receipt.advice


def test_no_credentials_of_a_netrc_file_are_sent(sandbox, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert delivered(sandbox.url)[0].accepted
    assert sandbox.requests[0].headers.get("Authorization") is None


def test_what_is_refused_goes_out_once_more_in_its_smallest_form(sandbox):
    sandbox.fail_next({"status": 400, "body": {"message": "Event object is invalid", "errors": [f"'links' is {KEY}"]}})
    receipt, lines, _ = delivered(sandbox.url, event=Event())
    assert (receipt.accepted, receipt.attempts) == (True, 2)
    assert receipt.refused == "400 Event object is invalid: 'links' is …ee44"
    assert sandbox.incidents()[0]["title"] == "s (400 Event object is invalid: 'links' is …ee44)"
    assert any("smallest form" in line for line in lines)


def test_what_is_refused_in_its_smallest_form_too_is_given_up(sandbox):
    sandbox.fail_next({"status": 400, "body": "no", "times": 9})
    receipt, _, _ = delivered(sandbox.url, event=Event())
    assert (receipt.accepted, receipt.attempts, receipt.said, receipt.refused) == (False, 2, "400 no", "400 no")
    assert "fix what it names" in receipt.advice


@pytest.mark.parametrize("body", ["Invalid routing key", {"errors": ["Length of 'routing_key' is incorrect"]}])
def test_a_refused_key_is_not_tried_again(sandbox, body):
    sandbox.fail_next({"status": 400, "body": body, "times": 9})
    receipt, _, _ = delivered(sandbox.url, event=Event())
    assert (receipt.accepted, receipt.attempts) == (False, 1)
    assert "integration key" in receipt.advice


def test_a_login_in_the_address_is_neither_sent_nor_shown(sandbox):
    _, lines, _ = delivered(sandbox.url.replace("://", "://ada:hunter2@"))
    assert sandbox.requests[0].headers.get("Authorization") is None
    assert "hunter2" not in "".join(lines)


STOPPED = """
import os, signal, sys
from tests.wire.test_delivery import EVENT, KEY, deliver
from pipe.lib.interrupts import Terminated, raise_on_termination
raise_on_termination()
try:
    print("ready", flush=True)
    deliver(EVENT, sys.argv[1], KEY, 60, lambda line: None)
except Terminated as stop:
    for line in range(2000):
        print("event", line)
    sys.exit(stop.status)
"""


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGTERM, signal.SIGINT] * 3], ids=len)
def test_a_signal_at_any_moment_and_however_often_lets_what_follows_be_printed_whole(sandbox, signals):
    sandbox.fail_next({"delay": 30})
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, sandbox.url],
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
