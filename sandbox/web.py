"""The sandbox's addresses: PagerDuty's two endpoints, and its own to look at what came and to ask for faults."""

import secrets
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException

from sandbox import page
from sandbox.api import Answer, Endpoint, EventsApi
from sandbox.body import parse
from sandbox.calls import Call, Journal
from sandbox.faults import NO_FAULT, Fault, Faults, parse_faults
from sandbox.state import Clock


def create_app(api: EventsApi, journal: Journal, faults: Faults, clock: Clock) -> Flask:  # noqa: C901 (a list of routes)
    app = Flask("sandbox", root_path=str(Path(__file__).parent), template_folder=".", static_folder=None)
    app.url_map.merge_slashes = False  # PagerDuty redirects nobody.
    app.json.sort_keys = False  # type: ignore[attr-defined]

    @app.post(Endpoint.ALERT.value, defaults={"endpoint": Endpoint.ALERT})
    @app.post(Endpoint.CHANGE.value, defaults={"endpoint": Endpoint.CHANGE})
    def enqueue(endpoint: Endpoint) -> Response:
        body = request.get_data()
        fault = faults.take()
        if fault.status is not None or fault.drop:
            answer = Answer(fault.status or 0, fault.body)
        else:
            answer = api.take(endpoint, body)
        # Written down before any waiting: what was received can be seen while its sender still hangs.
        journal.add(_call(clock(), answer, fault))
        faults.hold(fault)
        if fault.drops:
            _hang_up()
        return _response(answer, fault)

    @app.errorhandler(HTTPException)
    def stray(error: HTTPException) -> Any:
        """A call to no address of ours: answered like any web server's, and written down for its sender to find."""
        journal.add(_call(clock(), Answer(error.code or 500, "", error.name), NO_FAULT))
        return error

    @app.get("/")
    def look() -> Response:
        nonce = secrets.token_urlsafe(16)
        html = page.render(api, journal, faults, request.host_url, nonce)
        # A lone surrogate is JSON, but no UTF-8.
        return Response(html.encode("utf-8", "replace"), headers=page.headers(nonce), mimetype="text/html")

    @app.get("/incidents")
    def incidents() -> Response:
        return jsonify(api.incidents())

    @app.get("/alerts")
    def alerts() -> Response:
        return jsonify(api.alerts())

    @app.get("/changes")
    def changes() -> Response:
        return jsonify(api.changes())

    @app.get("/requests")
    def requests() -> Response:
        return jsonify([call.to_json() for call in journal.calls()])

    @app.post("/faults")
    def ask_for_faults() -> tuple[Response, int]:
        try:
            faults.add(parse_faults(parse(request.get_data())))
        except ValueError as error:
            return jsonify(error=str(error)), 400
        return jsonify(waiting=len(faults)), 200

    @app.delete("/")
    @app.post("/reset")
    def forget() -> tuple[str, int]:
        for memory in (api, journal, faults):
            memory.forget()
        return "", 204

    return app


def _call(time: float, answer: Answer, fault: Fault) -> Call:
    body = request.get_data()
    try:
        event = parse(body)
    except ValueError:
        event = None
    sent = event.get("dedup_key") if isinstance(event, dict) else None
    answered = answer.body.get("dedup_key") if isinstance(answer.body, dict) else None
    return Call(
        time=time,
        method=request.method,
        path=request.full_path.removesuffix("?"),
        headers=Headers(list(request.headers)),
        body=body,
        json=event,
        status=None if fault.drops else answer.status,
        dedup_key=next((key for key in (answered, sent) if isinstance(key, str)), ""),
        reason="; ".join(filter(None, (str(fault), answer.reason))),
    )


def _response(answer: Answer, fault: Fault) -> Response:
    plain = isinstance(answer.body, str)
    response = Response(answer.body, mimetype="text/plain") if plain else jsonify(answer.body)
    response.status_code = answer.status or 500
    for name, value in fault.headers.items():
        response.headers[name] = value
    return response


def _hang_up() -> None:
    """End the connection below HTTP: the answer that follows reaches nobody."""
    with suppress(OSError):
        request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
