"""How the pipe speaks HTTP: redirects are looked at, never followed, and no credentials are found along the way."""

from __future__ import annotations

from typing import Any

import requests
from requests.auth import AuthBase


class NoAuth(AuthBase):
    """No credentials at all: without any `auth`, requests would look for a login in `.netrc` and in the URL."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class Session(requests.Session):
    """requests prepares the next request of a redirect even where it does not follow it, and reads the whole body for
    that, however large."""

    def get_redirect_target(self, resp: Any) -> None:
        return None
