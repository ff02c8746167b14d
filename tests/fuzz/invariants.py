"""What must hold of every run, whatever it was given."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Iterator
from urllib.parse import unquote

from tests.conftest import UNSEEN, strings
from tests.fuzz import tables, values
from tests.fuzz.example import Example, Played

LINE = re.compile(r"(INFO: |WARNING: |DEBUG: |✔ |✖ |\{|$)")  # what a line of the log begins with


class Violation(AssertionError):
    """`kind` is what the figures call it."""

    def __init__(self, kind: str, said: str) -> None:
        super().__init__(f"{kind}: {said}")
        self.kind = kind


def check(example: Example, played: Played, figures: Counter[str]) -> None:
    _ends_well(played)
    _leaks_nothing(example, played)
    _shows_nothing_unseen(played)
    _is_accepted(played)
    for resolve in played.of("resolve"):
        figures["resolves"] += 1
        if why := tables.why_not(example, played, resolve):
            raise Violation("resolves that no table gives", f"{resolve.get('dedup_key')} was resolved, but {why}")
    if why := tables.why_a_page_is_due(example, played):
        figures["failures"] += 1
        if not played.of("trigger", accepted=True):
            raise Violation("lost pages", f"{why}, and no trigger was taken in or printed\n{played.log}")


def _ends_well(played: Played) -> None:
    for words in ("Traceback", "pipe itself failed", "Please report this"):
        if words in played.stdout + played.stderr:
            raise Violation("tracebacks", played.stderr)
    if played.status not in (0, 1):
        raise Violation("tracebacks", f"exit status {played.status}\n{played.stderr}")


def secrets(environ: dict[bytes, bytes]) -> list[bytes]:
    """Those that the run was given as such."""
    known = (*values.SECRETS.values(), values.KEY[:20])
    found = [values.LOGIN]
    for name in (*values.SECRETS, b"PAGERDUTY_INTEGRATION_KEY"):
        value = environ.get(name, b"").strip().strip(b"\"'").strip()
        found += [
            secret for secret in known if value == secret or value.endswith(b"/integration/" + secret + b"/enqueue")
        ]
    return found


def _leaks_nothing(example: Example, played: Played) -> None:
    hidden = secrets(example.environ)
    for where, text in _shown(played):
        for secret in hidden:
            if any(secret in form for form in _readings(text)):
                raise Violation("leaks", f"{secret!r} stands in {where}:\n{text}")


def _shown(played: Played) -> Iterator[tuple[str, str]]:
    yield "stdout", played.stdout
    yield "the log", played.stderr
    for call in played.calls:
        yield "an event", json.dumps({**call.event, "routing_key": ""}, ensure_ascii=False)
        yield "a call's head", "\n".join([call.path, *(f"{name}: {value}" for name, value in call.fields)])
    for request in played.asked:
        heads = (f"{name}: {value}" for name, value in request.headers.items() if name != "authorization")
        yield "a question to Bitbucket", "\n".join([request.path, json.dumps(request.query), *heads])


def _readings(text: str) -> Iterator[bytes]:
    """As it stands, without percent-encoding, and without base64 wherever that begins."""
    yield text.encode("utf-8", "surrogateescape")
    if "%" in text:
        yield unquote(text).encode("utf-8", "replace")
    for run in re.findall(r"[A-Za-z0-9+/_-]{16,}", text):
        plain = run.translate(str.maketrans("-_", "+/"))
        for begin in range(4):
            piece = plain[begin:]
            piece = piece[: len(piece) - (len(piece) % 4 == 1)]
            try:
                yield base64.b64decode(piece + "=" * (-len(piece) % 4))
            except binascii.Error:
                continue


def _shows_nothing_unseen(played: Played) -> None:
    for line in (*played.log.split("\n"), *played.stdout.split("\n")):
        if found := UNSEEN.search(line):
            raise Violation("leaks", f"{found[0]!r} stands in the log: {line!r}")
        if not LINE.match(line):
            raise Violation("leaks", f"this line of the log is none of the pipe's: {line!r}")
    for text in strings(played.events):
        if found := UNSEEN.search(text):
            raise Violation("leaks", f"{found[0]!r} stands in an event: {text!r}")


def _is_accepted(played: Played) -> None:
    for call in played.calls:
        not_for_changes = call.path == "/v2/change/enqueue" and str(call.event.get("routing_key")).startswith("R")
        if call.status != 202 and call.status != 429 and not not_for_changes:
            raise Violation("refused bodies", f"{call.status} {call.reason}\n{call.body!r}")
