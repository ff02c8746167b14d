"""What one sandbox is made of, and which of them a call is for."""

from dataclasses import dataclass, field
from secrets import token_hex

from flask import request

from sandbox.api import EventsApi
from sandbox.calls import Journal
from sandbox.faults import Faults
from sandbox.guard import Guard
from sandbox.state import Clock

PARTS = "sandbox.parts"
"""Where a call's WSGI environment has them."""


@dataclass(frozen=True)
class Parts:
    api: EventsApi
    journal: Journal
    faults: Faults
    guard: Guard
    clock: Clock
    started: str = field(default_factory=lambda: token_hex(4))

    def forget(self) -> None:
        for memory in (self.api, self.journal, self.faults):
            memory.forget()


def here() -> Parts:
    """Those of the sandbox that is being asked."""
    found: Parts = request.environ[PARTS]
    return found
