"""One event to PagerDuty: one POST, tried again until it is accepted, refused for good, or out of time.

At least once: a repeated trigger, acknowledge or resolve carries the same dedup key, so PagerDuty makes one of them.
A change event is not idempotent: one whose answer was lost can show twice.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

import requests
from urllib3.exceptions import HTTPError

from pipe import VERSION
from pipe.event import Event
from pipe.interrupts import OutOfTime, in_time
from pipe.masking import Mask
from pipe.session import NoAuth, Session

CONNECT_TIMEOUT = 5.0  # seconds
READ_TIMEOUT = 20.0  # seconds
LONGEST_WAIT = 30.0  # seconds between two attempts, unless Retry-After asks for more
LAST_ATTEMPT = 2.0  # seconds kept for one last attempt when a wait would use up the rest
LARGEST_ANSWER = 64 * 1024  # bytes that are read of an answer

ACCEPTED = 202
# 429: throttled, not taken in. 5xx: PagerDuty's side. 408: undocumented; PagerDuty's own Go client calls it temporary.
TEMPORARY = (408, 429, *range(500, 600))

ADVICE_KEY = (
    'Check that the key is the integration key of an "Events API v2" integration, and that REGION is the account\'s: '
    "eu if its address has .eu. in it, else us."
)
PROXY = "The proxy wants a login: put user and password into HTTPS_PROXY."
ELSEWHERE = "Only 202 counts: something other than PagerDuty may have answered. Check EVENTS_URL and the proxy."
ADVICE = {
    400: "PagerDuty will refuse this event every time: mend what it names.",
    403: "Something between here and PagerDuty refuses the call: a proxy, a firewall, or EVENTS_URL.",
    404: "There is no Events API at this address: check EVENTS_URL and REGION.",
    407: PROXY,
    413: "The event is too large for whoever answered.",
    429: "PagerDuty takes about 120 events a minute for one integration key.",
}


@dataclass(frozen=True)
class Receipt:
    """How the delivery ended."""

    accepted: bool
    said: str  # what PagerDuty or the network said last, in one line
    advice: str = ""
    attempts: int = 0


@dataclass(frozen=True)
class Answer:
    """One attempt's end: `status` 0 where there was no answer."""

    status: int
    said: str
    temporary: bool
    retry_after: float = 0.0
    advice: str = ""


def deliver(event: Event, base_url: str, routing_key: str, timeout: float, log: Callable[[str], None]) -> Receipt:
    """Deliver within `timeout` seconds, retries and waits included; one log line an attempt. Never raises for what the
    network or PagerDuty does."""
    body = event.encoded(routing_key)
    deadline = time.monotonic() + timeout
    last_start = deadline - min(LAST_ATTEMPT, timeout / 4)
    for attempt in itertools.count(1):
        answer = _post(base_url + event.path, body, routing_key, deadline)
        log(f"POST {base_url}{event.path}, attempt {attempt}: {answer.said}")
        if not answer.temporary:
            return Receipt(answer.status == ACCEPTED, answer.said, answer.advice, attempt)
        left = last_start - time.monotonic()
        if left <= 0:
            break
        wait = min(_wait(attempt, answer.retry_after), left)
        log(f"Waiting {wait:.1f} s before the next attempt, of {deadline - time.monotonic():.0f} s left.")
        time.sleep(wait)
    advice = answer.advice or "PagerDuty could not be reached in time: check the network, the proxy and EVENTS_URL."
    took = time.monotonic() - deadline + timeout
    return Receipt(False, f"{answer.said}; gave up after {took:.0f} s (TIMEOUT: {timeout:g})", advice, attempt)


def _wait(attempt: int, retry_after: float) -> float:
    """Seconds to wait after an attempt: exponential with full jitter, and at least what Retry-After asked for."""
    return max(random.uniform(0, min(LONGEST_WAIT, 2.0 ** min(attempt - 1, 10))), retry_after)


def _post(url: str, body: bytes, routing_key: str, deadline: float) -> Answer:
    """One attempt. Neither looking up a name nor an answer that drips is bounded by time-outs of its own, so the whole
    attempt is."""
    left = max(0.1, min(CONNECT_TIMEOUT + READ_TIMEOUT, deadline - time.monotonic()))
    mask = Mask(routing_key)  # whoever answers may quote the event

    def attempt() -> Answer:
        with Session() as session, session.post(
            url,
            data=body,
            headers={"Content-Type": "application/json", "User-Agent": f"pagerduty-events/{VERSION}"},
            timeout=(min(CONNECT_TIMEOUT, left), min(READ_TIMEOUT, left)),
            allow_redirects=False,  # the body carries the key
            auth=NoAuth(),
            stream=True,
        ) as response:
            heads.append(response)
            return _answer(response, mask.text(_read(response)))

    heads: list[requests.Response] = []
    try:
        return in_time(left, attempt)
    except OutOfTime:
        # The status is what counts: an accepted event is accepted, however long the words behind it take.
        return _answer(heads[0], "") if heads else Answer(0, "no answer in time", temporary=True)
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        return _no_answer(error)


def _read(response: requests.Response) -> str:
    """The answer's text; the status is what counts, so of a body that breaks off or drips a part is enough."""
    read = b""
    try:
        for chunk in response.iter_content(1024):
            read += chunk
            if len(read) > LARGEST_ANSWER:
                break
    except (requests.RequestException, HTTPError, OSError):
        pass
    return read.decode("utf-8", "replace")


def _answer(response: requests.Response, text: str) -> Answer:
    status = response.status_code
    said = f"{status} {_message(text) or response.reason or ''}".strip()
    if status == ACCEPTED:
        return Answer(status, said, temporary=False)
    advice = ADVICE.get(status, "" if status in TEMPORARY else ELSEWHERE)
    if status == 400 and ("routing" in text.lower()):
        advice = ADVICE_KEY
    if 300 <= status < 400:
        said, advice = f"{said}; a redirect is never followed", "Give the final address as EVENTS_URL."
    return Answer(status, said, status in TEMPORARY, _seconds(response.headers.get("Retry-After", "")), advice)


def _message(text: str) -> str:
    """PagerDuty's own words: JSON with a message and errors, or plain text; in one line."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = text
    if isinstance(body, dict):
        errors = body.get("errors")
        words = [
            body.get("message") or body.get("status") or "",
            *(errors if isinstance(errors, list) else [errors or ""]),
        ]
        text = ": ".join(filter(None, (str(words[0]), "; ".join(str(word) for word in words[1:] if word))))
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:500]


def _seconds(retry_after: str) -> float:
    """Retry-After in seconds, or as a date; 0 where it is neither."""
    if retry_after.strip().isascii() and retry_after.strip().isdigit():
        return float(retry_after.strip()[:6])
    try:
        from email.utils import parsedate_to_datetime

        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _no_answer(error: Exception) -> Answer:
    chain: list[BaseException] = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__ or _argument(chain[-1])) and len(chain) < 10:
        chain.append(inner)
    for link in chain:
        if isinstance(link, ssl.SSLCertVerificationError):
            return Answer(
                0,
                f"the certificate does not verify: {link.verify_message}",
                temporary=False,
                advice="A proxy may stand between: map REQUESTS_CA_BUNDLE to its certificates. Nothing was sent.",
            )
    text = " ".join(str(link) for link in chain)
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, UnicodeError)):
        return Answer(
            0,
            f"the address or the proxy's cannot be used: {type(error).__name__}",
            temporary=False,
            advice="Mend EVENTS_URL, or give HTTPS_PROXY as http://host:port; SOCKS is not supported.",
        )
    if "CA certificate bundle" in text:
        return Answer(
            0,
            "the file that REQUESTS_CA_BUNDLE names is not in the container",
            temporary=False,
            advice="Give a path below the clone, which is what the container sees.",
        )
    if refused := re.search(r"Tunnel connection failed: (4\d\d)", text):
        return Answer(
            0,
            f"the proxy refuses with {refused[1]}",
            temporary=False,
            advice=PROXY if refused[1] == "407" else ADVICE[403],
        )
    if isinstance(error, requests.Timeout):
        return Answer(0, "no answer in time", temporary=True)
    return Answer(0, f"no connection: {type(chain[-1]).__name__} {_reason(chain[-1])}".strip(), temporary=True)


def _argument(error: BaseException) -> BaseException | None:
    """requests and urllib3 wrap an error as an argument or as `reason`."""
    reason = getattr(error, "reason", None)
    found = [reason, *error.args]
    return next((item for item in found if isinstance(item, BaseException)), None)


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or ""
