"""Where an example is played: a process of the pipe, the strict sandbox, a Bitbucket that answers as the example says."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote

import tests.fuzz.worker
from sandbox import Sandbox
from tests.bitbucket_api import Reply, Request, Server
from tests.conftest import ROOT, STEP
from tests.fuzz.example import API, SANDBOX, Example, Played

SECONDS = 60  # for one run, which takes a small part of one: longer is a run that hangs
TOLD_UUID = "{33333333-3333-3333-3333-333333333333}"
KINDS = {
    "log": r"/pipelines/[^/]+/steps/[^/]+/log",
    "cases": r"/pipelines/[^/]+/steps/[^/]+/test_reports/test_cases",
    "tests": r"/pipelines/[^/]+/steps/[^/]+/test_reports",
    "steps": r"/pipelines/({own}|{told})/steps",
    "other steps": r"/pipelines/[^/]+/steps",
    "told": r"/pipelines/{told}",
    "pipeline": r"/pipelines/{own}",
    "builds": r"/pipelines",
}
_PATHS = {
    kind: re.compile(
        ".*" + path.replace("{own}", re.escape(STEP["BITBUCKET_PIPELINE_UUID"])).replace("{told}", re.escape(TOLD_UUID))
    )
    for kind, path in KINDS.items()
}


class Hung(Exception):
    """The pipe did not end, or its process did."""


class Arena:
    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._clone = Path(self._folder.name) / "clone"
        (self._clone / "test-results").mkdir(parents=True)
        self._sandbox, self._api = Sandbox(), Server("127.0.0.1", self._reply, [])
        self._served: list[tuple[str, int, bytes]] = []
        self._waiting: dict[str, list[tuple[int, bytes]]] = {}

    def __enter__(self) -> Self:
        self._sandbox.start()
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()
        self._api.close()
        self._sandbox.close()
        self._folder.cleanup()

    def play(self, example: Example) -> Played:
        self._put("bitbucket-pipelines.yml", example.file)
        self._put("test-results/junit.xml", example.report)
        self._sandbox.reset()
        self._api.requests.clear()
        self._served.clear()
        self._waiting = {kind: list(answers) for kind, answers in example.answers.items()}
        addresses = ((SANDBOX, self._sandbox.url.encode()), (API, self._api.url.encode()))
        variables = {}
        for name, value in example.environ.items():
            for short, real in addresses:
                value = value.replace(short, real)
            variables[name.hex()] = value.hex()
        try:
            self._channel.write(json.dumps([variables, example.walled]).encode() + b"\n")
            self._channel.flush()
            answer = self._channel.readline()
            status, stdout, stderr = json.loads(answer)
        except (OSError, ValueError) as error:
            self._stop()
            self._start()
            raise Hung(f"the pipe did not end within {SECONDS} s, or its process did ({error})") from None
        texts = [bytes.fromhex(text).decode("utf-8", "surrogateescape") for text in (stdout, stderr)]
        calls = [call for call in self._sandbox.requests if call.path in ("/v2/enqueue", "/v2/change/enqueue")]
        return Played(status, *texts, tuple(calls), tuple(self._api.requests), tuple(self._served))

    def _put(self, path: str, content: bytes | None) -> None:
        file = self._clone / path
        if content is None:
            file.unlink(missing_ok=True)
        else:
            file.write_bytes(content)

    def _reply(self, request: Request) -> Reply:
        path = unquote(request.path)
        kind = next((kind for kind, pattern in _PATHS.items() if pattern.fullmatch(path)), "")
        waiting = self._waiting.get(kind) or [(404, b"")]
        status, body = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        self._served.append((kind, status, body))
        return Reply(status, body, {})

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", tests.fuzz.worker.__file__, str(theirs.fileno())]
        environ = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
        self._worker = subprocess.Popen(command, cwd=self._clone, env=environ, pass_fds=[theirs.fileno()])
        theirs.close()
        ours.settimeout(SECONDS)
        self._channel = ours.makefile("rwb")
        ours.close()

    def _stop(self) -> None:
        self._worker.kill()
        self._worker.wait()
