"""The sandbox over HTTP: PagerDuty's two endpoints, and what a program asks: what came, which faults to play."""

import json
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, Response, g, redirect, request
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge

from sandbox import pages
from sandbox.api import Answer, Endpoint, too_long
from sandbox.body import LIMIT, parse
from sandbox.calls import Call, action_of
from sandbox.faults import NO_FAULT, Fault, parse_faults
from sandbox.incident import Json, last_four
from sandbox.parts import PARTS, Parts, here
from sandbox.rules import DEDUP_KEY_LIMIT, SUMMARY_LIMIT

HEADERS = {
    # A second lock behind the templates' escaping: nothing but the sandbox's own files is loaded, nothing inline runs.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
ENDPOINTS = "events"


def create_app(parts: Parts) -> WSGIApplication:
    """The one application of this process, for a sandbox made of these parts: its addresses take long to compile."""
    app = _app()

    def of_these_parts(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return app({**environ, PARTS: parts}, start_response)

    return of_these_parts


@cache
def _app() -> Flask:
    app = Flask("sandbox", root_path=str(Path(__file__).parent), template_folder="page", static_folder=None)
    app.url_map.merge_slashes = False  # PagerDuty redirects nobody.
    # One more than the limit, so that the refusal is the API's own; more is not read.
    app.config["MAX_CONTENT_LENGTH"] = LIMIT + 1
    _add_endpoints(app)
    _add_questions(app)
    _add_orders(app)
    app.register_blueprint(pages.create())

    @app.before_request
    def keep_others_out() -> Response | None:
        if request.endpoint in (None, ENDPOINTS):
            return None
        sent = request.headers
        complaint = here().guard.complaint(request.method, request.host, sent.get("Origin"), sent.get("Sec-Fetch-Site"))
        return Response(f"{complaint}\n", 403, mimetype="text/plain") if complaint else None

    @app.after_request
    def lock(response: Response) -> Response:
        if request.endpoint != ENDPOINTS:
            response.headers.update(HEADERS)
        return response

    return app


def _add_endpoints(app: Flask) -> None:
    # With a slash at the end too: PagerDuty's old client writes one. [R]
    @app.post(Endpoint.ALERT.value, defaults={"endpoint": Endpoint.ALERT}, endpoint=ENDPOINTS, strict_slashes=False)
    @app.post(Endpoint.CHANGE.value, defaults={"endpoint": Endpoint.CHANGE}, endpoint=ENDPOINTS, strict_slashes=False)
    def enqueue(endpoint: Endpoint) -> Response:
        parts, body = here(), _body()
        fault = parts.faults.take()
        if fault.status is not None or fault.drop:
            answer = Answer(fault.status or 0, fault.body)
        else:
            answer = too_long() if body is None else parts.api.take(endpoint, body)
        # Written down before any waiting: what was received can be seen while its sender still hangs.
        parts.journal.add(_call(parts.clock(), answer, fault))
        parts.faults.hold(fault)
        if fault.drops:
            _hang_up()
        return _response(answer, fault)

    @app.errorhandler(HTTPException)
    def stray(error: HTTPException) -> Any:
        """A call to no address of ours: answered like any web server's, and written down for its sender to find."""
        if request.endpoint in (None, ENDPOINTS):
            here().journal.add(_call(here().clock(), Answer(error.code or 500, "", error.name), NO_FAULT))
        return error


def _add_questions(app: Flask) -> None:
    @app.get("/incidents")
    def incidents() -> Response:
        return _listed(incident.to_json() for incident in here().api.incidents())

    @app.get("/alerts")
    def alerts() -> Response:
        return _listed(incident.alert_to_json() for incident in here().api.alerts())

    @app.get("/changes")
    def changes() -> Response:
        return _listed(change.to_json() for _, change in here().api.changes())

    @app.get("/requests")
    def requests() -> Response:
        return _listed(call.to_json() for call in here().journal.calls())


def _add_orders(app: Flask) -> None:
    @app.post("/faults")
    def ask_for_faults() -> Any:
        by_form = request.mimetype == "application/x-www-form-urlencoded"
        try:
            wanted = request.form.get("faults", "").encode() if by_form else request.get_data()
            here().faults.add(parse_faults(parse(wanted)))
        except ValueError as error:
            return _told({"error": str(error)}, 400)
        return redirect("/how", 303) if by_form else _told({"waiting": len(here().faults)}, 200)

    @app.post("/incidents/<int:number>/<any(acknowledge, resolve):action>")
    def by_hand(number: int, action: str) -> Any:
        try:
            effect = here().api.take_by_hand(number, action)
        except (LookupError, ValueError) as error:
            return _told({"error": str(error)}, 404 if isinstance(error, LookupError) else 409)
        wants_page = "text/html" in request.headers.get("Accept", "")
        return redirect(f"/incident/{number}", 303) if wants_page else _told({"effect": effect}, 200)

    @app.delete("/")
    @app.post("/reset")
    def forget() -> tuple[str, int]:
        here().forget()
        return "", 204


def _body() -> bytes | None:
    """What came, read once; None if it is over the limit, and then it is not read to its end.

    Raises BadRequest, whenever it is asked for, if the sender left in the middle of it.
    """
    if "body" not in g:
        g.body = None
        try:
            g.body = request.get_data()
        except RequestEntityTooLarge:
            pass
        except BadRequest:
            g.body = b""
            raise
    body: bytes | None = g.body
    return body


def _call(time: float, answer: Answer, fault: Fault) -> Call:
    body = _body() or b""
    try:
        event = parse(body)
    except ValueError:
        event = None
    fields = event if isinstance(event, dict) else {}
    payload = fields.get("payload")
    summary = payload.get("summary") if isinstance(payload, dict) else ""
    answered = answer.body.get("dedup_key") if isinstance(answer.body, dict) else None
    keys = (key for key in (answered, fields.get("dedup_key")) if isinstance(key, str))
    path = request.full_path.removesuffix("?")
    return Call(
        time=time,
        method=request.method,
        path=path,
        fields=tuple(request.headers),
        body=body,
        status=None if fault.drops else answer.status,
        dedup_key=next(keys, "")[: DEDUP_KEY_LIMIT + 1],
        reason="; ".join(filter(None, (str(fault), answer.reason))),
        effect=answer.effect,
        incident=answer.incident,
        action=action_of(request.method, path, event),
        key=last_four(fields.get("routing_key")),
        summary=summary[: SUMMARY_LIMIT + 1] if isinstance(summary, str) else "",
    )


def _response(answer: Answer, fault: Fault) -> Response:
    plain = isinstance(answer.body, str)
    response = Response(answer.body, mimetype="text/plain") if plain else _told(answer.body, 200)
    response.status_code = answer.status or 500
    for name, value in fault.headers.items():
        response.headers[name] = value
    return response


def _told(value: object, status: int) -> Response:
    return Response(json.dumps(value, separators=(",", ":")) + "\n", status, mimetype="application/json")


def _listed(items: Iterable[Json]) -> Response:
    """A JSON array, made while it is sent: all that is kept is never in memory twice."""

    def chunks() -> Iterator[str]:
        opening = "["
        for item in items:
            yield opening + json.dumps(item)
            opening = ",\n"
        yield "[]\n" if opening == "[" else "]\n"

    return Response(chunks(), mimetype="application/json")


def _hang_up() -> None:
    """End the connection below HTTP: the answer that follows reaches nobody."""
    with suppress(OSError):
        request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
