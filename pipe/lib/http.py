"""One HTTP attempt: the token and the body go to the address given and nowhere else, and a failure's cause is data.

No credentials are found along the way, redirects are looked at and never followed, nothing is unpacked. What requests
says of an error is never quoted: it quotes addresses, and http.client quotes headers.
"""

from __future__ import annotations

import http.client
import os
import random
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import requests
import urllib3.connection
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError, LocationValueError

from pipe.lib.text import one_line

MAX_WORDS = 200  # characters quoted of the system

CHECK_CERTIFICATE = (
    "A proxy that reads TLS may stand between: map REQUESTS_CA_BUNDLE to its certificates. Nothing was sent."
)
CHECK_BUNDLE = "Give a path below the clone, which is what the container sees, to a file of PEM certificates."
PROXY_LOGIN = "The proxy wants a login: put user and password into HTTPS_PROXY."
PROXY_REFUSAL = "Let the proxy pass calls to that host, or put the host into NO_PROXY."
CHECK_ADDRESS = "Correct {address}, or give HTTPS_PROXY as http://host:port; SOCKS is not supported."
CHECK_NETWORK = "Check the network, the proxy and {address}."
NOT_HTTP = (http.client.BadStatusLine, http.client.LineTooLong, http.client.UnknownProtocol)
PASTE_AGAIN = "Paste the token again: it holds a line break or another character that no token has."


class Answer(NamedTuple):
    """What came back; `body` is empty while only the head has been read."""

    status: int
    reason: str  # the status line's words, as sent
    headers: Mapping[str, str]  # names in any case
    body: bytes = b""


class NoAnswer(Exception):
    """There was no answer. `said` is the cause in one line without a full stop, `advice` the sentence that says what to
    do; `temporary`: the same attempt may succeed a moment later."""

    def __init__(self, said: str, advice: str, *, temporary: bool = False) -> None:
        super().__init__(said)
        self.said, self.advice, self.temporary = said, advice, temporary


def attempt(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    timeout: tuple[float, float],
    size: int,
    address: str,
    auth: AuthBase | None = None,
    body: bytes | None = None,
) -> Iterator[Answer]:
    """Yield the answer when its head is there, and once more with its body, of which at most `size` + 1 bytes are read.

    `timeout` is in seconds, to connect and between two bytes: looking up a name and an answer that drips have no limit
    here. `address` is the variable that the URL comes from, for the advice. Raises NoAnswer and nothing else.
    """
    try:
        with (
            _Session() as session,
            session.request(
                method,
                url,
                data=body,
                headers={"Accept-Encoding": "identity", **headers},
                auth=auth or _NoAuth(),
                timeout=timeout,
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            answer = Answer(response.status_code, response.reason or "", response.headers)
            yield answer
            read = b""
            while piece := response.raw.read(size + 1 - len(read), decode_content=False):
                read += piece
            yield answer._replace(body=read)
    except (requests.RequestException, HTTPError, OSError, ValueError, TypeError) as error:
        raise _no_answer(error, url, address) from None


def backoff(attempt: int, longest: float, retry_after: float = 0.0, *, base: float = 2.0) -> float:
    """Seconds to wait after an attempt: exponential up to `longest` with full jitter, since many pipelines may have met
    the same outage at the same moment; and at least what Retry-After asked for."""
    return max(random.uniform(0, min(longest, base ** min(attempt - 1, 10))), retry_after)


def retry_after(headers: Mapping[str, str]) -> float:
    """Retry-After in seconds, given as such or as a date; 0 where it is neither."""
    said = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", said):
        return float(said)
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


class _NoAuth(AuthBase):
    """No credentials at all: without any `auth`, requests looks for a login in `.netrc` and in the URL."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class _Session(requests.Session):
    """requests prepares the next request of a redirect even where it does not follow it, and reads the whole body for
    that, however large."""

    def get_redirect_target(self, resp: Any) -> None:
        return None


class _Response(http.client.HTTPResponse):
    """http.client skips `100 Continue` only, and would take `103 Early Hints` for the answer."""

    def begin(self) -> None:
        super().begin()
        while 100 < self.status < 200 and self.status != http.client.SWITCHING_PROTOCOLS:
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()


urllib3.connection.HTTPConnection.response_class = _Response


def _no_answer(error: Exception, url: str, address: str) -> NoAnswer:
    causes = list(_causes(error))
    if url.startswith("https:") and _bundle_unusable():
        return NoAnswer("the file that REQUESTS_CA_BUNDLE names cannot be read or holds no certificates", CHECK_BUNDLE)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NoAnswer(
                f"the certificate does not verify: {one_line(cause.verify_message, MAX_WORDS).rstrip('.')}",
                CHECK_CERTIFICATE,
            )
        if refused := re.search(r"Tunnel connection failed: (\d+)", str(cause)):
            advice = PROXY_LOGIN if refused[1] == "407" else PROXY_REFUSAL
            return NoAnswer(f"the proxy refuses with {refused[1]}", advice, temporary=refused[1].startswith("5"))
    return _by_type(error, causes, address)


def _by_type(error: Exception, causes: list[BaseException], address: str) -> NoAnswer:
    unusable = (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema)
    # A TypeError is what requests makes of a proxy with a login and no host: `user:password@`.
    if isinstance(error, (*unusable, LocationValueError, TypeError)):
        return NoAnswer("the address, or the proxy's, cannot be used", CHECK_ADDRESS.format(address=address))
    if isinstance(error, ValueError) and not isinstance(error, requests.RequestException):
        return NoAnswer("the token cannot be sent as it is", PASTE_AGAIN)  # http.client refuses such a header
    advice = CHECK_NETWORK.format(address=address)
    if any(isinstance(cause, (requests.Timeout, TimeoutError)) for cause in causes):
        return NoAnswer("no answer in time", advice, temporary=True)
    if any(isinstance(cause, http.client.RemoteDisconnected) for cause in causes):
        return NoAnswer("the connection was closed without an answer", advice, temporary=True)
    if any(isinstance(cause, NOT_HTTP) for cause in causes):
        return NoAnswer("what answers does not speak HTTP", advice, temporary=True)
    # `strerror` is the system's text ("Connection refused").
    texts = (cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror)
    why = one_line(next(texts, type(causes[-1]).__name__), MAX_WORDS)
    return NoAnswer(f"no connection ({why})", advice, temporary=True)


def _bundle_unusable() -> bool:
    """Whether the certificates that requests was told to trust cannot be loaded: missing, unreadable or none."""
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if not named or os.path.isdir(named):
        return False
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(named)
    except OSError:  # an ssl.SSLError is one, too
        return True
    return False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it wraps: requests and urllib3 put the cause into `args`, `reason` or the chain."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        found = waiting.pop(0)
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            waiting += [getattr(found, "reason", None), found.__cause__, found.__context__, *found.args]
