"""What may never be read in a log, an error, a URL or an event: the integration key, the tokens, a URL's login.

A secret is masked as it is, URL-encoded and in base64, also where that is broken into lines. Whoever cuts a text masks
it before: of a secret that was cut, nothing here knows the rest.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

SHORTEST_SECRET = 12  # characters; a shorter value would mask half the log, and no key or token is that short
HIDDEN = "****"
# Behind `://`, also as JSON has it (`:\/\/`, `:\u002f\u002f`): `user:password@` up to the last @ before the path; a
# bare token; a password with `/` in it (`host:5000/image@sha256` is none). Whatever is URL-encoded of `://` and `@`.
# Each ends before the next `/` or after 200 characters, so no character is looked at more often than that.
_LOGIN = (
    r"(?i)((?::|%3A)(?:\\{0,8}(?:/|u002f)){2})"
    r"(?:(?:[^\s/:?#\"<>]*:[^\s/\"<>]*|[^\s/:?#\"<>]*|[^\s/:?#\"<>]*:(?![0-9]+\\?/)[^\s@\"<>]{1,200})(@)"
    r"|[^\s/&=\"<>@]*(%40))"
    r"|((?::|%3A)(?:%2F){2})(?:(?!%2F)[^\s/&=\"<>@])*(@|%40)"
)
# What a text broken into lines, as base64 is, has between two characters: also as JSON has it.
_BREAK = r"\s|\\[rn]"


class Mask:
    """Replaces every secret it was made with, and the login of any URL.

    Of the integration key the last four characters stay: "which service did this go to?" must be answerable. `email` is
    what Basic authentication puts before a token, with a colon.
    """

    def __init__(self, integration_key: str = "", others: tuple[str, ...] = (), email: str = "") -> None:
        self.key_shown = f"…{integration_key[-4:]}" if integration_key else ""
        secrets = {secret for secret in others if len(secret) >= SHORTEST_SECRET}
        secrets |= {f"{email}:{secret}" for secret in secrets if email}
        shown = {form: HIDDEN for secret in secrets for form in _forms(secret)}
        shown |= {form: self.key_shown for form in _forms(integration_key)}
        self._shown = sorted(shown.items(), key=lambda item: len(item[0]), reverse=True)

    def text(self, text: str) -> str:
        """The text with everything secret replaced, the longest first: one secret may be a part of another."""
        for form, shown in self._shown:
            text = text.replace(form, shown)
        if "\n" in text or "\\n" in text:
            text = self._hide_broken(text)
        return re.sub(_LOGIN, _without_login, text) if "@" in text or "%40" in text else text

    def _hide_broken(self, text: str) -> str:
        """The same of what is broken into lines."""
        whole = re.sub(_BREAK, "", text)
        for form, shown in self._shown:
            if form in whole:
                text = re.sub(rf"(?:{_BREAK})*".join(map(re.escape, form)), shown, text)
        return text

    def all(self, value: Any) -> Any:
        """The same for every string in a JSON value, the names in objects included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(name): self.all(item) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.all(item) for item in value)
        return value


def _without_login(found: re.Match[str]) -> str:
    slashes, *ends = filter(None, found.groups())
    return f"{slashes}{HIDDEN}{ends[0]}"


def _forms(secret: str) -> Iterator[str]:
    """The ways in which a secret may be written; none for an empty one."""
    if not secret:
        return
    quoted = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    yield from {secret, *quoted, *(re.sub("%..", lambda byte: byte[0].lower(), form) for form in quoted)}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        raw = secret.encode("utf-8", "surrogatepass")
        yield encode(raw).decode()
        yield encode(raw).decode().rstrip("=")
        # Within a longer text that is encoded, the secret starts at one of three places in a group of three bytes; what
        # is encoded together with its neighbours is left out.
        for before in range(3):
            first, last = (before * 8 + 5) // 6, (before + len(raw)) * 8 // 6
            yield encode(b"\0" * before + raw).decode()[first:last]
