"""A local Bitbucket REST API for tests: real HTTP, pipelines described in Python, faults on request, every request kept.

    with BitbucketApi(token="a-token") as api:
        api.pipeline(number=812, steps=[step("unit", "FAILED"), step("notify", "IN_PROGRESS")])
        ...BITBUCKET_API_URL=api.url, BITBUCKET_ACCESS_TOKEN=a-token...
        assert api.storage.requests[0].authorization is None

It answers in the shape of Bitbucket's specification and of answers that public projects keep in their tests, and it is
strict: braces that are not percent-encoded, an `Accept` that the log does not serve, a token without the scope and a
repository that the token does not see are refused as Bitbucket refuses them.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode
from uuid import NAMESPACE_URL, uuid5

STATES = {"PARSING", "PENDING", "READY", "IN_PROGRESS"}
_count = itertools.count(1)


def uuid_of(*words: object) -> str:
    """A UUID with Bitbucket's braces, the same for the same words."""
    return f"{{{uuid5(NAMESPACE_URL, '/'.join(map(str, words)))}}}"


@dataclass(frozen=True)
class Log:
    """A log of any size, of which only what is asked for is ever made."""

    size: int
    end: bytes = b""

    def part(self, start: int, stop: int) -> bytes:
        filler = max(0, min(stop, self.size - len(self.end)) - start)
        begin = max(0, start - (self.size - len(self.end)))
        return b"." * filler + self.end[begin : max(0, stop - (self.size - len(self.end)))]


@dataclass
class Step:
    name: str | None
    outcome: str  # a state (PENDING, READY, IN_PROGRESS) or, of a completed step, its result
    uuid: str
    run: int | None = 1
    trigger: str | None = "automatic"
    after: int = 0  # for so many listings it shows `outcome`, and from then on `becomes`
    becomes: str = ""
    stopped_by: str | None = None
    stage: str = ""  # of one that is not completed: RUNNING, PAUSED, HALTED
    error: str = ""  # what `result.error.message` says
    tests: tuple[dict[str, Any], ...] | None = None  # what Bitbucket read from its reports; None where it found none
    log: Log = field(default_factory=lambda: Log(0))
    override: dict[str, Any] = field(default_factory=dict)  # laid over the JSON; a value of ... leaves the key out
    listings: int = 0

    def json(self, pipeline_uuid: str) -> dict[str, Any]:
        shown = self.becomes if self.becomes and self.listings >= self.after else self.outcome
        self.listings += 1
        found: dict[str, Any] = {
            "type": "pipeline_step",
            "uuid": self.uuid,
            "name": self.name,
            "run_number": self.run,
            "pipeline": {"type": "pipeline", "uuid": pipeline_uuid},
            "image": {"name": "python:3.13"},
            "maxTime": 120,
            "script_commands": [{"commandType": "user", "name": "make test", "command": "make test"}],
            "trigger": {"type": f"pipeline_step_trigger_{self.trigger}"} if self.trigger else None,
            "state": _state("pipeline_step_state", shown, self.stopped_by, self.stage, self.error),
            "started_on": "2026-10-01T10:00:00.109572944Z",
        }
        return _laid_over({key: value for key, value in found.items() if value is not None}, self.override)


def step(
    name: str | None,
    outcome: str = "SUCCESSFUL",
    *,
    uuid: str = "",
    run: int | None = 1,
    trigger: str | None = "automatic",
    after: int = 0,
    becomes: str = "",
    stopped_by: str | None = None,
    stage: str = "",
    error: str = "",
    tests: Sequence[dict[str, Any]] | None = None,
    log: bytes | Log = b"",
    **override: Any,
) -> Step:
    """One step. `outcome` is a state or a result; `step("unit", "IN_PROGRESS", after=2, becomes="FAILED")` fails at the
    third look, `step("gate", "PENDING", stage="PAUSED")` waits for a person."""
    kept = log if isinstance(log, Log) else Log(len(log), log)
    uuid = uuid or uuid_of("step", next(_count))
    read = None if tests is None else tuple(tests)
    return Step(name, outcome, uuid, run, trigger, after, becomes, stopped_by, stage, error, read, kept, override)


def reported(
    name: str, status: str = "SUCCESSFUL", *, suite: str = "", message: str = "", trace: str = ""
) -> dict[str, Any]:
    """One test as `test_cases` lists it [R]."""
    qualified = f"{suite}.{name}" if suite else name
    reason = {"reason": {"message": message, "stack_trace": trace}} if message or trace else {}
    uuid = uuid_of("test", next(_count))
    return {
        "uuid": uuid,
        "name": name,
        "fully_qualified_name": qualified,
        "package_name": suite,
        "status": status,
        **reason,
    }


@dataclass
class Pipeline:
    number: int
    uuid: str
    steps: list[Step]
    outcome: str
    target: dict[str, Any]
    stopped_by: str | None
    stage: str
    error: str
    commit: dict[str, Any]  # what is only told to those who ask for it by `fields`
    override: dict[str, Any]

    def json(self, fields: str = "", prefix: str = "") -> dict[str, Any]:
        created = (
            f"2026-10-01T{self.number // 3600 % 24:02}:{self.number // 60 % 60:02}:{self.number % 60:02}.15268718Z"
        )
        found = {
            "type": "pipeline",
            "uuid": self.uuid,
            "build_number": self.number,
            "run_number": 1,
            "creator": _person("Ada Pusher"),
            "created_on": created,
            "trigger": {"name": "PUSH", "type": "pipeline_trigger_push"},
            "state": _state("pipeline_state", self.outcome, self.stopped_by, self.stage, self.error),
            "target": {**self.target, "commit": {**self.target["commit"], **self._more(fields, prefix)}},
            "has_variables": False,
        }
        return _laid_over(found, self.override)

    def _more(self, fields: str, prefix: str) -> dict[str, Any]:
        return {
            name: value for name, value in self.commit.items() if f"+{prefix}target.commit.{name}" in fields.split(",")
        }


@dataclass
class Fault:
    """What happens instead of, or to, the answers of the next `times` requests whose path and query match `where`."""

    where: str = ""
    times: int = 1
    status: int | None = None  # None: the answer that would have come anyway
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay: float = 0.0  # seconds before the first byte
    drip: float = 0.0  # seconds between the bytes, of the headers too
    drop: str = ""  # "before" any answer, or in the "middle" of the body
    endless: bool = False  # spaces behind the body, for ever

    def __post_init__(self) -> None:
        self.pattern = re.compile(self.where)


@dataclass(frozen=True)
class Request:
    path: str  # as it came, percent-encoding included, without the query
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    at: float  # time.monotonic()

    @property
    def authorization(self) -> str | None:
        return self.headers.get("authorization")


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    headers: dict[str, str]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Listener

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(path, asked, headers, time.monotonic())
        kept = self.server.kept
        kept.requests.append(request)
        fault = next((one for one in kept.faults if one.times > 0 and one.pattern.search(self.path)), Fault())
        fault.times -= 1
        kept.pause(fault.delay)
        if fault.drop == "before":
            self.hang_up()
            return
        given = fault.status and Reply(fault.status, fault.body or b"", fault.headers)
        self.answer(given or kept.reply(request), fault)

    def answer(self, reply: Reply, fault: Fault) -> None:
        body = reply.body if fault.body is None else fault.body
        headers = {"Content-Type": "application/json", "Content-Length": len(body), **reply.headers, **fault.headers}
        lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        sent = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        if fault.drop == "middle":
            sent = sent[: -max(1, len(body) // 2)]
        try:
            for piece in [bytes([byte]) for byte in sent] if fault.drip else [sent]:
                self.wfile.write(piece)
                if self.server.kept.pause(fault.drip):
                    break
            while fault.endless and not self.server.kept.pause(0):
                self.wfile.write(b" " * 65536)
        except OSError:
            self.close_connection = True  # the client has had enough
        if fault.drop:
            self.hang_up()

    def hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        pass


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    kept: Server

    def handle_error(self, *_: object) -> None:
        pass  # clients that go away are part of the tests


class Server:
    """An HTTP server in a thread that keeps every request and leaves the answers to `reply`."""

    def __init__(
        self, host: str, reply: Callable[[Request], Reply], faults: list[Fault], tls: ssl.SSLContext | None = None
    ):
        self.requests: list[Request] = []
        self.reply, self.faults = reply, faults
        self._host, self._tls = host, tls
        self._closing = threading.Event()
        self._server = Listener((host, 0), Handler)
        self._server.kept = self
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        host = "127.0.0.1" if self._host in ("0.0.0.0", "::") else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    def pause(self, seconds: float) -> bool:
        """Whether the server is being closed."""
        return self._closing.wait(seconds) if seconds else self._closing.is_set()

    def close(self) -> None:
        self._closing.set()
        with suppress(OSError):  # wakes the thread that waits for calls
            self._server.socket.shutdown(socket.SHUT_RDWR)
        self._server.shutdown()
        self._server.server_close()


class BitbucketApi:
    """The API, and beside it the storage that keeps the logs of finished steps: another port, so another origin.

    `token` is accepted as Bearer, `email` and `api_token` as Basic; with neither, everybody is let in. `scopes` are
    those of the token. Links in answers use the host by which they were asked for, so that `host="0.0.0.0"` serves
    containers too (`api.url_for("host.docker.internal")`).
    """

    def __init__(
        self,
        *,
        token: str = "",
        email: str = "",
        api_token: str = "",
        scopes: Sequence[str] = ("pipeline",),
        repository: str = "acme/shop",
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        accepted = {f"Bearer {token}"} if token else set()
        if email:
            accepted.add("Basic " + base64.b64encode(f"{email}:{api_token}".encode()).decode())
        self._accepted, self._scopes, self._repository = accepted, scopes, repository
        self.page_length = 100  # at most so many items on a page, whatever is asked for
        self.next_origin: str | None = ""  # `next` links point there instead of here; None leaves them out
        self.log_redirect = "{storage}{path}"  # where the log of a step redirects to; "" serves it directly
        self.log_ranges = True
        self.pipelines: list[Pipeline] = []
        self.faults: list[Fault] = []
        self._api = Server(host, self._reply, self.faults, tls)
        self.storage = Server(host, self._stored, self.faults)
        self.requests = self._api.requests

    def __enter__(self) -> BitbucketApi:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()
        self.storage.close()

    @property
    def url(self) -> str:
        """What to give as BITBUCKET_API_URL."""
        return f"{self._api.url}/2.0"

    def url_for(self, host: str) -> str:
        return f"http://{host}:{self._api.port}/2.0"

    def pipeline(
        self,
        number: int = 812,
        steps: Sequence[Step] = (),
        *,
        uuid: str = "",
        outcome: str = "IN_PROGRESS",
        ref: str = "main",
        ref_type: str = "branch",
        selector: tuple[str, str] = ("branches", "main"),
        pull_request: int | None = None,
        destination: str = "main",
        commit: str = "0123456789abcdef0123456789abcdef01234567",
        message: str = "A change\n",
        author: str = "Ada Lovelace <ada@example.com>",
        stopped_by: str | None = None,
        stage: str = "",
        error: str = "",
        **override: Any,
    ) -> Pipeline:
        """A pipeline of that build number; of a pull request, `ref` is the source branch. Without `ref`, of a commit."""
        target: dict[str, Any] = {
            "selector": {"type": selector[0], "pattern": selector[1]} if selector[1] else {"type": selector[0]},
            "commit": {"type": "commit", "hash": commit},
        }
        if pull_request is not None:
            pull = {"type": "pullrequest", "id": pull_request, "title": "A change", "draft": False}
            target |= {
                "type": "pipeline_pullrequest_target",
                "source": ref,
                "destination": destination,
                "pullrequest": pull,
            }
        elif ref:
            target |= {"type": "pipeline_ref_target", "ref_type": ref_type, "ref_name": ref}
        else:
            target |= {"type": "pipeline_commit_target"}
        about = {"message": message, "author": {"type": "author", "raw": author}}
        uuid = uuid or uuid_of("pipeline", number)
        made = Pipeline(number, uuid, list(steps), outcome, target, stopped_by, stage, error, about, override)
        self.pipelines.append(made)
        return made

    def fault(self, where: str = "", **what: Any) -> Fault:
        """Of several faults that match, the first one that is not used up happens."""
        self.faults.append(Fault(where, **what))
        return self.faults[-1]

    def asked(self, ending: str) -> list[Request]:
        """The requests whose path, decoded, ends so."""
        return [request for request in self.requests if unquote(request.path).endswith(ending)]

    def _reply(self, request: Request) -> Reply:
        refused = self._refused(request)
        if refused:
            return refused
        base = f"/2.0/repositories/{self._repository}/pipelines"
        path = request.path.rstrip("/")
        if not path.startswith(base):
            return _error(404, f"Repository {unquote('/'.join(path.split('/')[3:5]))} not found")
        rest = [unquote(part) for part in path[len(base) :].split("/")[1:]]
        if not rest:
            return self._page(request, self._builds(request))
        pipeline = next((one for one in self.pipelines if one.uuid == rest[0]), None)
        if pipeline and rest[1:] == []:
            return _json(pipeline.json(request.query.get("fields", "")))
        if pipeline and rest[1:] == ["steps"]:
            return self._page(request, [one.json(pipeline.uuid) for one in pipeline.steps])
        asked = next((one for one in pipeline.steps if rest[1:3] == ["steps", one.uuid]), None) if pipeline else None
        if asked and rest[3:] == ["log"]:
            return self._log_or_its_place(request, asked.log)
        if asked and asked.tests is not None and rest[3:4] == ["test_reports"]:
            return self._tests(request, asked.tests, rest[4:])
        return _error(404, "Resource not found")

    def _log_or_its_place(self, request: Request, log: Log) -> Reply:
        if "application/json" in request.headers.get("accept", ""):
            return _error(406, "Not Acceptable")
        if not self.log_redirect:
            return self._log(request, log)
        storage = f"http://{request.headers['host'].rpartition(':')[0]}:{self.storage.port}"
        return Reply(307, b"", {"Location": self.log_redirect.format(storage=storage, path=request.path)})

    def _tests(self, request: Request, tests: tuple[dict[str, Any], ...], rest: list[str]) -> Reply:
        if rest == ["test_cases"]:
            wanted = request.query.get("status")
            return self._page(request, [one for one in tests if wanted in (None, one["status"])])
        names = {"SUCCESSFUL": "successful", "FAILED": "failed", "ERROR": "error", "SKIPPED": "skipped"}
        count = Counter(names[one["status"]] for one in tests)
        found = {f"number_of_{name}_test_cases": count[name] for name in names.values()}
        return _json({"step_uuid": "{step}", "number_of_test_cases": len(tests), **found})

    def _refused(self, request: Request) -> Reply | None:
        if self._accepted and request.authorization not in self._accepted:
            return _error(401, "Token is invalid, expired, or not supported for this endpoint.")
        if "pipeline" not in self._scopes:
            detail = {"required": ["pipeline"], "granted": list(self._scopes)}
            return _error(403, "Your credentials lack one or more required privilege scopes.", detail)
        if re.search(r"[{}]", request.path) or re.search(
            r"/(pipelines|steps)/(?!%7B[0-9a-f-]{36}%7D)[^/?]", request.path
        ):
            return _error(400, "The value provided is not a valid uuid.")
        return None

    def _builds(self, request: Request) -> list[dict[str, Any]]:
        newest_first = request.query.get("sort") == "-created_on"
        branch = request.query.get("target.branch")
        chosen = [
            one
            for one in self.pipelines
            if not branch or branch in (one.target.get("ref_name"), one.target.get("source"))
        ]
        fields = request.query.get("fields", "")
        return [one.json(fields, "values.") for one in sorted(chosen, key=lambda one: one.number, reverse=newest_first)]

    def _page(self, request: Request, items: list[dict[str, Any]]) -> Reply:
        number, length = int(request.query.get("page", 1)), min(int(request.query.get("pagelen", 10)), self.page_length)
        found: dict[str, Any] = {"page": number, "pagelen": length, "size": len(items)}
        found["values"] = items[(number - 1) * length : number * length]
        if number * length < len(items) and self.next_origin is not None:
            origin = self.next_origin or f"http://{request.headers['host']}"
            found["next"] = f"{origin}{request.path}?{urlencode({**request.query, 'page': number + 1})}"
        return _json(found)

    def _stored(self, request: Request) -> Reply:
        """Storage knows signed URLs only: whoever sends credentials besides is refused, as S3 does."""
        if request.authorization:
            return Reply(400, b"<Error><Code>InvalidArgument</Code></Error>", {"Content-Type": "application/xml"})
        wanted = unquote(request.path)
        found = (
            one.log
            for pipeline in self.pipelines
            for one in pipeline.steps
            if f"{pipeline.uuid}/steps/{one.uuid}/" in wanted
        )
        log = next(found, None)
        return self._log(request, log) if log else Reply(404, b"", {})

    def _log(self, request: Request, log: Log) -> Reply:
        kind = {"Content-Type": "application/octet-stream"}
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", "")) if self.log_ranges else None
        if not asked:
            return Reply(200, log.part(0, log.size), kind)
        start = int(asked[1]) if asked[1] else max(0, log.size - int(asked[2]))
        stop = min(log.size, int(asked[2]) + 1) if asked[1] and asked[2] else log.size
        if start >= log.size:
            return Reply(416, b"", {**kind, "Content-Range": f"bytes */{log.size}"})
        return Reply(206, log.part(start, stop), {**kind, "Content-Range": f"bytes {start}-{stop - 1}/{log.size}"})


def _state(prefix: str, outcome: str, stopped_by: str | None, stage: str, error: str) -> dict[str, Any]:
    if outcome in STATES:
        more = {"stage": {"name": stage, "type": f"{prefix}_{outcome.lower()}_{stage.lower()}"}} if stage else {}
        return {"name": outcome, "type": f"{prefix}_{outcome.lower()}", **more}
    result: dict[str, Any] = {"name": outcome, "type": f"{prefix}_completed_{outcome.lower()}"}
    if error:
        result["error"] = {"key": "agent.some-error", "message": error}
    if stopped_by is not None:
        result["terminator"] = _person(stopped_by)
    return {"name": "COMPLETED", "type": f"{prefix}_completed", "result": result}


def _person(name: str) -> dict[str, Any]:
    return {"type": "user", "display_name": name, "nickname": name.lower(), "uuid": uuid_of("user", name)}


def _laid_over(found: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**found, **override}.items() if value is not ...}


def _json(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode(), {})


def _error(status: int, message: str, detail: Any = None) -> Reply:
    return _json({"type": "error", "error": {"message": message} | ({"detail": detail} if detail else {})}, status)
