"""The image in a container, as Bitbucket runs it and with less than Bitbucket gives it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.conftest import KEY, Run

IMAGE = "pagerduty-events:test"
CLONE = "/opt/atlassian/pipelines/agent/build"  # where Bitbucket mounts it, which is also the working directory
HOST = "host.docker.internal"  # where containers find the sandbox
HARDENED: dict[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "mem_limit": "64m",
    "memswap_limit": "64m",
    "network_mode": "bridge",
    "extra_hosts": {HOST: "host-gateway"},
}


class Container:
    """Runs the image in a clone that belongs to root, with nothing but the given variables."""

    def __init__(self, client: Any, clone: Path, port: int) -> None:
        self.client, self.clone, self.port = client, clone, port
        self.took = 0.0  # seconds from the last one's start to its end

    def start(self, environ: dict[str, str], **options: Any) -> Any:
        made = self.client.containers.create(
            IMAGE,
            environment={
                "INTEGRATION_KEY": KEY,
                "EVENTS_URL": f"http://{HOST}:{self.port}",
                "TIMEOUT": "20",
            }
            | environ,
            volumes={str(self.clone): {"bind": CLONE, "mode": "rw"}},
            working_dir=CLONE,
            detach=True,
            **{**HARDENED, **options},
        )
        try:
            made.start()
        except BaseException:
            made.remove(force=True)
            raise
        return made

    def __call__(self, environ: dict[str, str], **options: Any) -> Run:
        started = time.monotonic()
        container = self.start({"BITBUCKET_CLONE_DIR": CLONE} | environ, **options)
        try:
            status = container.wait(timeout=120)["StatusCode"]
            self.took = time.monotonic() - started
            out, err = (container.logs(stdout=o, stderr=not o).decode() for o in (True, False))
        finally:
            container.remove(force=True)
        assert KEY not in out + err
        assert "Traceback" not in out + err
        return Run(status, out, err)

    def python(self, code: str, **options: Any) -> str:
        """What a Python program says in the image in place of the pipe."""
        run = self({}, entrypoint=["/usr/bin/python3.13", "-P", "-c", code], **options)
        assert run.status == 0, run.log
        return run.stdout.strip()
