"""The bodies of Events API v2, and their limits.

Limits and fields: "Events API v2 Overview", "Send an Alert Event" and "Send a Change Event" in PagerDuty's developer
documentation [D]; that a longer summary or dedup key is refused, not cut, was seen in real answers [O].
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pipe import title
from pipe.build import Build
from pipe.decision import Decision
from pipe.evidence import Evidence
from pipe.lib.text import shown, undecorated
from pipe.outcome import Outcome, Result
from pipe.settings import Settings
from pipe.subject import Subject

MAX_SUMMARY_LENGTH = 1024  # characters
MAX_FIELD_LENGTH = 1024  # characters of source, component, group and class; PagerDuty states none
MAX_BODY_BYTES = 512_000  # of encoded JSON; the documentation says 512 KB
MAX_SHOWN_LENGTH = 200  # characters of a summary in a log line
ROUTING_KEY_BYTES = 64  # of the routing key and its name


class Event(NamedTuple):
    """One event, complete but for the routing key. `path` is its endpoint below the base address."""

    path: str
    body: dict[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def action(self) -> str:
        return str(self.body.get("event_action", "change"))

    @property
    def dedup_key(self) -> str:
        return str(self.body.get("dedup_key", ""))

    @property
    def summary(self) -> str:
        text = str(self.body["payload"]["summary"])
        return text if len(text) <= MAX_SHOWN_LENGTH else f"{text[:MAX_SHOWN_LENGTH]}…"

    def encoded(self, routing_key: str) -> bytes:
        return _encoded({"routing_key": routing_key, **self.body})

    def smallest(self, refusal: str) -> Event | None:
        """The event in the fewest fields that PagerDuty takes, a trigger with its refusal of the whole one; None where
        there is none that is smaller."""
        payload = self.body.get("payload", {})
        if "timestamp" not in payload or self.action == "change":
            return None
        body: dict[str, Any] = {name: self.body[name] for name in ("event_action", "dedup_key") if name in self.body}
        if self.action == "trigger":
            kept = {name: payload[name] for name in ("summary", "source", "severity") if name in payload}
            details = _left_out(payload, f"PagerDuty refused the whole event: {refusal}")
            body["payload"] = kept | {"custom_details": details}
        return Event(self.path, body)


class Story(NamedTuple):
    """All that an event tells: the build that it is about, how it went, and what is known beside it."""

    build: Build
    outcome: Outcome
    subject: Subject
    timestamp: str  # RFC 3339
    evidence: Evidence
    step_name: str = ""
    newer_build: str = ""  # "#813 SUCCESSFUL https://…"
    newer_passed: str = ""  # "#813"
    warnings: tuple[str, ...] = ()
    ways_to_tell: tuple[str, ...] = ()


def alert(settings: Settings, story: Story, decision: Decision) -> Event:
    """A trigger, acknowledge or resolve event; the same complete payload on each, which lets orchestration rules match
    the resolve too (a partial one is refused [O])."""
    build, unknown = story.build, decision.result_unknown
    own = title.of_unknown(settings, story, decision) if unknown else title.of_alert(settings, story, decision)
    summary, cut = _shortened(settings.mask.text(own if unknown else settings.summary or own))
    payload = {
        "summary": summary,
        "source": _field(settings.source or f"bitbucket.org/{build.repository}"),
        "severity": "warning" if unknown else settings.severity,
        "timestamp": story.timestamp,
        "component": _field(settings.component or build.slug),
        "group": _field(settings.group or build.project or build.workspace),
        "class": _field(settings.class_ or ("deployment" if story.subject.is_deployment else "build")),
    }
    key = story.subject.unknown_key if unknown else story.subject.key
    body: dict[str, Any] = {"event_action": decision.action} | ({"dedup_key": key} if key else {})
    body |= _content(settings, payload, _details(story, cut, decision), _links(settings, story))
    if decision.action == "trigger":
        body |= {"client": "Bitbucket Pipelines"} | ({"client_url": build.pipeline_url} if build.pipeline_url else {})
    return _event("/v2/enqueue", body, cut)


def change(settings: Settings, story: Story) -> Event:
    """A change event: it has no action, no dedup key, no severity and no client, and pages nobody."""
    build = story.build
    what = f"deployed to {build.environment}" if build.environment else "ran"
    summary, cut = _shortened(settings.mask.text(settings.summary or title.sentence(story, what)))
    payload = {
        "summary": summary,
        "source": _field(settings.source or f"bitbucket.org/{build.repository}"),
        "timestamp": story.timestamp,
    }
    body = _content(settings, payload, _details(story, cut), _links(settings, story))
    return _event("/v2/change/enqueue", body, cut)


def _content(settings: Settings, payload: dict[str, Any], details: dict[str, Any], links: list[Any]) -> dict[str, Any]:
    """Payload and links without empty fields, of which PagerDuty refuses some, and with every secret masked."""
    conceal = settings.mask.all
    full = {name: conceal(_seen(value)) for name, value in payload.items() if value}
    full["custom_details"] = conceal(_seen(details)) | conceal(_seen(settings.custom_details))
    return {"payload": full} | ({"links": conceal(_seen(links))} if links else {})


def _seen(value: Any) -> Any:
    """A JSON value without what is not seen: escape sequences, control characters and marks of the reading order."""
    if isinstance(value, str):
        return "\n".join(map(shown, undecorated(value).split("\n")))
    if isinstance(value, dict):
        return {_seen(name): _seen(item) for name, item in value.items()}
    return [_seen(item) for item in value] if isinstance(value, list) else value


def _shortened(summary: str) -> tuple[str, tuple[str, ...]]:
    """At most 1024 characters of it, and a warning if it was longer."""
    if len(summary) <= MAX_SUMMARY_LENGTH:
        return summary, ()
    warning = f"The summary had {len(summary)} characters and was cut to {MAX_SUMMARY_LENGTH}, PagerDuty's limit."
    return f"{summary[: MAX_SUMMARY_LENGTH - 1]}…", (warning,)


def _details(story: Story, cut: tuple[str, ...], decision: Decision | None = None) -> dict[str, Any]:
    """The pipe's own details, under names that never change: orchestration rules read them."""
    build, outcome, evidence = story.build, story.outcome, story.evidence
    details: dict[str, Any] = {
        "repository": build.repository,
        "branch": build.branch,
        "tag": build.tag,
        "pull_request": _number(build.pull_request),
        "environment": build.environment,
        "build_number": _number(build.number),
        "commit": build.commit,
        "commit_message": evidence.commit_message,
        "commit_author": evidence.commit_author,
        "step": story.step_name,
        "exit_code": outcome.exit_code,
        "failed_steps": list(outcome.failed_steps),
        "error": outcome.error,
        "failed_tests_total": evidence.failed_tests_total,
        "failed_tests": list(evidence.failed_tests),
        "log_tail": evidence.log_tail,
        "rerun": build.step_run if build.step_run > 1 else None,
        "newer_build": story.newer_build,
        "resolves": decision and decision.resolves,
        "pipe_warnings": [*story.warnings, *cut],
    }
    if decision and decision.result_unknown and decision.action == "trigger":
        details |= {"reason": outcome.reason, "ways_to_tell": list(story.ways_to_tell)}
    return {name: value for name, value in details.items() if value not in ("", None, [])}


def _links(settings: Settings, story: Story) -> list[dict[str, str]]:
    build, outcome = story.build, story.outcome
    own = [("Pipeline", build.pipeline_url), ("Commit", build.commit_url), ("Pull request", build.pull_request_url)]
    if outcome.result is Result.FAILED:
        uuid = outcome.failed_step_uuid or (build.step_uuid if outcome.of_step else "")
        own.insert(0, ("Failed step", build.step_url(uuid)))
    found: dict[str, str] = {}
    for text, href in (*settings.links, *own):
        if href:
            found.setdefault(href, text)
    return [{"href": href} | ({"text": text} if text else {}) for href, text in found.items()]


def _event(path: str, body: dict[str, Any], warnings: tuple[str, ...]) -> Event:
    """The event within PagerDuty's size: the details give way first, then the links, never the page."""
    spare = MAX_BODY_BYTES - ROUTING_KEY_BYTES
    size = len(_encoded(body))
    if size <= spare:
        return Event(path, body, warnings)
    note = f"The details were left out: with them the event had {size} bytes, PagerDuty takes {MAX_BODY_BYTES}."
    details = _left_out(body["payload"], note)
    body = {**body, "payload": {**body["payload"], "custom_details": details}}
    if len(_encoded(body)) > spare:
        details["note"] = note = note.replace("The details", "The details and the links")
        body = {name: value for name, value in body.items() if name not in ("links", "client_url")}
    return Event(path, body, (*warnings, note))


def _left_out(payload: dict[str, Any], note: str) -> dict[str, str]:
    """What stands in the place of the details: why, and what resolves the alert (a user's own may be anything)."""
    resolves = payload["custom_details"].get("resolves")
    return {"note": note} | ({"resolves": _field(str(resolves))} if resolves else {})


def _encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else text


def _field(text: str) -> str:
    return text[:MAX_FIELD_LENGTH]
