"""`ci/audit` with the real pip-audit, against a vulnerability service of our own: what is not known is no success."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import threading

import pytest

from tests.conftest import ROOT

TOOLS = ROOT / ".cache/audit"
pytestmark = pytest.mark.skipif(
    not (TOOLS / "ready").exists(), reason="pip-audit is not here: `make .cache/audit/ready`"
)


@pytest.fixture
def audit(tmp_path):
    """Runs the audit where the service says `answer(package)`: a status and a JSON value."""

    def run(answer):
        class Service(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, value = answer(asked["package"]["name"])
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            command = ["ci/audit", "-s", "osv", "--osv-url", f"http://127.0.0.1:{server.server_port}/v1/query"]
            environ = {**os.environ, "PATH": f"{TOOLS}/bin:{os.environ['PATH']}", "HOME": str(tmp_path)}
            ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
            server.shutdown()
        return ended

    return run


def test_nothing_is_known_against_the_lock(audit):
    asked = []
    ended = audit(lambda name: asked.append(name) or (200, {}))
    assert ended.returncode == 0, ended.stdout
    assert {"requests", "urllib3", "pyyaml", "dulwich", "semversioner"} <= set(asked)


def test_a_vulnerability_is_named(audit):
    found = {"id": "TEST-2026-1", "affected": [{"package": {"name": "dulwich", "ecosystem": "PyPI"}, "ranges": []}]}
    ended = audit(lambda name: (200, {"vulns": [found]} if name == "dulwich" else {}))
    assert ended.returncode == 1
    assert "TEST-2026-1" in ended.stdout


def test_a_service_that_does_not_answer_is_no_success(audit):
    ended = audit(lambda name: (503, {}) if name == "urllib3" else (200, {}))
    assert ended.returncode == 2
    assert "nothing is known" in ended.stderr
