"""Delivery without a network: what each answer is taken for, what is said of it, and when the next attempt starts."""

from __future__ import annotations

import json
import signal
import threading
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest

from pipe import VERSION, delivery
from pipe.delivery import Receipt, deliver
from pipe.lib import http
from pipe.lib.http import Answer, NoAnswer
from tests.conftest import KEY

URL = "https://events.example"
POST = f"POST {URL}/v2/enqueue, attempt"
OUT_OF_TIME = "PagerDuty could not be reached in time: check the network, the proxy and EVENTS_URL."
NOT_PAGERDUTY = "Only 202 counts: something other than PagerDuty may have answered. Check EVENTS_URL and the proxy."
FIX_IT = "PagerDuty will refuse this event every time: fix what it names."
CHECK_KEY = (
    'Check that the key is the integration key of an "Events API v2" integration, and that REGION is the account\'s: '
    "eu if its address has .eu. in it, else us."
)
TOO_MANY = 'PagerDuty takes about 120 events a minute for one key: send fewer, take a second key, or TIMEOUT: "300".'
FINAL_ADDRESS = "Give the final address as EVENTS_URL."


@dataclass(frozen=True)
class Event:
    """As much of an event as a delivery needs; `smaller` tells whether it has a smallest form."""

    body: str = "whole"
    smaller: bool = False
    path: str = "/v2/enqueue"

    def encoded(self, routing_key: str) -> bytes:
        return f"{self.body} {routing_key}".encode()

    def smallest(self, refusal: str) -> Event | None:
        return replace(self, body=f"smallest ({refusal})", smaller=False) if self.smaller else None


@dataclass
class Network:
    """Answers in turn, the last one again and again, on a clock that only moves while somebody waits."""

    answers: list[object] = field(default_factory=list)
    seconds: float = 0.0  # that an attempt takes
    now: float = 1000.0
    calls: list[dict] = field(default_factory=list)
    started: list[float] = field(default_factory=list)  # seconds after the beginning

    def attempt(self, method: str, url: str, **more):
        self.calls.append({"method": method, "url": url, **more})
        self.started.append(self.now - 1000)
        self.now += self.seconds
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer()
        if isinstance(answer, NoAnswer):
            raise answer
        yield answer._replace(body=b"")
        if answer.body == b"breaks off":
            raise NoAnswer("broken", "", temporary=True)
        yield answer

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def network(monkeypatch) -> Network:
    found = Network()
    monkeypatch.setattr(http, "attempt", found.attempt)
    monkeypatch.setattr(http.random, "uniform", lambda _, longest: longest)
    monkeypatch.setattr(delivery, "time", SimpleNamespace(monotonic=lambda: found.now, sleep=found.sleep))
    return found


def answer(status: int, body: object = "ok", reason: str = "Why", **headers: str) -> Answer:
    text = body if isinstance(body, (str, bytes)) else json.dumps(body)
    return Answer(status, reason, {name.replace("_", "-"): value for name, value in headers.items()},
                  text if isinstance(text, bytes) else text.encode())  # fmt: skip


def delivered(network: Network, *answers: object, timeout: float = 20, event: Event | None = None, url: str = URL):
    network.answers, lines = list(answers), []
    receipt = deliver(event or Event(), url, KEY, timeout, lines.append)
    return receipt, lines


def test_what_is_sent_where_and_with_which_limits(network):
    receipt, lines = delivered(network, answer(202, {"status": "success", "message": "Event processed"}))
    assert receipt == Receipt(True, "202 Event processed", attempts=1)
    assert lines == [f"{POST} 1: 202 Event processed"]
    assert network.calls == [
        {
            "method": "POST",
            "url": f"{URL}/v2/enqueue",
            "body": f"whole {KEY}".encode(),
            "headers": {"Content-Type": "application/json", "User-Agent": f"pagerduty-events/{VERSION}"},
            "timeout": (5.0, 20.0),
            "size": 65536,
            "address": "EVENTS_URL",
        }
    ]


@pytest.mark.parametrize(
    ("timeout", "limits"),
    [(120, (5.0, 20.0)), (25, (5.0, 20.0)), (10, (5.0, 10.0)), (3, (3.0, 3.0)), (0.05, (0.1, 0.1))],
)
def test_an_attempt_has_what_is_left_and_at_most_5_s_to_connect_and_20_s_to_read(network, timeout, limits):
    delivered(network, answer(202), timeout=timeout)
    assert network.calls[0]["timeout"] == pytest.approx(limits)


@pytest.mark.parametrize(
    ("given", "said", "advice"),
    [
        (answer(200), "200 ok", NOT_PAGERDUTY),
        (answer(201), "201 ok", NOT_PAGERDUTY),
        (answer(299), "299 ok", NOT_PAGERDUTY),
        (answer(300), "300 ok; a redirect is never followed", FINAL_ADDRESS),
        (answer(399), "399 ok; a redirect is never followed", FINAL_ADDRESS),
        (answer(400), "400 ok", FIX_IT),
        (answer(400, "Invalid Routing Key"), "400 Invalid Routing Key", CHECK_KEY),
        (answer(400, {"errors": ["Length of 'routing_key' is incorrect"]}), "400 Length of 'routing_key' is incorrect", CHECK_KEY),
        (answer(401), "401 ok", NOT_PAGERDUTY),
        (answer(401, "routing"), "401 routing", NOT_PAGERDUTY),
        (answer(403), "403 ok", "Something between here and PagerDuty refuses the call: check the proxy, the firewall and EVENTS_URL."),
        (answer(404), "404 ok", "There is no Events API at this address: check EVENTS_URL and REGION."),
        (answer(407), "407 ok", "The proxy wants a login: put user and password into HTTPS_PROXY."),
        (answer(413), "413 ok", "The event is too large for whoever answered: give less in CUSTOM_DETAILS and LINKS."),
        (answer(418), "418 ok", NOT_PAGERDUTY),
        (answer(600), "600 ok", NOT_PAGERDUTY),
        (NoAnswer("the certificate does not verify", "Map it."), "the certificate does not verify", "Map it."),
    ],
)  # fmt: skip
def test_what_is_final_is_said_once_with_what_to_do(network, given, said, advice):
    receipt, lines = delivered(network, given)
    assert receipt == Receipt(False, said, advice, 1)
    assert lines == [f"{POST} 1: {said}"]


@pytest.mark.parametrize(
    ("given", "said", "advice"),
    [
        (answer(408), "408 ok", OUT_OF_TIME),
        (answer(500), "500 ok", OUT_OF_TIME),
        (answer(599), "599 ok", OUT_OF_TIME),
        (NoAnswer("no connection (refused)", "Check the net.", temporary=True), "no connection (refused)", "Check the net."),
    ],
)  # fmt: skip
def test_what_is_temporary_is_tried_again_until_the_time_is_over(network, given, said, advice):
    receipt, lines = delivered(network, given)
    assert receipt == Receipt(False, f"{said}; gave up after 18 s (TIMEOUT: 20)", advice, 6)
    assert network.started == pytest.approx([0, 1, 3, 7, 15, 18])
    assert lines == [
        f"{POST} 1: {said}", "Waiting 1.0 s before the next attempt, of 20 s left.",
        f"{POST} 2: {said}", "Waiting 2.0 s before the next attempt, of 19 s left.",
        f"{POST} 3: {said}", "Waiting 4.0 s before the next attempt, of 17 s left.",
        f"{POST} 4: {said}", "Waiting 8.0 s before the next attempt, of 13 s left.",
        f"{POST} 5: {said}", "Waiting 3.0 s before the next attempt, of 5 s left.",
        f"{POST} 6: {said}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("timeout", "started"), [(20, [0, 1, 5, 18]), (120, [0, 1, 5, 21, 85, 118]), (600, [0, 1, 5, 21, 85, 341, 598])]
)
def test_a_throttled_call_waits_longer_each_time_so_that_others_get_through(network, timeout, started):
    receipt, _ = delivered(network, answer(429), timeout=timeout)
    assert receipt == Receipt(
        False, f"429 ok; gave up after {started[-1]} s (TIMEOUT: {timeout})", TOO_MANY, len(started)
    )
    assert network.started == pytest.approx(started)


@pytest.mark.parametrize(
    ("timeout", "seconds", "started", "took"),
    [
        (4, 0, [0, 1, 3], 3),  # a quarter is kept for the last attempt, at most 2 s
        (100, 0, [0, 1, 3, 7, 15, 31, 61, 91, 98], 98),  # 30 s at most between two
        (20, 6, [0, 7, 15], 21),
        (1.5, 1, [0, 1.125], 2),
    ],
)
def test_when_the_attempts_start(network, timeout, seconds, started, took):
    network.seconds = seconds
    receipt, _ = delivered(network, answer(500), timeout=timeout)
    assert network.started == pytest.approx(started)
    assert receipt.said == f"500 ok; gave up after {took} s (TIMEOUT: {timeout})"


@pytest.mark.parametrize(
    ("said", "started"),
    [
        ("3", [0, 3]), ("0", [0, 1]), ("3600", [0, 18]), ("1" * 4000, [0, 18]),
        ("soon", [0, 1]), ("-5", [0, 1]), ("1e9", [0, 1]), ("Wed, 21 Oct 2015 07:28:00 GMT", [0, 1]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for_as_far_as_the_time_goes(network, status, said, started):
    receipt, _ = delivered(network, answer(status, Retry_After=said), answer(202))
    assert receipt == Receipt(True, "202 ok", attempts=2)
    assert network.started == pytest.approx(started)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (answer(418, {"status": "invalid event", "message": "It is invalid", "errors": ["a is b", "c"]}), "418 It is invalid: a is b; c"),
        (answer(418, {"status": "invalid event", "errors": ["a"]}), "418 invalid event: a"),
        (answer(418, {"message": "no errors"}), "418 no errors"),
        (answer(418, {"message": ["odd"], "status": "s", "errors": "odd"}), "418 s"),
        (answer(418, {"message": ["odd"], "errors": ["a", {"b": 1}, "c"]}), "418 a; c"),
        (answer(418, {"errors": None}), '418 {"errors": null}'),
        (answer(418, {"message": ""}), '418 {"message": ""}'),
        (answer(418, ["message"]), '418 ["message"]'),
        (answer(418, "[" * 100_000), f"418 {'[' * 499}…"),
        (answer(418, "[" * 9_996 + "]" * 9_996), f"418 {'[' * 499}…"),
        (answer(418, "x" * 500), f"418 {'x' * 500}"),
        (answer(418, "x" * 501), f"418 {'x' * 499}…"),
        (answer(418, "x" * 70_000), f"418 {'x' * 499}…"),
        (answer(418, "<b>\n no\x1b[31m</b>"), "418 <b> no</b>"),
        (answer(418, b"\xff caf\xc3\xa9"), "418 \ufffd café"),
        (answer(418, "418 page not found"), "418 page not found"),
        (answer(418, "", "I'm a teapot"), "418 I'm a teapot"),
        (answer(418, " \n", "I'm a teapot"), "418 I'm a teapot"),
        (answer(418, "", ""), "418"),
        (answer(418, f"key {KEY}"), "418 key …ee44"),
        (answer(418, f"{'x' * 490}{KEY}{'y' * 99}"), f"418 {'x' * 490}…ee44{'y' * 4}…"),
        (answer(418, KEY[:9] + "\x1b[1m" + KEY[9:]), "418 …ee44"),
    ],
)  # fmt: skip
def test_the_words_of_an_answer_are_quoted_on_one_line(network, given, said):
    assert delivered(network, given)[0].said == said


def test_an_answer_counts_where_the_words_behind_its_head_break_off(network):
    receipt, _ = delivered(network, answer(202, "breaks off", "Accepted"))
    assert receipt == Receipt(True, "202 Accepted", attempts=1)


def test_an_answer_that_does_not_come_is_not_waited_for(network):
    late = threading.Event()
    receipt, _ = delivered(network, lambda: late.wait(30) and answer(202), timeout=0.1)
    late.set()
    assert receipt == Receipt(False, "no answer in time; gave up after 0 s (TIMEOUT: 0.1)", OUT_OF_TIME, 2)


def test_what_is_refused_goes_out_once_more_in_its_smallest_form(network):
    event = Event(smaller=True)
    receipt, lines = delivered(network, answer(400, f"bad {KEY}"), answer(500), answer(202), event=event)
    assert receipt == Receipt(True, "202 ok", attempts=3, refused="400 bad …ee44")
    assert [call["body"].decode() for call in network.calls] == [
        f"whole {KEY}", f"smallest (400 bad …ee44) {KEY}", f"smallest (400 bad …ee44) {KEY}",
    ]  # fmt: skip
    assert lines == [
        f"{POST} 1: 400 bad …ee44", "Sending it again in its smallest form.",
        f"{POST} 2: 500 ok", "Waiting 2.0 s before the next attempt, of 20 s left.", f"{POST} 3: 202 ok",
    ]  # fmt: skip


def test_what_is_refused_in_its_smallest_form_too_is_given_up(network):
    receipt, _ = delivered(network, answer(400, "bad"), event=Event(smaller=True))
    assert receipt == Receipt(False, "400 bad", FIX_IT, 2, "400 bad")
    receipt, _ = delivered(network, answer(400, "bad"), answer(500), timeout=1, event=Event(smaller=True))
    assert receipt == Receipt(False, "500 ok; gave up after 1 s (TIMEOUT: 1)", OUT_OF_TIME, 3, "400 bad")


@pytest.mark.parametrize("given", [answer(400, "Invalid routing key"), answer(404), answer(413), answer(500)])
def test_only_what_is_refused_for_what_is_in_it_has_a_second_form(network, given):
    delivered(network, given, answer(202), event=Event(smaller=True))
    assert {call["body"] for call in network.calls} == {f"whole {KEY}".encode()}


@pytest.mark.parametrize(
    "says", ["'links[0].href' is invalid: https://routing.example/", f'you sent {{"routing_key":"{KEY}"}}']
)
def test_a_refusal_that_quotes_what_was_sent_is_not_about_the_key(network, says):
    receipt, _ = delivered(network, answer(400, says), answer(202), event=Event(smaller=True))
    assert (receipt.accepted, receipt.attempts) == (True, 2)


def test_a_login_in_the_address_is_not_logged(network):
    _, lines = delivered(network, answer(202), url="https://ada:hunter2@events.example")
    assert lines == ["POST https://****@events.example/v2/enqueue, attempt 1: 202 ok"]


def test_an_attempt_is_made_aside_where_no_signal_is_delivered(network):
    seen = []

    def look() -> Answer:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        seen.append((threading.current_thread().daemon, {signal.SIGTERM, signal.SIGINT} <= blocked))
        return answer(202)

    delivered(network, look)
    assert seen == [(True, True)]


def test_where_no_thread_can_be_started_the_attempt_is_made_all_the_same(network, monkeypatch):
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert delivered(network, answer(202))[0] == Receipt(True, "202 ok", attempts=1)
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
