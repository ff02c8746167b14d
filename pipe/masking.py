"""What may never be read in a log, an error, a URL or an event: the integration key and the tokens."""

from __future__ import annotations

import re
from typing import Any

SHORTEST = 12  # characters; a shorter value would mask half the log, and no key or token is that short


class Mask:
    """Replaces every secret it was made with. Of a valid integration key the last four characters stay:
    "which service did this go to?" must be answerable."""

    def __init__(self, integration_key: str = "", others: tuple[str, ...] = ()) -> None:
        self.key_shown = f"…{integration_key[-4:]}" if integration_key else ""
        self.secrets = tuple(sorted({value for value in others if len(value) >= SHORTEST}, key=len, reverse=True))
        shown = {integration_key: self.key_shown} if integration_key else {}
        self._shown = {value: "****" for value in self.secrets} | shown
        every = sorted(self._shown, key=len, reverse=True)
        self.every = tuple(every)
        self._pattern = re.compile("|".join(map(re.escape, every))) if every else None

    def text(self, text: str) -> str:
        if not self._pattern:
            return text
        text = self._pattern.sub(lambda found: self._shown[found.group()], text)
        return self._without_cut_off(text)

    def _without_cut_off(self, text: str) -> str:
        """Whoever cut the text may have cut a secret: its beginning at the text's end goes as well."""
        body, ellipsis = (text[:-1], "…") if text.endswith("…") else (text, "")
        for secret in self.every:
            for length in range(len(secret) - 1, SHORTEST // 2 - 1, -1):
                if body.endswith(secret[:length]):
                    return f"{body[:-length]}****{ellipsis}"
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
