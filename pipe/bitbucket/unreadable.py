"""Why Bitbucket's API could not be read, and what to do about it: each refusal and failure becomes one `Unreadable`."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import requests

RENEW_ACCESS_TOKEN = (
    "Renew BITBUCKET_ACCESS_TOKEN, with the scope Pipelines: Read: it has expired, was revoked, or is no access token "
    "of Bitbucket's"
)
RENEW_API_TOKEN = (
    "Renew ATLASSIAN_API_TOKEN, with the scope read:pipeline:bitbucket (it has expired, was revoked, or has no scopes "
    "for Bitbucket), and check that ATLASSIAN_ACCOUNT_EMAIL is the address of the account it belongs to"
)
GIVE_A_TOKEN = "Set BITBUCKET_ACCESS_TOKEN, or ATLASSIAN_ACCOUNT_EMAIL and ATLASSIAN_API_TOKEN"
# Both scopes stand beside every pipelines resource of the REST reference [D]. An API token cannot be edited once it is
# made ("Using API tokens") [D].
SCOPE_ACCESS_TOKEN = "Create an access token with the scope Pipelines: Read, and put it into BITBUCKET_ACCESS_TOKEN"
SCOPE_API_TOKEN = "Create an API token with the scope read:pipeline:bitbucket, and put it into ATLASSIAN_API_TOKEN"
CHECK_ACCESS = "Use a token that may read this repository, and check BITBUCKET_API_URL if it is set"
# 1,000 requests an hour, counted for each access token, and for each user with an API token ("API request limits") [D].
OWN_TOKEN = "Give the pipe an access token of its own: Bitbucket counts requests for each token"
TRY_LATER = "Nothing is wrong with the settings; https://bitbucket.status.atlassian.com tells of outages"
CHECK_NETWORK = "Check that the step reaches Bitbucket's API, and HTTPS_PROXY and BITBUCKET_API_URL if they are set"
CHECK_CERTIFICATE = "Behind a proxy that reads TLS, map its certificate in with REQUESTS_CA_BUNDLE"
CHECK_ADDRESS = "Leave BITBUCKET_API_URL unset, or give it like https://api.bitbucket.org/2.0"
PASTE_AGAIN = "Paste the token again: it holds a line break or another character that no token has"


class Unreadable(Exception):
    """Bitbucket's API could not be read.

    `reason` is one line for log and page, `advice` what to do about it, both without a full stop and without secrets.
    `passing`: the same request may work a moment later, at best after `after` seconds.
    """

    def __init__(self, reason: str, advice: str = "", *, passing: bool = False, after: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.advice, self.passing, self.after = reason, advice, passing, after


def refusal(status: int, headers: Mapping[str, str], said: str, token: str) -> Unreadable:
    """What an answer that is no success means. `token` is the kind sent, "access", "api" or ""; `said` are Bitbucket's
    own words, free of secrets. 408, 429 and 5xx pass by themselves, everything else is final."""
    quoted = f': "{said}"' if said else ""
    if status == 401:
        refused = "refused the token" if token else "wants a token"
        advice = {"access": RENEW_ACCESS_TOKEN, "api": RENEW_API_TOKEN}.get(token, GIVE_A_TOKEN)
        return Unreadable(f"Bitbucket {refused} (401){quoted}", advice)
    if status == 403:
        scope, advice = "Pipelines: Read", SCOPE_ACCESS_TOKEN
        if token == "api":
            scope, advice = "read:pipeline:bitbucket", SCOPE_API_TOKEN
        return Unreadable(f"the token may not read pipelines (403), it lacks the scope {scope}{quoted}", advice)
    if status == 404:
        return Unreadable(f"Bitbucket finds no such thing, or hides it from this token (404){quoted}", CHECK_ACCESS)
    after = _after(headers)
    if status == 429:
        wait = f" for another {after:.0f} s" if after else ""
        return Unreadable(f"Bitbucket's rate limit is reached (429){wait}", OWN_TOKEN, passing=True, after=after)
    if status == 408 or status >= 500:
        return Unreadable(f"Bitbucket's API has trouble of its own ({status})", TRY_LATER, passing=True, after=after)
    return Unreadable(f"Bitbucket's API answered {status}{quoted}", CHECK_ADDRESS)


def failure(error: Exception, host: str) -> Unreadable:
    """What a request without an answer met. Its own text is never used: requests quotes URLs, http.client headers."""
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return Unreadable(f"the certificate of {host} does not verify", CHECK_CERTIFICATE)
    if isinstance(error, requests.Timeout):
        return Unreadable(f"no answer from {host} in time", CHECK_NETWORK, passing=True)
    if isinstance(error, (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        # `strerror` is the system's text ("Connection refused").
        why = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), "")
        return Unreadable(f"no connection to {host}" + f" ({why})" * bool(why), CHECK_NETWORK, passing=True)
    if isinstance(error, ValueError) and not isinstance(error, requests.RequestException):
        return Unreadable("the token cannot be sent as it is", PASTE_AGAIN)  # http.client refuses such a header
    if isinstance(error, requests.RequestException):
        return Unreadable(f"{host} cannot be read ({type(error).__name__})", CHECK_ADDRESS)
    return Unreadable(f"reading {host} failed ({type(error).__name__})", CHECK_NETWORK)


def strange(what: str) -> Unreadable:
    """An answer that is not what Bitbucket sends."""
    return Unreadable(f"Bitbucket's API answered with {what}", CHECK_ADDRESS)


def _after(headers: Mapping[str, str]) -> float:
    """Seconds to wait, from `Retry-After` or a rate limit's reset; 0 where nothing usable is said.

    Bitbucket documents neither for its 429: its own headers are X-RateLimit-Limit, -Resource and -NearLimit [D].
    """
    said = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", said):
        return float(said)
    if said:
        try:
            return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
        except (ValueError, TypeError, OverflowError):
            return 0.0
    reset = (headers.get("X-RateLimit-Reset") or headers.get("RateLimit-Reset") or "").strip()
    if not re.fullmatch(r"\d{1,12}(\.\d+)?", reset):
        return 0.0
    return max(0.0, float(reset) - time.time()) if float(reset) > 1e9 else float(reset)  # a moment, or a duration


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
