"""A model of PagerDuty: which alerts are open, by integration key and dedup key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MAX_DEDUP_KEY_LENGTH = 255
MAX_SUMMARY_LENGTH = 1024

Key = tuple[str, str]  # integration key, dedup key


class Refused(Exception):
    """PagerDuty answers 400: nobody is paged."""


@dataclass
class Alert:
    """An open alert, with what its page says will resolve it. A trigger without a dedup key opens one of its own."""

    key: Key
    summary: str
    resolves: str
    opened_by: Any = None  # the run of the pipe
    swallowed: list[Any] = field(default_factory=list)  # the runs of the pipe whose triggers it took in

    @property
    def by_hand(self) -> bool:
        return self.resolves.startswith("by hand")

    @property
    def by_hand_only(self) -> bool:
        return self.by_hand and not self.by_next_known_result

    @property
    def by_next_known_result(self) -> bool:
        """Of a result that could not be told: `by hand, or by the next known result of a pipeline on main`."""
        return "by the next known result of a pipeline" in self.resolves

    @property
    def names_what_it_swallows(self) -> bool:
        return "until then" in self.resolves


@dataclass
class PagerDuty:
    open: dict[Key, Alert] = field(default_factory=dict)
    without_key: list[Alert] = field(default_factory=list)

    def trigger(self, service: str, body: dict[str, Any], run: Any) -> tuple[Alert, bool]:
        """The alert, and whether it is a new one: a trigger with the key of an open alert is merged into that."""
        _check(body)
        payload = body["payload"]
        key = (service, body.get("dedup_key", ""))
        if key[1] and key in self.open:
            self.open[key].swallowed.append(run)
            return self.open[key], False
        alert = Alert(key, payload["summary"], str(payload["custom_details"].get("resolves", "")), run)
        if key[1]:
            self.open[key] = alert
        else:
            self.without_key.append(alert)
        return alert, True

    def resolve(self, service: str, body: dict[str, Any]) -> Alert | None:
        """The alert that it closed; resolving what is not open is dropped without a word."""
        _check(body)
        return self.open.pop((service, body["dedup_key"]), None)

    def resolve_by_hand(self, which: int) -> Alert | None:
        keys = sorted(self.open)
        return self.open.pop(keys[which % len(keys)]) if keys else None


def _check(body: dict[str, Any]) -> None:
    if len(body.get("dedup_key", "")) > MAX_DEDUP_KEY_LENGTH:
        raise Refused("the dedup key is too long")
    if not 0 < len(body["payload"]["summary"]) <= MAX_SUMMARY_LENGTH:
        raise Refused("the summary is empty or too long")
    if not body["payload"]["source"].strip():
        raise Refused("'payload.source' is missing or blank")
    if body["payload"]["severity"] not in ("critical", "error", "warning", "info"):
        raise Refused("'payload.severity' is invalid")
