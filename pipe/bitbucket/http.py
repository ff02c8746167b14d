"""GET from Bitbucket's REST API: one deadline for everything, retries within it, and no way out for the token."""

from __future__ import annotations

import base64
import itertools
import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode, urljoin

import requests
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from pipe.bitbucket.unreadable import CHECK_ADDRESS, CHECK_NETWORK, TRY_LATER, Unreadable, failure, refusal, strange
from pipe.environment import mend
from pipe.interrupts import OutOfTime, in_time
from pipe.masking import Mask
from pipe.session import NoAuth, Session

CONNECT = 3.0  # seconds, of one attempt
ATTEMPT = 7.0  # seconds for one attempt as a whole, so that a second one fits into the budget of 15
LEAST = 0.05  # seconds; with less left, nothing is begun
MOST = 4 * 1024 * 1024  # bytes of one answer; a hundred steps with all their commands are some 400 KB
HOPS = 3  # requests for one answer, redirects included
REDIRECTS = {301, 302, 303, 307, 308}


@dataclass(frozen=True)
class Answer:
    """An answer that was read whole."""

    status: int
    headers: Mapping[str, str]  # names in any case
    body: bytes


def credentials(access_token: str, email: str, api_token: str) -> AuthBase | None:
    """A Bearer access token, else a scoped API token as Basic `email:token`, else None."""
    if access_token.strip():
        from bitbucket_pipes_toolkit import TokenAuth

        return TokenAuth(access_token.strip())
    if email.strip() and api_token.strip():
        return HTTPBasicAuth(email.strip(), api_token.strip())
    return None


class Api:
    def __init__(self, base_url: str, auth: AuthBase | None, *, deadline: float, log: Callable[[str], None]) -> None:
        """`deadline` is a moment of `time.monotonic()`; nothing here outlasts it, retries and waits included."""
        self._base = base_url.strip().rstrip("/")
        self._origin = origin_of(self._base)
        self._host = self._origin[1] if self._origin else "Bitbucket's API"
        self._auth = auth
        self._deadline = deadline
        self._log = log
        self._session = Session()
        self._mask = Mask(others=tuple(_secrets(auth)))

    def object(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """One JSON object. Raises Unreadable, as everything here does."""
        return self._object(self._url(path, query))

    def pages(self, path: str, query: Mapping[str, str], most: int) -> Iterator[list[Any]]:
        """The `values` of up to `most` pages; more pages than that are Unreadable.

        These lists have been seen to come with a `size` and without `next` (BCLOUD-20639) [R]: then the next page is
        asked for by its number, until all are there.
        """
        url, seen = self._url(path, query), 0
        for number in range(1, most + 1):
            page = self._object(url)
            values, url, size = page.get("values"), page.get("next"), page.get("size")
            if not isinstance(values, list):
                raise strange("a list without values")
            seen += len(values)
            if not url and isinstance(size, int) and seen < size:
                if not values:
                    raise strange(f"a list of {seen} items that says it has {size}")
                url = self._url(path, {**query, "page": str(number + 1)})
            yield values
            if not url:
                return
            # The link is opaque [D] and followed as it is, but the token goes to no other origin.
            if not isinstance(url, str) or origin_of(url) != self._origin:
                raise strange("a next page at another address, which is not followed")
        raise strange(f"more than {most} pages")

    def raw(self, path: str, headers: Mapping[str, str], accepted: set[int]) -> Answer:
        """An answer as it is, from wherever Bitbucket keeps it: the one request that may be redirected elsewhere."""
        return self._fetch(self._url(path), headers, accepted, leave=True)

    def _url(self, path: str, query: Mapping[str, str] | None = None) -> str:
        if not self._origin:
            raise Unreadable("the address of Bitbucket's API is not usable", CHECK_ADDRESS)
        return f"{self._base}/{path}" + (f"?{urlencode(query)}" if query else "")

    def _object(self, url: str) -> dict[str, Any]:
        answer = self._fetch(url, {"Accept": "application/json"}, {200}, leave=False)
        try:
            found = json.loads(answer.body)
        except (ValueError, RecursionError):
            raise strange("something else than JSON") from None
        if not isinstance(found, dict):
            raise strange("something else than a JSON object")
        return found

    def _fetch(self, url: str, headers: Mapping[str, str], accepted: set[int], leave: bool) -> Answer:
        for attempt in itertools.count():
            try:
                return self._in_time(partial(self._attempt, url, headers, accepted, leave))
            except Unreadable as trouble:
                # Full jitter: many pipelines may have met the same outage at the same moment.
                pause = max(trouble.after, random.uniform(0.1, min(2.0, 0.4 * 2**attempt)))
                if not trouble.passing or pause + LEAST > self._deadline - time.monotonic():
                    raise
                self._log(f"{trouble.reason}; asking again in {pause:.1f} s")
            time.sleep(pause)
        raise AssertionError("unreachable")

    def _in_time(self, attempt: Callable[[], Answer]) -> Answer:
        """The attempt's answer, or Unreadable: also once its time is over, which a server that sends byte by byte could
        put off for ever."""
        seconds = min(ATTEMPT, self._deadline - time.monotonic())
        if seconds < LEAST:
            raise Unreadable("the time for reading Bitbucket's API is over", TRY_LATER)

        def answer_or_trouble() -> Answer | Unreadable:
            try:
                return attempt()
            except Unreadable as trouble:
                return trouble
            except Exception as error:  # told apart here, so that no message that quotes the token gets out
                return failure(error, self._host)

        try:
            result = in_time(seconds, answer_or_trouble)
        except OutOfTime:
            self._session = Session()  # the old one belongs to the thread that was left behind
            late = f"no whole answer from {self._host} within {seconds:.1f} s"
            result = Unreadable(late, CHECK_NETWORK, passing=True)
        if isinstance(result, Unreadable):
            raise result
        return result

    def _attempt(self, url: str, headers: Mapping[str, str], accepted: set[int], leave: bool) -> Answer:
        until = min(self._deadline, time.monotonic() + ATTEMPT)
        auth = self._auth or NoAuth()
        for _ in range(HOPS):
            if origin_of(url) != self._origin:
                auth = NoAuth()  # and it stays so: nothing that storage redirects to gets the token either
                if not (leave and self._may_go_to(url)):
                    raise strange("a redirect to another address, which is not followed")
            seconds = max(LEAST, until - time.monotonic())
            with self._session.get(
                url,
                # Ranges are of the bytes as they are kept, and nothing small can then unpack to something huge.
                headers={"Accept-Encoding": "identity", **headers},
                auth=auth,
                stream=True,
                allow_redirects=False,
                timeout=(min(CONNECT, seconds), seconds),
            ) as response:
                if response.status_code in REDIRECTS and response.headers.get("Location"):
                    url = urljoin(url, response.headers["Location"])
                    continue
                answer = Answer(response.status_code, response.headers, self._body(response, until))
            if answer.status in accepted:
                return answer
            token = "" if not self._auth else "api" if isinstance(self._auth, HTTPBasicAuth) else "access"
            raise refusal(answer.status, answer.headers, self._said(answer.body), token)
        raise strange("redirects in a circle")

    def _may_go_to(self, url: str) -> bool:
        """https; or, where the API itself is plain http (a test, a relay), the same host on another port."""
        there = origin_of(url)
        return bool(there and self._origin) and (there[0] == "https" or there[:2] == self._origin[:2])

    def _body(self, response: requests.Response, until: float) -> bytes:
        body = bytearray()
        for part in response.iter_content(8192):
            body += part
            if len(body) > MOST:
                raise strange(f"more than {MOST // 1024 // 1024} MB")
            if time.monotonic() > until:
                raise requests.Timeout
        return bytes(body)

    def _said(self, body: bytes) -> str:
        """Bitbucket's own words, `{"error": {"message": …}}`, on one line and without secrets."""
        try:
            message = json.loads(body)["error"]["message"]
        except (ValueError, TypeError, LookupError, RecursionError):
            return ""
        line = " ".join(self._mask.text(mend(message)).split()) if isinstance(message, str) else ""
        return "".join(filter(str.isprintable, line))[:200].rstrip(". ")


def origin_of(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port, as requests itself reads them; None for what is not a plain http(s) address.

    A backslash or a blank in an address is where parsers come to disagree about its host.
    """
    if re.search(r"[\\\s\x00-\x1f]", url):
        return None
    try:
        parts = parse_url(url)
    except (LocationParseError, ValueError):
        return None
    if parts.scheme not in ("http", "https") or not parts.host:
        return None
    return parts.scheme, parts.host.lower(), parts.port or (443 if parts.scheme == "https" else 80)


def _secrets(auth: AuthBase | None) -> Iterator[str]:
    token = getattr(auth, "token", None) or getattr(auth, "password", None)
    if isinstance(token, str):
        yield token
        yield base64.b64encode(f"{getattr(auth, 'username', '')}:{token}".encode()).decode()
