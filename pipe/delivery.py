"""One event to PagerDuty: one POST, tried again until it is accepted, refused for good, or out of time.

At least once: a repeated trigger, acknowledge or resolve carries the same dedup key, so PagerDuty makes one of them.
A change event is not idempotent: one whose answer was lost can show twice.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from pipe import VERSION
from pipe.lib import http
from pipe.lib.interrupts import hold_back_termination
from pipe.lib.masking import Mask
from pipe.lib.text import masked_line

if TYPE_CHECKING:
    from pipe.event import Event

CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
LONGEST_WAIT_SECONDS = 30.0  # between two attempts, unless Retry-After asks for more
# After a 429 the waits grow faster and without that limit: should throttled calls count against PagerDuty's limit, of
# which nothing is documented, 300 pipes at once would keep each other out (`STORM="300 300 strict" make storm`).
THROTTLED_BASE = 4.0
LAST_ATTEMPT_SECONDS = 2.0  # kept for one last attempt when a wait would use up the rest
MAX_ANSWER_BYTES = 64 * 1024  # read of an answer
MAX_QUOTED = 500  # characters quoted of an answer

ACCEPTED = 202
THROTTLED = 429
# 429: throttled, not taken in. 5xx: PagerDuty's side. 408: undocumented; PagerDuty's own Go client calls it temporary.
TEMPORARY = (408, THROTTLED, *range(500, 600))

# PagerDuty's own words, no others: a refusal may quote what was sent, in which "routing" can stand as well.
ABOUT_THE_KEY = rb"(?i)invalid routing key|'routing_key'"
ADVICE_KEY = (
    'Check that the key is the integration key of an "Events API v2" integration, and that REGION is the account\'s: '
    "eu if its address has .eu. in it, else us."
)
ELSEWHERE = "Only 202 counts: something other than PagerDuty may have answered. Check EVENTS_URL and the proxy."
OUT_OF_TIME = "PagerDuty could not be reached in time: check the network, the proxy and EVENTS_URL."
ADVICE = {
    400: "PagerDuty will refuse this event every time: fix what it names.",
    403: "Something between here and PagerDuty refuses the call: check the proxy, the firewall and EVENTS_URL.",
    404: "There is no Events API at this address: check EVENTS_URL and REGION.",
    407: http.PROXY_LOGIN,
    413: "The event is too large for whoever answered: give less in CUSTOM_DETAILS and LINKS.",
    THROTTLED: "PagerDuty takes about 120 events a minute for one key: "
    'send fewer, take a second key, or TIMEOUT: "300".',
}


class Receipt(NamedTuple):
    """How the delivery ended."""

    accepted: bool
    said: str  # what PagerDuty or the network said last, in one line
    advice: str = ""
    attempts: int = 0
    refused: str = ""  # what PagerDuty said of the whole event, where its smallest form was sent in its place


class _Outcome(NamedTuple):
    """How one attempt ended."""

    said: str
    advice: str = ""
    accepted: bool = False
    temporary: bool = False
    bad_event: bool = False  # refused with a 400 that is not about the key
    retry_after: float = 0.0  # seconds
    throttled: bool = False


def deliver(event: Event, base_url: str, routing_key: str, timeout: float, log: Callable[[str], None]) -> Receipt:
    """Deliver within `timeout` seconds, retries and waits included; one log line an attempt. Never raises for what the
    network or PagerDuty does.

    An alert event that PagerDuty refuses for what is in it goes out once more in its smallest form: a plain page is
    better than none, and so is a plain resolve."""
    deadline = time.monotonic() + timeout
    last_start = deadline - min(LAST_ATTEMPT_SECONDS, timeout / 4)
    mask, url, refused = Mask(routing_key), base_url + event.path, ""
    for attempt in itertools.count(1):
        outcome = _attempt(url, event.encoded(routing_key), mask, deadline)
        log(f"POST {mask.text(url)}, attempt {attempt}: {outcome.said}")
        if outcome.bad_event and (smallest := event.smallest(outcome.said)):
            log("Sending it again in its smallest form.")
            event, refused = smallest, outcome.said
            continue
        if not outcome.temporary:
            return Receipt(outcome.accepted, outcome.said, outcome.advice, attempt, refused)
        left = last_start - time.monotonic()
        if left <= 0:
            break
        if outcome.throttled:
            wait = http.backoff(attempt, timeout, outcome.retry_after, base=THROTTLED_BASE)
        else:
            wait = http.backoff(attempt, LONGEST_WAIT_SECONDS, outcome.retry_after)
        wait = min(wait, left)
        log(f"Waiting {wait:.1f} s before the next attempt, of {deadline - time.monotonic():.0f} s left.")
        time.sleep(wait)
    took = time.monotonic() - deadline + timeout
    said = f"{outcome.said}; gave up after {took:.0f} s (TIMEOUT: {timeout:g})"
    return Receipt(False, said, outcome.advice, attempt, refused)


def _attempt(url: str, body: bytes, mask: Mask, deadline: float) -> _Outcome:
    """One POST within the time left. An answer whose head came in time counts, however long the words behind it take:
    an accepted event is accepted."""
    left = max(0.1, min(CONNECT_SECONDS + READ_SECONDS, deadline - time.monotonic()))
    answers: list[http.Answer] = []
    trouble = [http.NoAnswer("no answer in time", OUT_OF_TIME, temporary=True)]

    def post() -> None:
        try:
            for answer in http.attempt(
                "POST",
                url,
                body=body,
                headers={"Content-Type": "application/json", "User-Agent": f"pagerduty-events/{VERSION}"},
                timeout=(min(CONNECT_SECONDS, left), min(READ_SECONDS, left)),
                size=MAX_ANSWER_BYTES,
                address="EVENTS_URL",
            ):
                answers.append(answer)
        except http.NoAnswer as error:
            trouble.append(error)

    _run_for(left, post)
    if answers:
        return _judge(answers[-1], mask)
    return _Outcome(trouble[-1].said, trouble[-1].advice, temporary=trouble[-1].temporary)


def _run_for(seconds: float, work: Callable[[], None]) -> None:
    """Do the work, in a thread that is left behind when its time is over: looking up a name knows no time-out, and an
    answer may drip. Where no thread can be started (`--pids-limit 1`) the time-outs within the work must do."""

    def aside() -> None:
        hold_back_termination()  # a signal that is delivered here would not wake the main thread
        work()

    thread = threading.Thread(target=aside, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        work()
    else:
        thread.join(seconds)


def _judge(answer: http.Answer, mask: Mask) -> _Outcome:
    status = answer.status
    message = _message(answer.body.decode(errors="replace"))
    words = masked_line(message, mask.text, MAX_QUOTED) or masked_line(answer.reason, mask.text, MAX_QUOTED)
    said = words if words.startswith(str(status)) else f"{status} {words}".strip()
    if status == ACCEPTED:
        return _Outcome(said, accepted=True)
    if 300 <= status < 400:
        return _Outcome(f"{said}; a redirect is never followed", "Give the final address as EVENTS_URL.")
    if status in TEMPORARY:
        advice = ADVICE.get(status, OUT_OF_TIME)
        retry_after = http.retry_after(answer.headers)
        return _Outcome(said, advice, temporary=True, retry_after=retry_after, throttled=status == THROTTLED)
    if status == 400 and re.search(ABOUT_THE_KEY, answer.body):
        return _Outcome(said, ADVICE_KEY)
    return _Outcome(said, ADVICE.get(status, ELSEWHERE), bad_event=status == 400)


def _message(text: str) -> str:
    """PagerDuty's own words: of a JSON object its message and errors, else the text as it is."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(body, dict):
        return text
    errors = body.get("errors")
    errors = [error for error in errors if isinstance(error, str)] if isinstance(errors, list) else []
    message = next((body[name] for name in ("message", "status") if isinstance(body.get(name), str)), None)
    return ": ".join(filter(None, (message, "; ".join(errors)))) or text
