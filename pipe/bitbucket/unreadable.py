"""Why Bitbucket's API could not be read, and what to do about it."""

from __future__ import annotations

from pipe.lib.wall import Unread

RENEW_ACCESS_TOKEN = (
    "Renew BITBUCKET_ACCESS_TOKEN, with the scope Pipelines: Read: it has expired, was revoked, or is no access token "
    "of Bitbucket's."
)
RENEW_API_TOKEN = (
    "Renew ATLASSIAN_API_TOKEN, with the scope read:pipeline:bitbucket (it has expired, was revoked, or has no scopes "
    "for Bitbucket), and check that ATLASSIAN_ACCOUNT_EMAIL is the address of the account it belongs to."
)
# Both scopes stand beside every pipelines resource of the REST reference [D]. An API token cannot be edited once it is
# made ("Using API tokens") [D].
SCOPE_ACCESS_TOKEN = "Create an access token with the scope Pipelines: Read, and put it into BITBUCKET_ACCESS_TOKEN."
SCOPE_API_TOKEN = "Create an API token with the scope read:pipeline:bitbucket, and put it into ATLASSIAN_API_TOKEN."
CHECK_ACCESS = "Use a token that may read this repository, and check BITBUCKET_API_URL if it is set."
# 1,000 requests an hour, counted for each access token, and for each user with an API token ("API request limits") [D].
OWN_TOKEN = "Give the pipe an access token of its own: Bitbucket counts requests for each token."
TRY_LATER = "Nothing is wrong with the settings; https://bitbucket.status.atlassian.com tells of outages."
CHECK_ADDRESS = "Leave BITBUCKET_API_URL unset, or give it like https://api.bitbucket.org/2.0."
CHECK_WHO_ANSWERS = (
    "Something other than Bitbucket may have answered: check BITBUCKET_API_URL and the proxy. Or the step has neither "
    "memory nor a process to spare."
)


class Unreadable(Unread):
    """Bitbucket's API could not be read.

    `reason` is one line for log and page, without a full stop; `advice` is a sentence that says what to do; neither
    holds a secret. `refused`: the token was (401, 403). `temporary`: the same question may be answered a moment later,
    at best after `after` seconds.
    """

    def __init__(
        self, reason: str, advice: str, *, refused: bool = False, temporary: bool = False, after: float = 0.0
    ) -> None:
        super().__init__(reason, advice=advice, refused=refused, temporary=temporary, after=after)
        self.reason, self.advice, self.refused, self.temporary, self.after = reason, advice, refused, temporary, after


def refusal(status: int, said: str, after: float, by_api_token: bool) -> Unreadable:
    """What an answer that is no success means. `said` are Bitbucket's own words, free of secrets; `by_api_token`: asked
    so, and not with an access token. 408, 429 and 5xx are temporary, everything else is final."""
    quoted = f': "{said}"' if said else ""
    if status == 401:
        advice = RENEW_API_TOKEN if by_api_token else RENEW_ACCESS_TOKEN
        return Unreadable(f"Bitbucket refused the token (401){quoted}", advice, refused=True)
    if status == 403:
        scope, advice = "Pipelines: Read", SCOPE_ACCESS_TOKEN
        if by_api_token:
            scope, advice = "read:pipeline:bitbucket", SCOPE_API_TOKEN
        reason = f"the token may not read pipelines (403), it lacks the scope {scope}{quoted}"
        return Unreadable(reason, advice, refused=True)
    if status == 404:
        return Unreadable(f"Bitbucket finds no such thing, or hides it from this token (404){quoted}", CHECK_ACCESS)
    if status == 429:
        wait = f" for another {after:.0f} s" if after else ""
        return Unreadable(f"Bitbucket's rate limit is reached (429){wait}", OWN_TOKEN, temporary=True, after=after)
    if status == 408 or status >= 500:
        reason = f"Bitbucket's API has trouble of its own ({status})"
        return Unreadable(reason, TRY_LATER, temporary=True, after=after)
    return Unreadable(f"Bitbucket's API answered {status}{quoted}", CHECK_ADDRESS)


def strange(what: str) -> Unreadable:
    """An answer that is not what Bitbucket sends."""
    return Unreadable(f"Bitbucket's API answered with {what}", CHECK_WHO_ANSWERS)
