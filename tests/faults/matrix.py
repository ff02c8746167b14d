"""The faults, a row each, and what must come of them: by the design's section on delivery and by what PagerDuty documents
of its answers, never by what was seen."""

from __future__ import annotations

import base64
import gzip
import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate

from tests.faults import servers
from tests.faults.servers import (
    BUSY,
    OK,
    Behaviour,
    Call,
    accepts,
    answers,
    closes,
    dripping,
    in_turn,
    refuses,
    reply,
    saying,
    saying_then_reset,
    tunnels,
)

DELIVERED = "delivered"  # at the first attempt
PRINTED = "printed"  # after one attempt, for good
RETRIED = "retried, delivered"
GIVEN_UP = "retried, printed"  # when TIMEOUT was over
SMALLEST = "smallest form, delivered"
REFUSED = "smallest form, printed"

SEVERAL = -1  # attempts: how many is up to chance, but more than one

PROXY_LOGIN = base64.b64encode(b"ada:a-password-of-hers").decode()


@dataclass(frozen=True)
class Row:
    """One fault. Addresses hold the ports of the row's servers by name: `{target}`, `{other}`, `{proxy}`, and `{closed}`
    and `{full}`, where nobody listens and nobody accepts."""

    group: str
    name: str
    expected: str
    target: Behaviour = accepts
    url: str = "http://127.0.0.1:{target}"
    timeout: int = 60  # TIMEOUT, seconds
    attempts: int = 0  # that are logged; 0: as many as what is expected takes
    reached: int | None = None  # connections to the target; None: as many as attempts
    waits: float = 0.0  # seconds between the first and the last attempt, at least
    environ: Mapping[str, str] = field(default_factory=dict)
    tls: str = ""  # the target's certificate
    trusts: str = ""  # the one that REQUESTS_CA_BUNDLE names
    other: Behaviour | None = None
    proxy: Behaviour | None = None
    proxy_reads_tls: bool = False
    names: Mapping[str, list[str]] = field(default_factory=dict)
    hole: bool = False  # where the target listens, [::1] has a port that nobody accepts from
    says: str = ""  # stands in the log, beside what must stand there anyway
    quick: bool = False  # also a test

    @property
    def expected_attempts(self) -> int:
        return self.attempts or {RETRIED: 2, GIVEN_UP: SEVERAL, SMALLEST: 2, REFUSED: 2}.get(self.expected, 1)

    @property
    def expected_reached(self) -> int:
        return self.expected_attempts if self.reached is None else self.reached


def _bomb() -> bytes:
    """2 GB of zeros, in 2 MB."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, mtime=0) as file:
        for _ in range(2):
            file.write(bytes(1 << 20))
    piece = packed.getvalue()
    return piece * 1024  # members behind each other are one file


def _bombing(status: int) -> Behaviour:
    return lambda call: answers(reply(status, _bomb(), Content_Encoding="gzip"))(call)


def _large(status: int, **headers: str) -> Behaviour:
    head = reply(status, Content_Length=str(1 << 30), **headers)
    return saying(head, b"x" * 65536, times=1 << 14)


def _refusing(says: bytes, unless: str) -> Behaviour:
    """Refuses with 400 as long as the event has this field, as PagerDuty does with a link it does not take."""

    def behave(call: Call) -> None:
        call.send(says if unless in json.loads(call.request()) else OK)

    return behave


def _quoting(says: bytes) -> Behaviour:
    """Says this, with the key that came in the place of every %s."""

    def behave(call: Call) -> None:
        key = json.loads(call.request())["routing_key"]
        call.send(says.replace(b"%s", key.encode()))

    return behave


def _redirecting(status: int, location: str) -> Behaviour:
    def behave(call: Call) -> None:
        call.request()
        call.send(reply(status, "over there", Location=location.format_map(call.ports)))

    return behave


def _throttling_until(seconds: float) -> Behaviour:
    def behave(call: Call) -> None:
        call.request()
        call.send(reply(429, Retry_After=formatdate(time.time() + seconds, usegmt=True)))

    return behave


HTTPS = "https://localhost:{target}"
TRUSTED = {"url": HTTPS, "tls": "good", "trusts": "good"}
BROKEN_CHUNKS = b"HTTP/1.1 %s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nno length\r\n"
CUT_OFF = b"HTTP/1.1 %s\r\nContent-Length: 1000\r\n\r\n{"
INTERIM = b"HTTP/1.1 %s\r\n\r\n"
ELSEWHERE = "http://localhost:{other}/v2/enqueue"
VIA_PROXY = {"HTTPS_PROXY": "http://127.0.0.1:{proxy}"}
WITH_LOGIN = {"HTTPS_PROXY": "http://ada:a-password-of-hers@127.0.0.1:{proxy}"}
BOTH = {"both.example": ["::1", "127.0.0.1"]}
BAD_LINK = {"status": "invalid event", "message": "Event object is invalid", "errors": ["'links[0].href' is invalid"]}
BAD_KEY = {"status": "invalid event", "message": "Event object is invalid",
           "errors": ["Length of 'routing_key' is incorrect (should be 32 characters)"]}  # fmt: skip
LARGE = {"CUSTOM_DETAILS": json.dumps({"text": "x" * 120_000})}

CONNECTION = [
    Row("connection", "the name does not resolve", GIVEN_UP, url="http://no-such-host.invalid", timeout=3, reached=0,
        says="Check the network, the proxy and EVENTS_URL."),
    Row("connection", "the name is looked up for ever", PRINTED, url="http://looked-up.example", timeout=3, reached=0,
        names={"looked-up.example": []}),
    Row("connection", "refused", GIVEN_UP, url="http://127.0.0.1:{closed}", timeout=3, reached=0,
        says="no connection (Connection refused)", quick=True),
    Row("connection", "no answer to connecting, for 5 s an attempt", GIVEN_UP, url="http://127.0.0.1:{full}", timeout=14,
        reached=0),
    Row("connection", "dead IPv6 (refused) beside living IPv4", DELIVERED, url="http://both.example:{target}", names=BOTH,
        quick=True),
    Row("connection", "dead IPv6 (no answer) beside living IPv4", DELIVERED, url="http://both.example:{target}", names=BOTH,
        hole=True),
    Row("connection", "reset before the request", GIVEN_UP, servers.resets_before, timeout=3),
    Row("connection", "reset before the request, once", RETRIED, in_turn(servers.resets_before, accepts), quick=True),
    Row("connection", "reset in the request", GIVEN_UP, servers.resets_within, timeout=3),
    Row("connection", "reset in the request, a large one, once", RETRIED, in_turn(servers.resets_within, accepts),
        environ=LARGE),
    Row("connection", "reset after the request", GIVEN_UP, servers.resets_after, timeout=3),
    Row("connection", "reset after the request, once", RETRIED, in_turn(servers.resets_after, accepts)),
    Row("connection", "closed without an answer", GIVEN_UP, closes, timeout=3,
        says="the connection was closed without an answer; gave up"),
    Row("connection", "closed without an answer, once", RETRIED, in_turn(closes, accepts)),
]  # fmt: skip

TLS = [
    Row("TLS", "a certificate that verifies", DELIVERED, **TRUSTED, quick=True),
    Row("TLS", "self-signed", PRINTED, url=HTTPS, tls="self-signed", says="map REQUESTS_CA_BUNDLE", quick=True),
    Row("TLS", "expired", PRINTED, url=HTTPS, tls="expired", trusts="expired", says="certificate has expired. A proxy"),
    Row("TLS", "for another host", PRINTED, url=HTTPS, tls="wrong host", trusts="wrong host",
        says="is not valid for 'localhost'. A proxy"),
    Row("TLS", "handshake dropped", GIVEN_UP, servers.drops_handshake, url=HTTPS, timeout=3),
    Row("TLS", "handshake reset", GIVEN_UP, servers.resets_within, url=HTTPS, timeout=3),
    Row("TLS", "handshake never answered, for 5 s an attempt", GIVEN_UP, servers.silent, url=HTTPS, timeout=14),
    Row("TLS", "plain HTTP in its place", GIVEN_UP, servers.speaks_plainly, url=HTTPS, timeout=3),
]  # fmt: skip

ANSWER = [
    Row("answer", "none, until TIMEOUT is over", PRINTED, servers.silent, timeout=3),
    Row("answer", "none for 20 s, once", RETRIED, in_turn(servers.silent, accepts), waits=20),
    Row("answer", "none, and the request is not read", PRINTED, servers.deaf, timeout=3),
    Row("answer", "its head a byte a second", PRINTED, dripping(OK), timeout=4),
    Row("answer", "202, its body a byte a second", DELIVERED, saying(reply(202, Content_Length="1000"), b"x", pause=1),
        timeout=4),
    Row("answer", "503, its body a byte a second, until TIMEOUT is over", PRINTED,
        saying(reply(503, Content_Length="1000"), b"x", pause=1), timeout=4),
    Row("answer", "a head that breaks off before its status, once", RETRIED, answers(b"HTTP/1.1 2", OK)),
    Row("answer", "a head that breaks off behind its 202", DELIVERED, answers(b"HTTP/1.1 202 Accepted\r\nContent-Ty")),
    Row("answer", "202, and a broken header that quotes the key", DELIVERED, _quoting(b"HTTP/1.1 202 Accepted\r\n%s\r\n\r\n"),
        quick=True),
    Row("answer", "a status line that quotes the key, once", RETRIED,
        in_turn(_quoting(b"HTTP/1.1 %s\r\n\r\n"), accepts)),
    Row("answer", "503 whose words, headers and body quote the key", GIVEN_UP,
        _quoting(b"HTTP/1.1 503 %s\r\nX-%s: %s\r\nLocation: %s\r\nSet-Cookie: %s=%s\r\n\r\n%s"), timeout=3,
        environ={"DEBUG": "true"}),
    Row("answer", "a head that is reset before its status, once", RETRIED, in_turn(saying_then_reset(b"HTTP/1.1 20"), accepts)),
    Row("answer", "202, its body reset", DELIVERED, saying_then_reset(CUT_OFF % b"202 Accepted")),
    Row("answer", "202, its body cut off", DELIVERED, answers(CUT_OFF % b"202 Accepted"), quick=True),
    Row("answer", "503, its body cut off, once", RETRIED, answers(CUT_OFF % b"503 Busy", OK)),
    Row("answer", "202, an endless body", DELIVERED, saying(b"HTTP/1.1 202 Accepted\r\n\r\n", b"x" * 65536)),
    Row("answer", "503, an endless body, once", RETRIED,
        in_turn(saying(b"HTTP/1.1 503 Busy\r\n\r\n", b"x" * 65536), accepts)),
    Row("answer", "202, a body of 1 GB", DELIVERED, _large(202)),
    Row("answer", "400, a body of 1 GB", SMALLEST, in_turn(_large(400), accepts)),
    Row("answer", "202, 2 GB out of a gzip bomb", DELIVERED, _bombing(202)),
    Row("answer", "503, 2 GB out of a gzip bomb, once", RETRIED, in_turn(_bombing(503), accepts)),
    Row("answer", "202, broken chunks", DELIVERED, answers(BROKEN_CHUNKS % b"202 Accepted")),
    Row("answer", "503, broken chunks, once", RETRIED, answers(BROKEN_CHUNKS % b"503 Busy", OK)),
    Row("answer", "400, broken chunks", SMALLEST, answers(BROKEN_CHUNKS % b"400 Bad Request", OK)),
    Row("answer", "an endless line for a head, once", RETRIED,
        in_turn(saying(b"HTTP/1.1 202 ", b"x" * 65536), accepts), says="what answers does not speak HTTP"),
    Row("answer", "endless headers, once", RETRIED,
        in_turn(saying(b"HTTP/1.1 503 Busy\r\n", b"X-More: and more\r\n" * 1000), accepts)),
    Row("answer", "interim answers, then 202", DELIVERED,
        answers(INTERIM % b"100 Continue" + INTERIM % b"102 Processing" + INTERIM % b"103 Early Hints" + OK), quick=True),
    Row("answer", "endless interim answers, until TIMEOUT is over", PRINTED,
        saying(b"", INTERIM % b"103 Early Hints" * 1000), timeout=4),
    Row("answer", "not HTTP, once", RETRIED, answers(b"SSH-2.0-OpenSSH_9.6\r\n", OK),
        says="what answers does not speak HTTP"),
    Row("answer", "a status line with escape sequences", PRINTED, says="418 I'm a teapot. Only 202 counts",
        target=answers(b"HTTP/1.1 418 I'm\x1b[31m a \x9b1mteapot\x07\r\nContent-Length: 0\r\n\r\n", OK), quick=True),
    Row("answer", "HTTP/1.0", DELIVERED, answers(b"HTTP/1.0 202 Accepted\r\n\r\n")),
    Row("answer", "no words behind the status", DELIVERED, answers(b"HTTP/1.1 202\r\n\r\n")),
]  # fmt: skip

BODIES = [
    Row("202", "empty", DELIVERED, answers(reply(202))),
    Row("202", "not JSON", DELIVERED, answers(reply(202, "<html><h1>Thank you</h1></html>"))),
    Row("202", "JSON of something else", DELIVERED, answers(reply(202, '[{"status":"invalid event"}, 1, null]'))),
    Row("202", "JSON that says it was refused", DELIVERED, answers(reply(202, json.dumps(BAD_KEY)))),
    Row("400", "JSON", REFUSED, answers(reply(400, json.dumps(BAD_LINK))), quick=True),
    Row("400", "plain text", REFUSED, answers(reply(400, "no such thing"))),
    Row("400", "HTML", REFUSED, answers(reply(400, "<html>\n<h1>Bad Request</h1>\n<hr>nginx</html>"))),
    Row("400", "broken UTF-8 and escape sequences", REFUSED, answers(reply(400, b"\xff\xfe\x1b[31mno\x07 caf\xc3"))),
    Row("400", "empty", REFUSED, answers(reply(400)), says="400 Bad Request. PagerDuty will refuse"),
    Row("400", "nested 100 000 deep", REFUSED, answers(reply(400, "[" * 100_000))),
    Row("400", "names a link", SMALLEST, _refusing(reply(400, json.dumps(BAD_LINK)), "links"), quick=True),
    Row("400", "names a link, then 503, then 202", SMALLEST, answers(reply(400, json.dumps(BAD_LINK)), BUSY, OK),
        attempts=3),
    Row("400", "the key, plain text", PRINTED, answers(reply(400, "Invalid routing key")),
        says="and that REGION is the account's", quick=True),
    Row("400", "the key, JSON", PRINTED, answers(reply(400, json.dumps(BAD_KEY)))),
    Row("400", "quotes the key", REFUSED, lambda call: call.send(reply(400, b"you sent " + call.request()))),
]  # fmt: skip

REDIRECT = [
    *(
        Row("redirect", f"{status} to another host", PRINTED, _redirecting(status, ELSEWHERE), other=accepts,
            quick=status == 307)
        for status in (301, 302, 303, 307, 308)
    ),
    Row("redirect", "307 to the same host", PRINTED, _redirecting(307, "http://127.0.0.1:{target}/v2/enqueue"),
        says="Give the final address as EVENTS_URL."),
    Row("redirect", "307 from https to http", PRINTED, _redirecting(307, ELSEWHERE), other=accepts, **TRUSTED),
    Row("redirect", "308 to no address", PRINTED, _redirecting(308, "http://[")),
    Row("redirect", "302, a body of 1 GB", PRINTED, _large(302, Location="/elsewhere"), quick=True),
]  # fmt: skip

LATER = [
    Row("429", "Retry-After: none", RETRIED, answers(reply(429), OK), quick=True),
    Row("429", "Retry-After: 0", RETRIED, answers(reply(429, Retry_After="0"), OK)),
    Row("429", "Retry-After: 5", RETRIED, answers(reply(429, Retry_After="5"), OK), waits=5,
        says="Waiting 5.0 s before the next attempt"),
    Row("429", "Retry-After: 86400", RETRIED, answers(reply(429, Retry_After="86400"), OK), timeout=8, waits=5),
    Row("429", "Retry-After: 86400, and no end", GIVEN_UP, answers(reply(429, Retry_After="86400")), timeout=4, attempts=2),
    Row("429", "Retry-After: a date in 6 s", RETRIED, in_turn(_throttling_until(6), accepts), waits=4),
    Row("429", "Retry-After: a date that is past", RETRIED, in_turn(_throttling_until(-86400), accepts)),
    Row("429", "Retry-After: garbage", RETRIED, answers(reply(429, Retry_After="soon; -1e9"), OK)),
    Row("429", "Retry-After: 4 000 digits", RETRIED, answers(reply(429, Retry_After="9" * 4000), OK), timeout=4, waits=2),
    Row("5xx", "500 until TIMEOUT is over", GIVEN_UP, answers(reply(500)), timeout=4),
    Row("5xx", "503, Retry-After: 3", RETRIED, answers(reply(503, Retry_After="3"), OK), waits=3),
    Row("5xx", "five failures, then 202", RETRIED, answers(*[BUSY] * 5, OK), attempts=6),
    Row("5xx", "failures of five kinds, then 202", RETRIED, attempts=6,
        target=in_turn(servers.resets_before, closes, answers(BUSY), answers(reply(429)), answers(b"?\r\n"), accepts)),
]  # fmt: skip

PROXY = [
    Row("proxy", "works", DELIVERED, proxy=tunnels(), environ=VIA_PROXY, **TRUSTED, quick=True),
    Row("proxy", "works with its login", DELIVERED, proxy=tunnels(PROXY_LOGIN), environ=WITH_LOGIN, **TRUSTED),
    Row("proxy", "asks for a login", PRINTED, proxy=tunnels(PROXY_LOGIN), environ=VIA_PROXY, reached=0,
        says="put user and password into HTTPS_PROXY", **TRUSTED),
    Row("proxy", "refuses the login", PRINTED, proxy=tunnels("b3RoZXI6bG9naW4="), environ=WITH_LOGIN, reached=0, **TRUSTED),
    Row("proxy", "refuses with 403", PRINTED, proxy=refuses(reply(403, "no")), environ=VIA_PROXY, reached=0, **TRUSTED,
        says="put the host into NO_PROXY", quick=True),
    Row("proxy", "refuses with 503", GIVEN_UP, proxy=refuses(BUSY), environ=VIA_PROXY, reached=0, timeout=3,
        says="the proxy refuses with 503; gave up", **TRUSTED),
    Row("proxy", "refuses with 503, once", RETRIED, proxy=in_turn(refuses(BUSY), tunnels()), environ=VIA_PROXY, reached=1,
        **TRUSTED),
    Row("proxy", "redirects to another host", PRINTED, proxy=refuses(reply(302, Location="https://elsewhere.example/")),
        environ=VIA_PROXY, reached=0, **TRUSTED),
    Row("proxy", "answers CONNECT with a 202 of its own", PRINTED, proxy=refuses(OK), environ=VIA_PROXY, reached=0, **TRUSTED),
    Row("proxy", "is not there", GIVEN_UP, environ={"HTTPS_PROXY": "http://127.0.0.1:{closed}"}, reached=0, timeout=3,
        **TRUSTED),
    Row("proxy", "never answers, for 5 s an attempt", GIVEN_UP, proxy=servers.silent, environ=VIA_PROXY, reached=0,
        timeout=14, **TRUSTED),
    Row("proxy", "speaks no HTTP", GIVEN_UP, proxy=refuses(b"SSH-2.0-OpenSSH_9.6\r\n"), environ=VIA_PROXY, reached=0,
        timeout=3, says="what answers does not speak HTTP", **TRUSTED),
    Row("proxy", "reads TLS with a certificate of its own", PRINTED, proxy_reads_tls=True, environ=VIA_PROXY, reached=0,
        **TRUSTED),
    Row("proxy", "its address is a SOCKS one", PRINTED, environ={"HTTPS_PROXY": "socks5://127.0.0.1:{closed}"}, reached=0,
        says="SOCKS is not supported", **TRUSTED),
    Row("proxy", "is passed by, for NO_PROXY names the host", DELIVERED,
        environ={"HTTPS_PROXY": "http://127.0.0.1:{closed}", "NO_PROXY": "localhost"}, **TRUSTED),
]  # fmt: skip

ROWS = [*CONNECTION, *TLS, *ANSWER, *BODIES, *REDIRECT, *LATER, *PROXY]


def _status(status: int) -> Row:
    """A server that answers this once, and 202 to whoever comes again; for a redirect there is another host to go to."""
    name, place = str(status), "http://localhost:{other}/"
    if status in (408, 429) or status >= 500:
        return Row("status", name, RETRIED, answers(reply(status, "why not"), OK))
    if status == 202:
        return Row("status", name, DELIVERED, accepts)
    if status == 400:  # about the event, not about the key
        return Row("status", name, SMALLEST, answers(reply(status, "why not"), OK))
    if 100 <= status < 200 and status != 101:  # what comes before the answer; only after 101 no HTTP follows
        return Row("status", name, DELIVERED, answers(reply(status) + OK))
    return Row("status", name, PRINTED, in_turn(_redirecting(status, place), accepts), other=accepts)


STATUSES = [_status(status) for status in range(100, 600)]
