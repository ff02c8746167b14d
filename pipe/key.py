"""What an alert is about: the dedup key, the same for the build that breaks and for the build that mends.

Nothing that changes from run to run is in it. It never changes again: a changed key strands every open alert.
"""

from __future__ import annotations

import hashlib

from pipe.build import Build

LIMIT = 255  # characters; PagerDuty rejects a longer dedup_key, it does not cut it
KEPT = 190  # characters of a longer key that stay readable in front of its SHA-256


def dedup_key(build: Build, alert_name: str = "", override: str = "", *, result_unknown: bool = False) -> str:
    """The key of this build's alert, at most 255 characters; `override` is the variable `DEDUP_KEY`."""
    key = override or f"bitbucket:{build.repository}:{_subject(build)}" + (f":{alert_name}" if alert_name else "")
    if result_unknown:
        key += ":result unknown"
    if len(key) <= LIMIT:
        return key
    return f"{key[:KEPT]}:{hashlib.sha256(key.encode()).hexdigest()}"


def _subject(build: Build) -> str:
    if build.environment:
        return f"deployment/{build.environment}"
    if build.pull_request:
        return f"pr/{build.pull_request}"
    if build.tag:
        return "tags"
    if build.branch:
        return f"branch/{build.branch}"
    return "detached"
