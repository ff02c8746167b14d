"""Delivery: every answer there is, a deadline that holds, and no secret in what is said."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
import time

import pytest

from pipe import delivery
from pipe.delivery import deliver
from pipe.event import Event
from tests.conftest import KEY

EVENT = Event("/v2/enqueue", {"event_action": "trigger", "dedup_key": "k",
                              "payload": {"summary": "s", "source": "x", "severity": "error"}})  # fmt: skip


@pytest.fixture
def quick(monkeypatch):
    """Back-off without the waiting."""
    monkeypatch.setattr(delivery, "LONGEST_WAIT", 0.02)


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
    receipt, _, took = delivered(sandbox.url, timeout=2)
    assert receipt.accepted
    assert took < 2


def test_it_gives_up_at_the_deadline(sandbox, quick):
    sandbox.fail_next({"status": 500, "times": 1000})
    receipt, _, took = delivered(sandbox.url, timeout=1)
    assert not receipt.accepted
    assert took < 1.5
    assert "gave up after" in receipt.said


@pytest.mark.parametrize("value", ["soon", "-5", "1e9", "Wed, 21 Oct 2015 07:28:00 GMT", "1" * 4000])
def test_a_strange_retry_after_is_no_reason_to_fail(sandbox, quick, value):
    sandbox.fail_next({"status": 429, "headers": {"Retry-After": value}})
    assert delivered(sandbox.url, timeout=3)[0].accepted


def test_a_slow_answer_is_cut_off_at_the_deadline(sandbox):
    sandbox.fail_next({"delay": 30})
    receipt, _, took = delivered(sandbox.url, timeout=1)
    assert took < 2.5
    assert not receipt.accepted
    assert "no answer in time" in receipt.said


class Dripping(http.server.BaseHTTPRequestHandler):
    """Answers a byte at a time, for ever: no single read takes long."""

    status_first = False

    def do_POST(self) -> None:
        if self.status_first:
            self.wfile.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100000\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(1000):
                self.wfile.write(b"X")
                self.wfile.flush()
                time.sleep(0.05)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("status_first", "accepted"), [(False, False), (True, True)])
def test_a_dripping_answer_does_not_outlast_the_deadline(status_first, accepted):
    handler = type("Handler", (Dripping,), {"status_first": status_first})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        receipt, _, took = delivered(f"http://127.0.0.1:{server.server_port}", timeout=1)
    finally:
        server.shutdown()
        server.server_close()
    assert receipt.accepted is accepted
    assert took < 2.5


def test_a_redirect_is_never_followed(sandbox):
    sandbox.fail_next({"status": 307, "headers": {"Location": f"{sandbox.url}/elsewhere"}})
    receipt, _, _ = delivered(sandbox.url)
    assert not receipt.accepted
    assert "redirect is never followed" in receipt.said
    assert len(sandbox.requests) == 1


def test_a_redirect_s_body_is_not_read_to_its_end():
    class Endless(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.wfile.write(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 4000000000\r\n\r\n")
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"x" * 65536)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        receipt, _, took = delivered(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
    assert receipt.said.startswith("302 ")
    assert took < 3


def test_a_certificate_that_does_not_verify_is_final(tmp_path, tls):
    from sandbox import Sandbox

    with Sandbox(tls=tls) as strange:
        receipt, _, took = delivered(strange.url)
        assert strange.requests == []
    assert receipt.attempts == 1
    assert "certificate does not verify" in receipt.said
    assert "REQUESTS_CA_BUNDLE" in receipt.advice
    assert took < 5


def test_a_certificate_that_verifies_is_accepted(monkeypatch, tls):
    from sandbox import Sandbox

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
        ("<html>\n<b>no\x1b[31m</b>", "400 <html> <b>no [31m</b>"),
        ({"errors": None}, "400"),
        ({"message": ["odd"], "errors": {"a": 1}}, "400 ['odd']: {'a': 1}"),
        ("[" * 50_000, None),
        ("x" * 200_000, None),
        ("", "400 BAD REQUEST"),
    ],
)  # fmt: skip
def test_pagerduty_s_own_words_are_quoted_in_one_line(sandbox, body, said):
    sandbox.fail_next({"status": 400, "body": body})
    receipt, _, _ = delivered(sandbox.url)
    assert len(receipt.said) < 600
    assert said is None or receipt.said == said or receipt.said == f"{said} BAD REQUEST"


def test_a_proxy_that_wants_a_login_is_final_and_told(monkeypatch):
    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            self.send_error(407)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.server_port}")
    try:
        receipt, _, took = delivered("https://events.pagerduty.com")
    finally:
        server.shutdown()
        server.server_close()
    assert (receipt.attempts, receipt.said) == (1, "the proxy refuses with 407")
    assert "HTTPS_PROXY" in receipt.advice
    assert took < 5


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("REQUESTS_CA_BUNDLE", "/not/in/the/container.pem", "REQUESTS_CA_BUNDLE"),
        ("HTTPS_PROXY", "socks5://127.0.0.1:1", "cannot be used"),
    ],
)
def test_what_cannot_work_is_final_and_told(monkeypatch, name, value, says):
    monkeypatch.setenv(name, value)
    receipt, _, _ = delivered("https://127.0.0.1:9")
    assert receipt.attempts == 1
    assert says in receipt.said


@pytest.mark.parametrize("status", [200, 201, 401, 418])
def test_an_answer_that_is_not_pagerduty_s_is_told(sandbox, status):
    sandbox.fail_next({"status": status})
    assert "something other than PagerDuty" in delivered(sandbox.url)[0].advice


def test_a_long_answer_that_quotes_the_key_is_masked_before_it_is_cut(sandbox):
    sandbox.fail_next({"status": 400, "body": "x" * 476 + KEY})
    assert KEY[:8] not in delivered(sandbox.url)[0].said


def test_a_name_that_is_never_looked_up_to_the_end_does_not_outlast_the_deadline(monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: time.sleep(30))
    receipt, _, took = delivered("http://some.example", timeout=1)
    assert not receipt.accepted
    assert took < 2


def test_an_unknown_key_is_told_where_to_look(quick):
    from sandbox import Sandbox

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
