"""GET from Bitbucket's REST API, one attempt each. Runs behind the wall, which ends what is too slow or too large."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urljoin

from requests.auth import AuthBase, HTTPBasicAuth

from pipe.bitbucket.unreadable import Unreadable, refusal, strange
from pipe.lib import http
from pipe.lib.text import masked_line

MAX_BODY_BYTES = 4 * 1024 * 1024  # of one answer; a hundred steps with all their commands are some 400 KB
MAX_PAGES = 5  # of 100; a pipeline has at most 100 steps [D], earlier runs may come on top [?]
MAX_QUOTED = 100  # characters of Bitbucket's own words
JSON = {"Accept": "application/json"}
REDIRECTS = (301, 302, 303, 307, 308)


class Api:
    def __init__(
        self, base_url: str, auth: AuthBase, repository: str, seconds: float, conceal: Callable[[str], str]
    ) -> None:
        """`seconds` for each request; `repository` as in BITBUCKET_REPO_FULL_NAME; `conceal` masks what is secret."""
        self._repository = f"{base_url}/repositories/{quote(repository)}/"
        self._origin = "/".join(base_url.split("/")[:3]) + "/"
        self._auth, self._conceal = auth, conceal
        self._timeout = (0.3 * seconds, 0.6 * seconds)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """One JSON object. Raises Unreadable, or what the wall makes of an answer that is none."""
        return self._object(self._url(path, query))

    def values(self, path: str, query: Mapping[str, str]) -> list[Any]:
        """The `values` of the first page."""
        return _values(self.get(path, query))

    def pages(self, path: str, query: Mapping[str, str]) -> list[Any]:
        """The `values` of all pages; more than MAX_PAGES are Unreadable.

        These lists have been seen to come with a `size` and without `next` (BCLOUD-20639) [R]: then the next page is
        asked for by its number, until all are there.
        """
        values: list[Any] = []
        url = self._url(path, query)
        for number in range(1, MAX_PAGES + 1):
            page = self._object(url)
            found, following, size = _values(page), page.get("next"), page.get("size")
            values += found
            if not following and isinstance(size, int) and len(values) < size:
                if not found:
                    raise strange(f"a list of {len(values)} items that says it has {size}")
                following = self._url(path, {**query, "page": str(number + 1)})
            if not following:
                return values
            if not following.startswith(self._origin):
                raise strange("a next page at another address, which is not followed")
            url = following
        raise strange(f"more than {MAX_PAGES} pages")

    def failed_tests(self, path: str, most: int) -> tuple[Any, list[Any]]:
        """The totals of a step's test reports and the first tests that failed. Where Bitbucket read no report there is
        no such thing (404) [?]."""
        answer = self._fetch(self._url(path), JSON, (200, 404), self._auth)
        totals: dict[str, Any] = json.loads(answer.body) if answer.status == 200 else {}
        cases: list[Any] = []
        for status in ("FAILED", "ERROR"):  # each counted by itself [R]
            if totals.get(f"number_of_{status.lower()}_test_cases"):
                cases += self.values(f"{path}/test_cases", {"status": status, "pagelen": str(most)})
        return totals, cases[:most]

    def log_tail(self, path: str, size: int) -> tuple[bytes, bool]:
        """The last `size` bytes of a log, and whether something stands before them.

        While the step runs, the API itself serves the log; later it redirects to storage (307) [D], which refuses calls
        that bring the token along (400) [R]. An `Accept: application/json` would be answered with 406 [R].
        """
        url, accepted = self._url(path), (200, 206, 416)
        wanted = {"Range": f"bytes=-{size}"}
        answer = self._fetch(url, wanted, (*accepted, *REDIRECTS), self._auth)
        if answer.status in REDIRECTS:
            url = urljoin(url, answer.headers["Location"])
            if not url.startswith(("https://", self._origin.partition("//")[0])):
                raise strange("a redirect to an address without TLS, which is not followed")
            answer = self._fetch(url, wanted, accepted, None)
        if answer.status == 416:  # the last bytes of nothing
            return b"", False
        if answer.status == 200:  # the whole log: it is short, or ranges are not known there
            return answer.body[-size:], len(answer.body) > size
        span = re.fullmatch(r"\s*bytes\s+(\d+)-(\d+)/(\d+)\s*", answer.headers.get("Content-Range", ""))
        if not span or int(span[2]) + 1 != int(span[3]):
            raise strange("another part of the log than its end")
        return answer.body[-size:], int(span[1]) > 0

    def _url(self, path: str, query: Mapping[str, str] | None = None) -> str:
        return f"{self._repository}{path}" + (f"?{urlencode(query)}" if query else "")

    def _object(self, url: str) -> dict[str, Any]:
        answer = self._fetch(url, JSON, (200,), self._auth)
        found = json.loads(answer.body)
        if not isinstance(found, dict):
            raise strange("something else than a JSON object")
        return found

    def _fetch(
        self, url: str, headers: Mapping[str, str], accepted: tuple[int, ...], auth: AuthBase | None
    ) -> http.Answer:
        try:
            *_, answer = http.attempt(
                "GET",
                url,
                headers=headers,
                auth=auth,
                timeout=self._timeout,
                size=MAX_BODY_BYTES,
                address="BITBUCKET_API_URL",
            )
        except http.NoAnswer as error:
            raise Unreadable(f"Bitbucket's API: {error.said}", error.advice, temporary=error.temporary) from None
        if answer.status in accepted:
            if len(answer.body) > MAX_BODY_BYTES:
                raise strange(f"more than {MAX_BODY_BYTES // 1024 // 1024} MB")
            return answer
        if answer.status in REDIRECTS:
            raise strange(f"a redirect ({answer.status}), which is not followed")
        by_api_token = isinstance(self._auth, HTTPBasicAuth)
        raise refusal(answer.status, self._words(answer.body), http.retry_after(answer.headers), by_api_token)

    def _words(self, body: bytes) -> str:
        """Bitbucket's own words, `{"error": {"message": …}}`, on one line and without secrets."""
        try:
            message = json.loads(body)["error"]["message"]
        except (ValueError, TypeError, LookupError, RecursionError):
            return ""
        if not isinstance(message, str):
            return ""
        return masked_line(message, self._conceal, MAX_QUOTED).rstrip(". ")


def _values(page: dict[str, Any]) -> list[Any]:
    if not isinstance(page.get("values"), list):
        raise strange("a list without values")
    return list(page["values"])
