"""The page for a person, address by address: incidents, calls, change events, and how to use the sandbox."""

import json
from typing import Any

from flask import Blueprint, Response, abort, g, render_template, request, send_from_directory

from sandbox import view
from sandbox.calls import mask, without_key
from sandbox.incident import Entry, Incident
from sandbox.parts import here

ROWS_SHOWN = 200
"""Of each list: the newest."""
PRESETS = (
    ("503, then all is well", '[{"status": 503}]'),
    ("429 with Retry-After: 2", '[{"status": 429, "headers": {"Retry-After": "2"}}]'),
    ("400 Invalid routing key", '[{"status": 400, "body": "Invalid routing key"}]'),
    ("three times 500", '[{"status": 500, "times": 3}]'),
    ("no answer", '[{"drop": true}]'),
    ("taken in, but no answer", '[{"drop_after_accept": true}]'),
    ("5 seconds late", '[{"delay": 5}]'),
)
"""Faults that the page offers: what they are called, and what is asked for."""


def create() -> Blueprint:  # noqa: C901 (a list of addresses)
    blueprint = Blueprint("pages", __name__)

    @blueprint.before_request
    def spare() -> Response | None:
        """No answer but 304 while the browser has the page as it is: pages ask once a second."""
        parts = here()
        g.version = f"{parts.started}-{parts.api.version}-{parts.journal.version}-{parts.faults.version}"
        return Response(status=304) if request.if_none_match.contains(g.version) else None

    def page(template: str, **values: Any) -> Response:
        html = render_template(
            template,
            open_now=len(here().api.alerts()),
            seen={"incidents": here().api.opened, "calls": here().journal.total, "changes": len(here().api.changes())},
            query=request.args.get("q", ""),
            url=request.host_url.rstrip("/"),
            **values,
        )
        # A lone surrogate is JSON, but no UTF-8.
        response = Response(html.encode("utf-8", "replace"), mimetype="text/html")
        response.set_etag(g.version)
        return response

    @blueprint.get("/")
    def incidents() -> Response:
        kept = here().api.incidents()
        found = [row for row in map(view.incident_row, reversed(kept)) if row.matches(request.args.get("q", ""))]
        left_out = len(found[ROWS_SHOWN:]) + here().api.opened - len(kept)
        return page("incidents.html", rows=found[:ROWS_SHOWN], left_out=left_out)

    @blueprint.get("/incident/<int:number>")
    def incident(number: int) -> Response:
        found = here().api.incident(number) or abort(404)
        entries = _numbered(found)
        latest = next(at for at, entry in reversed(entries) if entry is found.latest or at == 1)
        shown = request.args.get("event", latest, int)
        event = _event(found, shown)
        return page(
            "incident.html",
            row=view.incident_row(found),
            incident=found,
            entries=[view.entry_row(at, entry) for at, entry in reversed(entries)],
            number=shown,
            latest=latest,
            shown=view.event_view(event),
            raw=_pretty(event),
        )

    @blueprint.get("/incident/<int:number>/event/<int:event>/raw")
    def raw(number: int, event: int) -> Response:
        found = here().api.incident(number) or abort(404)
        return Response(_pretty(_event(found, event)).encode("utf-8", "replace"), mimetype="application/json")

    @blueprint.get("/calls")
    def calls() -> Response:
        kept = here().journal.numbered()
        rows = (view.call_row(number, call) for number, call in reversed(kept))
        found = [row for row in rows if row.matches(request.args.get("q", ""))]
        left_out = len(found[ROWS_SHOWN:]) + here().journal.total - len(kept)
        return page("calls.html", rows=found[:ROWS_SHOWN], left_out=left_out)

    @blueprint.get("/call/<int:number>")
    def call(number: int) -> Response:
        found = here().journal.get(number) or abort(404)
        event = found.json
        body = mask(found.body.decode("utf-8", "replace"), event) if event is None else _pretty(event)
        headers = [(name, mask(value, event)) for name, value in found.fields]
        return page("call.html", row=view.call_row(number, found), call=found, headers=headers, raw=body)

    @blueprint.get("/change-events")
    def change_events() -> Response:
        kept = dict(here().api.changes())
        rows = (view.change_row(number, change) for number, change in reversed(kept.items()))
        found = [row for row in rows if row.matches(request.args.get("q", ""))]
        events = {row.number: view.event_view(kept[row.number].event) for row in found[:ROWS_SHOWN]}
        return page("changes.html", rows=found[:ROWS_SHOWN], events=events, left_out=len(found[ROWS_SHOWN:]))

    @blueprint.get("/how")
    def how() -> Response:
        return page("how.html", waiting=here().faults.waiting(), presets=PRESETS)

    @blueprint.get("/<any('style.css', 'page.js'):name>")
    def file(name: str) -> Response:
        return send_from_directory("page", name, max_age=0)

    return blueprint


def _numbered(incident: Incident) -> list[tuple[int, Entry]]:
    """The timeline's entries with their numbers, which stay when others are forgotten."""
    first, *others = incident.timeline
    return [(1, first), *enumerate(others, start=2 + incident.forgotten)]


def _event(incident: Incident, number: int) -> Any:
    """The event behind that entry of the timeline; 404 where there is none, as behind what was done by hand."""
    return dict(_numbered(incident)).get(number, Entry(0, "")).event or abort(404)


def _pretty(event: Any) -> str:
    return json.dumps(without_key(event), ensure_ascii=False, indent=2)
