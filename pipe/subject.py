"""What an alert is about, and its dedup key: the same for the build that breaks and for the build that fixes.

Nothing that changes from run to run is in it. It never changes again: a changed key strands every open alert.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from pipe.build import Build

MAX_KEY_LENGTH = 255  # characters; PagerDuty rejects a longer dedup_key, it does not cut it
KEPT_LENGTH = 190  # characters of a longer key that stay readable in front of its SHA-256
UNKNOWN = ":result unknown"
STEP = "step"
REF_UNKNOWN = "ref unknown"
DETACHED = "detached"

# A number at the start of a word, a `v` before it kept. Words are split at everything but letters and digits, and not
# at a dot between digits. Else a number at the end of the tag.
_VERSION = r"(?is)(?<![^\W_])(v|(?<![0-9]\.))[0-9].*"
_NUMBER_AT_THE_END = r"[0-9]+(\.[0-9]+)*$"


class Subject(NamedTuple):
    """*Where* and *what*, or a DEDUP_KEY for both. `value` is what *where* takes: `main`, `42`, the whole tag."""

    repository: str
    where: str  # branch/main, pr/42, deployment/production, tag/api-v, detached
    value: str
    what: str  # step, step/unit tests, default, custom/nightly, name/NAME; "" for a pipeline of its branch
    custom: str = ""  # the custom pipeline's name, where a pipeline speaks
    given_key: str = ""  # DEDUP_KEY
    name: str = ""  # ALERT_NAME

    @property
    def scope(self) -> str:
        """The place in words, to follow a noun; empty where it is not known."""
        kind, _, name = self.where.partition("/")
        words = {"branch": "on {}", "pr": "in pull request {}", "tag": "on tags {}…", "deployment": "in {}"}
        return words.get(kind, "without a branch" if self.is_detached else "").format(name)

    @property
    def prefix(self) -> str:
        return f"bitbucket:{self.repository}:{self.where}"

    @property
    def whole_key(self) -> str:
        """The key before it is made to fit."""
        return self.given_key or ":".join(filter(None, (self.prefix, self.what)))

    @property
    def key(self) -> str:
        """At most 255 characters; empty where nothing says which repository it is about."""
        return _fitted(self.whole_key) if self.given_key or self.repository else ""

    @property
    def unknown_key(self) -> str:
        """Of the alert that says that a result cannot be told: whatever the pipeline or step, one for each *where*."""
        return _fitted((self.given_key or self.prefix) + UNKNOWN) if self.given_key or self.repository else ""

    @property
    def is_step(self) -> bool:
        return self.what == STEP or self.what.startswith(f"{STEP}/")

    @property
    def is_placed(self) -> bool:
        """Whether it is known on which ref the build ran."""
        return self.where != REF_UNKNOWN

    @property
    def is_detached(self) -> bool:
        return self.where == DETACHED

    @property
    def is_deployment(self) -> bool:
        return self.where.startswith("deployment/")

    @property
    def key_fits(self) -> bool:
        """Whether only builds of this place can have this key: what *where* takes, and a custom pipeline's name, stand
        in a DEDUP_KEY as whole words."""
        wanted = filter(None, (self.value, self.custom))
        return not self.given_key or (bool(self.value) and all(_has_word(self.given_key, word) for word in wanted))


def of_step(build: Build, alert_name: str, dedup_key: str) -> Subject:
    where, value = (f"deployment/{build.deployment}", build.deployment) if build.deployment else _where(build)
    what = f"{STEP}/{alert_name}" if alert_name else STEP
    return Subject(build.repository, where, value, what, "", dedup_key, alert_name)


def of_pipeline(
    build: Build, alert_name: str = "", dedup_key: str = "", selector: tuple[str, str] = ("", "")
) -> Subject:
    """`selector`: what started the pipeline, its type and pattern, where that is known."""
    where, value = _where(build)
    kind, pattern = selector
    which = {"default": "default", "custom": f"custom/{pattern}"}.get(kind)
    if not build.ref_known and not which:
        which = "/".join(filter(None, selector))
    what = ":".join(filter(None, (which, f"name/{alert_name}" if alert_name else "")))
    return Subject(build.repository, where, value, what, pattern if kind == "custom" else "", dedup_key, alert_name)


def _where(build: Build) -> tuple[str, str]:
    """The place, and the value that it takes."""
    if not build.ref_known:
        return REF_UNKNOWN, ""
    if build.pull_request:
        return f"pr/{build.pull_request}", build.pull_request
    if build.tag:
        return f"tag/{line_of(build.tag)}", build.tag
    if build.branch:
        return f"branch/{build.branch}", build.branch
    return DETACHED, ""


def line_of(tag: str) -> str:
    """What the tags of one line of releases share: the next release of that line fixes the last one."""
    if found := re.search(_VERSION, tag):
        return tag[: found.start()] + found[1]
    return re.sub(_NUMBER_AT_THE_END, "", tag)


def _has_word(text: str, word: str) -> bool:
    """Letters, digits and `_` join words, and so does a dot between digits: `1.4` is no word of `1.4.2`."""
    before = r"(?<!\w)" + (r"(?<![0-9]\.)" if word[0].isdigit() else "")
    after = r"(?!\w)" + (r"(?!\.[0-9])" if word[-1].isdigit() else "")
    return re.search(before + re.escape(word) + after, text) is not None


def _fitted(key: str) -> str:
    if len(key) <= MAX_KEY_LENGTH:
        return key
    return f"{key[:KEPT_LENGTH]}:{hashlib.sha256(key.encode()).hexdigest()}"
