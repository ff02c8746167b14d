"""One example, and what the pipe did with it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sandbox.calls import Call
from tests.bitbucket_api import Request

SANDBOX, API = b"http://sandbox", b"http://api"  # stand for the addresses of the two servers
NO_ANSWERS: Mapping[str, tuple[tuple[int, bytes], ...]] = {}


@dataclass(frozen=True)
class Example:
    """`answers`: by kind (`arena.KINDS`), what Bitbucket's API answers, status and body, the last of them again and
    again; a kind that is not among them is 404."""

    environ: dict[bytes, bytes]
    file: bytes | None = None  # bitbucket-pipelines.yml
    report: bytes | None = None  # test-results/junit.xml
    answers: Mapping[str, tuple[tuple[int, bytes], ...]] = field(default_factory=lambda: NO_ANSWERS)
    walled: bool = True  # read by children of the pipe's process, as always, or by itself, which is faster

    def __repr__(self) -> str:
        parts = [f"{self.environ!r}"]
        parts += [f"{name}={getattr(self, name)!r}" for name in ("file", "report") if getattr(self, name) is not None]
        parts += [f"answers={dict(self.answers)!r}"] if self.answers else []
        parts += [] if self.walled else ["walled=False"]
        return f"Example({', '.join(parts)})"


@dataclass(frozen=True)
class Played:
    status: int
    stdout: str
    stderr: str
    calls: tuple[Call, ...]  # what PagerDuty received
    asked: tuple[Request, ...]  # what Bitbucket was asked
    served: tuple[tuple[str, int, bytes], ...]  # and answered: kind, status, body

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        return [call.event for call in self.calls]

    @cached_property
    def printed(self) -> list[dict[str, Any]]:
        lines = [*self.stdout.splitlines(), *self.log.splitlines()]
        return [json.loads(line) for line in lines if line.startswith("{")]

    @cached_property
    def log(self) -> str:
        """The log without its own colours."""
        return re.sub(r"(?m)^\x1b\[\d\dm(.*)\x1b\[0m$", r"\1", self.stderr)

    def of(self, action: str, *, accepted: bool = False) -> list[dict[str, Any]]:
        """The events of that action which were sent, or, with `accepted`, taken in or printed."""
        sent = [call.event for call in self.calls if not accepted or call.status == 202]
        return [event for event in (*sent, *(self.printed if accepted else ())) if event.get("event_action") == action]
