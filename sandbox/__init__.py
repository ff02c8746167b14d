"""A local, stateful PagerDuty Events API v2: strict like the real one, with a page to look at and faults on request."""

from sandbox.calls import Call
from sandbox.server import Sandbox

__all__ = ["Call", "Sandbox"]
