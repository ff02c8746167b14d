"""The sandbox as a server that starts, tells what it saw, and stops."""

import io
import ssl
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from socket import SHUT_RDWR, create_server
from typing import Self

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from sandbox.api import EventsApi
from sandbox.arriving import Arriving
from sandbox.calls import CALLS_KEPT, Call, Journal
from sandbox.faults import Faults, parse_faults
from sandbox.guard import Guard
from sandbox.incident import Json
from sandbox.parts import Parts
from sandbox.state import INCIDENTS_KEPT, Clock
from sandbox.web import create_app


class Sandbox:
    """A local Events API v2 in a thread of its own.

    `host` is an IPv4 address or name (0.0.0.0 lets containers in), port 0 picks a free one, and `tls` is a pair of PEM
    files, certificate and key. Every well-formed routing key is known, but for `unknown_keys`. `clock` gives seconds
    since 1970; `log` is handed one line per call, from any thread. `names` are those of this machine by which its own
    addresses may be asked for. Memory is bounded: of calls and incidents the newest are kept.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: tuple[str | Path, str | Path] | None = None,
        *,
        unknown_keys: Collection[str] = (),
        clock: Clock = time.time,
        log: Callable[[str], None] | None = None,
        names: Collection[str] = (),
        calls_kept: int = CALLS_KEPT,
        incidents_kept: int = INCIDENTS_KEPT,
    ) -> None:
        self._address = (host, port)
        self._tls = tls
        self._api = EventsApi(unknown_keys, clock, incidents_kept)
        self._journal = Journal(log, calls_kept)
        self._faults = Faults()
        self._parts = Parts(self._api, self._journal, self._faults, Guard(frozenset(names)), clock)
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Listen from now on. Raises OSError if the address cannot be had or a TLS file cannot be used."""
        app = create_app(self._parts)
        with create_server(self._address) as listener:
            # Handed over as a descriptor: left to bind by itself, werkzeug ends the whole process when it cannot.
            server = make_server(*self._address, app, threaded=True, request_handler=_Handler, fd=listener.fileno())
        try:
            if self._tls:
                _encrypt(server, *self._tls)
        except OSError:
            server.server_close()
            raise
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, name="sandbox", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, without waiting for delayed answers. Harmless when repeated."""
        self._faults.close()
        if self._server and self._thread:
            with suppress(OSError):  # wakes the thread that waits for calls, which else looks up twice a second
                self._server.socket.shutdown(SHUT_RDWR)
            self._server.shutdown()
            self._thread.join()

    @property
    def port(self) -> int:
        if not self._server:
            raise RuntimeError("the sandbox has not been started")
        return self._server.port

    @property
    def url(self) -> str:
        """The base address, without a slash at its end."""
        host = "127.0.0.1" if self._address[0] in ("", "0.0.0.0") else self._address[0]
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    @property
    def requests(self) -> list[Call]:
        """The calls received, in order, but for those to the sandbox's own addresses; the oldest may be forgotten."""
        return self._journal.calls()

    def incidents(self) -> list[Json]:
        """What `GET /incidents` answers: all that are kept, the oldest first."""
        return [incident.to_json() for incident in self._api.incidents()]

    def alerts(self) -> list[Json]:
        """What `GET /alerts` answers: the open ones, the oldest first."""
        return [incident.alert_to_json() for incident in self._api.alerts()]

    def changes(self) -> list[Json]:
        """What `GET /changes` answers: all that are kept, the oldest first."""
        return [change.to_json() for _, change in self._api.changes()]

    @property
    def bytes(self) -> int:
        """What is kept of calls, incidents and changes, measured: at most 72 MB."""
        return self._journal.bytes + self._api.bytes

    def fail_next(self, *faults: Json) -> None:
        """Give the next calls to the two endpoints these faults, in order, as `POST /faults` does; ValueError."""
        self._faults.add(parse_faults(faults))

    def reset(self) -> None:
        """Forget everything: incidents, changes, calls, faults to come, and each key's rate."""
        self._parts.forget()


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(Arriving(self.connection))

    def log(self, *_: object) -> None:
        """Nothing: the journal has a better line."""


def _encrypt(server: BaseWSGIServer, certificate: str | Path, key: str | Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    # The handshake is left to each call's own thread, so that one silent client does not keep out all others.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.ssl_context = context
