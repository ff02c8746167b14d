"""The bodies of Events API v2, and their limits.

Limits and fields: "Events API v2 Overview", "Send an Alert Event" and "Send a Change Event" in PagerDuty's developer
documentation; that a longer summary or dedup key is refused, not cut, was seen in real answers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pipe.build import Build
from pipe.decision import Decision
from pipe.evidence import Evidence
from pipe.key import dedup_key
from pipe.outcome import Outcome, Result
from pipe.variables import Settings

SUMMARY_LIMIT = 1024  # characters
FIELD_LIMIT = 1024  # characters of source, component, group and class; PagerDuty states none, a longer one is a mistake
LARGEST_BODY = 512_000  # bytes of encoded JSON; the documentation says 512 KB
LARGEST_SHOWN = 200  # characters of a summary in a log line
WAYS_TO_TELL = (
    "In a step's after-script, map `EXIT_CODE: $BITBUCKET_EXIT_CODE`.",
    "In a `final:` step, give BUILD_STATUS from an output variable that the steps before it write.",
    "In a `final:` step, give BITBUCKET_ACCESS_TOKEN, an access token with the scope Pipelines: read.",
)


@dataclass(frozen=True)
class Event:
    """One event, complete but for the routing key. `path` is its endpoint below the base address."""

    path: str
    body: dict[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def action(self) -> str:
        return self.body.get("event_action", "change")

    @property
    def dedup_key(self) -> str:
        return self.body.get("dedup_key", "")

    @property
    def summary(self) -> str:
        text = self.body["payload"]["summary"]
        return text if len(text) <= LARGEST_SHOWN else f"{text[:LARGEST_SHOWN]}…"

    def encoded(self, routing_key: str) -> bytes:
        return _encoded({"routing_key": routing_key, **self.body})


def alert(
    settings: Settings,
    build: Build,
    outcome: Outcome,
    decision: Decision,
    evidence: Evidence,
    warnings: tuple[str, ...],
    step_name: str = "",
) -> Event:
    """A trigger, acknowledge or resolve event; the same complete payload on each, which lets orchestration rules match
    the resolve too (a partial one is refused). `warnings` go into the detail `pipe_warnings`."""
    unknown = decision.result_unknown
    own = _summary(settings, build, outcome, decision)
    summary, cut = shorten(own if unknown else settings.summary or own)
    details = _details(build, outcome, decision, evidence, (*warnings, *cut), step_name)
    payload = {
        "summary": summary,
        "source": _field(settings.source or f"bitbucket.org/{build.repository}"),
        "severity": "warning" if unknown else settings.severity,
        "component": _field(settings.component or build.slug),
        "group": _field(settings.group or build.project or build.workspace),
        "class": _field(settings.class_ or ("deployment" if build.environment else "build")),
    }
    body: dict[str, Any] = {
        "event_action": decision.action,
        "dedup_key": dedup_key(build, settings.alert_name, settings.dedup_key, result_unknown=unknown),
        **_content(settings, payload, details, _links(settings, build, outcome)),
    }
    if decision.action == "trigger":
        body |= {"client": "Bitbucket Pipelines"} | ({"client_url": build.pipeline_url} if build.pipeline_url else {})
    return _event("/v2/enqueue", body, cut)


def change(settings: Settings, build: Build, outcome: Outcome, evidence: Evidence, warnings: tuple[str, ...]) -> Event:
    """A change event: it has no action, no dedup key, no severity and no client, and pages nobody."""
    what = f"deployed to {build.environment}" if build.environment else "ran"
    summary, cut = shorten(settings.summary or _sentence(build, what))
    details = _details(build, outcome, Decision("change", ""), evidence, (*warnings, *cut), "")
    payload = {"summary": summary, "source": _field(settings.source or f"bitbucket.org/{build.repository}")}
    return _event("/v2/change/enqueue", _content(settings, payload, details, _links(settings, build, outcome)), cut)


def _content(settings: Settings, payload: dict[str, Any], details: dict[str, Any], links: list[Any]) -> dict[str, Any]:
    """Payload and links without empty fields, of which PagerDuty refuses some, and with every secret masked."""
    hide = settings.mask.all
    full = {name: hide(value) for name, value in payload.items() if value}
    full["custom_details"] = {name: hide(value) for name, value in details.items()} | settings.custom_details
    return {"payload": full} | ({"links": hide(links)} if links else {})


def shorten(summary: str) -> tuple[str, tuple[str, ...]]:
    """At most 1024 characters of it, and a warning if it was longer."""
    if len(summary) <= SUMMARY_LIMIT:
        return summary, ()
    warning = f"The summary had {len(summary)} characters and was cut to {SUMMARY_LIMIT}, PagerDuty's limit."
    return f"{summary[: SUMMARY_LIMIT - 1]}…", (warning,)


def _summary(settings: Settings, build: Build, outcome: Outcome, decision: Decision) -> str:
    subject = " ".join(settings.alert_name.split())
    if decision.result_unknown:
        what = f"{subject} of {build.label}" if subject else build.label or "the build"
        return " ".join(f"{_repository(build)}: cannot tell whether {what} {build.place} passed".split())
    if not subject and outcome.failed_steps:
        first, *more = outcome.failed_steps
        subject = f'"{first}"' + (f" and {len(more)} more" if more else "")
    if not subject:
        subject = f"deployment to {build.environment}" if build.environment else "build"
    verb = {"trigger": "failed", "resolve": "passed", "acknowledge": "acknowledged"}[decision.action]
    code = f"exit code {outcome.exit_code}" if outcome.exit_code and decision.action == "trigger" else ""
    return _sentence(build, f"{subject} {verb}", code)


def _sentence(build: Build, what: str, more: str = "") -> str:
    """`acme/shop: unit tests failed on main (#812, exit code 2)`."""
    behind = ", ".join(filter(None, (build.label, more)))
    return " ".join(f"{_repository(build)}: {what} {build.place} {behind and f'({behind})'}".split())


def _details(
    build: Build, outcome: Outcome, decision: Decision, evidence: Evidence, warnings: tuple[str, ...], step_name: str
) -> dict[str, Any]:
    """The pipe's own details, under names that never change: orchestration rules read them."""
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
        "step": step_name,
        "exit_code": outcome.exit_code,
        "failed_steps": list(outcome.failed_steps),
        "failed_tests": list(evidence.failed_tests),
        "failed_tests_total": evidence.failed_tests_total,
        "log_tail": evidence.log_tail,
        "rerun": build.step_run if build.step_run > 1 else None,
        "newer_build": outcome.newer_build,
        "resolves": f"by hand: {decision.by_hand}" if decision.by_hand else "",
        "pipe_warnings": list(warnings),
    }
    if decision.result_unknown:
        details["reason"] = outcome.reason
        details["ways_to_tell"] = list(WAYS_TO_TELL)
    return {name: value for name, value in details.items() if value not in ("", None, [])}


def _links(settings: Settings, build: Build, outcome: Outcome) -> list[dict[str, str]]:
    own = [
        ("Pipeline", build.pipeline_url),
        ("Commit", build.commit_url),
        ("Pull request", build.pull_request_url),
    ]
    if outcome.result is Result.FAILED:
        uuid = outcome.failed_step_uuid or (build.step_uuid if outcome.of_one_step else "")
        own.insert(0, ("Failed step", build.step_url(uuid)))
    return [{"href": href} | ({"text": text} if text else {}) for text, href in (*settings.links, *own) if href]


def _event(path: str, body: dict[str, Any], warnings: tuple[str, ...]) -> Event:
    """The event within PagerDuty's size: the details give way first, then the links, never the page."""
    spare = LARGEST_BODY - 64  # the routing key and its name
    size = len(_encoded(body))
    if size <= spare:
        return Event(path, body, warnings)
    note = f"The details were left out: with them the event had {size} bytes, PagerDuty takes {LARGEST_BODY}."
    details: dict[str, Any] = {"note": note}
    if resolves := body["payload"]["custom_details"].get("resolves"):
        details["resolves"] = _field(str(resolves))  # a user's own may be anything
    body = {**body, "payload": {**body["payload"], "custom_details": details}}
    if len(_encoded(body)) > spare:
        body = {name: value for name, value in body.items() if name not in ("links", "client_url")}
    return Event(path, body, (*warnings, note))


def _encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _repository(build: Build) -> str:
    return build.repository or "unknown repository"


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else text


def _field(text: str) -> str:
    return text[:FIELD_LIMIT]
