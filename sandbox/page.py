"""The page for a person: what the sandbox holds, as HTML in which no event can hide markup, script or a bad link."""

import json
import re
from collections import Counter
from collections.abc import Mapping

from flask import render_template

from sandbox.api import EventsApi
from sandbox.calls import Journal
from sandbox.faults import Faults

INCIDENTS_SHOWN = 50
CHANGES_SHOWN = 20
REFUSALS_SHOWN = 20
ROWS_SHOWN = 100
"""Details of one event, and events of one incident."""
TEXT_SHOWN = 4_000
"""Characters of one detail. The page reloads every two seconds; /incidents has all of it."""


def render(api: EventsApi, journal: Journal, faults: Faults, base_url: str, nonce: str) -> str:
    """The whole page, the newest first in every list."""
    incidents = api.incidents()
    # Numbered by arrival, so that the page can tell what it has shown before.
    changes = list(enumerate(api.changes()))
    refusals = [(number, call) for number, call in enumerate(journal.calls()) if call.status != 202]
    return render_template(
        "page.html",
        counts=Counter(incident["status"] for incident in incidents),
        incidents=incidents[: -INCIDENTS_SHOWN - 1 : -1],
        changes=changes[: -CHANGES_SHOWN - 1 : -1],
        refusals=refusals[: -REFUSALS_SHOWN - 1 : -1],
        faults=len(faults),
        base_url=base_url.rstrip("/"),
        nonce=nonce,
        rows_shown=ROWS_SHOWN,
        is_web_address=is_web_address,
        shown=shown,
    )


def headers(nonce: str) -> Mapping[str, str]:
    """Nothing but the page's own style and script may run: a second lock behind the template's escaping."""
    own = f"'nonce-{nonce}'"
    policy = f"default-src 'none'; style-src {own}; script-src {own}; connect-src 'self'; img-src data:"
    return {
        "Content-Security-Policy": f"{policy}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }


def is_web_address(text: object) -> bool:
    """Whether a link to `text` is only that: no javascript:, data: or the like."""
    return isinstance(text, str) and re.fullmatch(r"https?://[^\s\\]+", text, re.IGNORECASE) is not None


def shown(value: object) -> str:
    """A detail of any type as text of bounded length."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    left_out = len(text) - TEXT_SHOWN
    return text if left_out <= 0 else f"{text[:TEXT_SHOWN]}… ({left_out} more characters)"
