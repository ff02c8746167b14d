"""The main job, shown: the real pipe runs as Bitbucket would run it, while builds break and are fixed.

Exits 0 only if the incidents are what they should be.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from pipe import VERSION
from sandbox import Sandbox
from sandbox.story import ENDINGS, STORY, Build, Ending, Person

ROOT = Path(__file__).parent.parent
KEY = "c0ffee11c0ffee22c0ffee33c0ffee44"
PAUSE = 1.0
"""Seconds between two chapters where somebody looks on."""

STEP = {
    "CI": "true",
    "BITBUCKET_WORKSPACE": "acme",
    "BITBUCKET_REPO_SLUG": "shop",
    "BITBUCKET_REPO_FULL_NAME": "acme/shop",
    "BITBUCKET_PROJECT_KEY": "SHOP",
    "BITBUCKET_TAG": "",
    "BITBUCKET_PR_ID": "",
    "BITBUCKET_PIPELINE_UUID": "{8a1f4f3e-6f0e-4d6e-9d7a-0c5a7b9e2f10}",
    "BITBUCKET_STEP_UUID": "{3c9e1d7b-52a4-4b8f-8e61-7f0d2a4c6b18}",
    "INTEGRATION_KEY": KEY,
    "TIMEOUT": "30",
}


@dataclass(frozen=True)
class Stage:
    """Where the story is played: a clone with one commit, and a sandbox."""

    clone: Path
    commit: str
    url: str


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo", description=__doc__)
    parser.add_argument("--live", metavar="URL", help="play it to a sandbox that runs already, which is cleared first")
    live = parser.parse_args(argv).live
    if live:
        return play(live.rstrip("/"), PAUSE)
    with Sandbox() as sandbox:
        status = play(sandbox.url)
    if status == 0:
        print("To watch it in a browser: run `make sandbox`, open http://127.0.0.1:8026, and in a second terminal")
        print("run `make demo LIVE=http://127.0.0.1:8026`.")
    return status


def play(url: str, pause: float = 0) -> int:
    """The story, played to the sandbox at `url`, which is cleared first; 0 if all went as it should, else 1."""
    try:
        requests.post(f"{url}/reset", timeout=10).raise_for_status()
    except requests.RequestException as error:
        print(f"There is no sandbox at {url}: {error}\nStart one with: make sandbox", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), _committed(Path(folder)), url)
        told = [_tell(chapter, stage, pause) for chapter in STORY]
    incidents = requests.get(f"{url}/incidents", timeout=10).json()
    _show(incidents)
    happened = [Ending(one["title"], one["status"], [_action(entry) for entry in one["timeline"]]) for one in incidents]
    if not all(told) or happened != list(ENDINGS):
        print(f"\nNOT as it should be. Expected:\n  {ENDINGS}\nbut it was:\n  {happened}")
        return 1
    print(f"\nAs it should be: {len(incidents)} incidents; what is fixed is resolved, what is still broken is open.")
    return 0


def _committed(clone: Path) -> str:
    """The clone, made without a git binary: the demo needs Python only. Its commit's hash."""
    from dulwich import porcelain

    definition = (ROOT / "sandbox/demo-pipelines.yml").read_text(encoding="utf-8").replace("VERSION", VERSION)
    (clone / "bitbucket-pipelines.yml").write_text(definition, encoding="utf-8")
    (clone / "test-results").mkdir()
    porcelain.init(str(clone))
    who = b"Ada Lovelace <ada@example.org>"
    made = porcelain.commit(str(clone), message=b"Count the cart's items once", author=who, committer=who)
    return made.decode()


def _tell(chapter: Build | Person, stage: Stage, pause: float) -> bool:
    """Whether the chapter went as it should."""
    print(f"\n── {chapter.title} ".ljust(100, "─"), flush=True)
    time.sleep(pause)
    if isinstance(chapter, Build):
        return _run(chapter, stage)
    answer = requests.post(f"{stage.url}/incidents/{chapter.incident}/{chapter.action}", timeout=10)
    print(answer.json().get("effect") or answer.text, flush=True)
    return answer.ok


def _run(build: Build, stage: Stage) -> bool:
    report = stage.clone / "test-results" / "junit.xml"
    report.unlink(missing_ok=True)
    if build.report:
        report.write_text(build.report, encoding="utf-8")
    environ = {
        **STEP,
        "EVENTS_URL": stage.url,
        "BITBUCKET_CLONE_DIR": str(stage.clone),
        "BITBUCKET_BUILD_NUMBER": build.number,
        "BITBUCKET_COMMIT": stage.commit,
        "EXIT_CODE": build.exit_code,
        **build.variables,
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }
    run = subprocess.run(
        [sys.executable, "-P", "-m", "pipe"], cwd=stage.clone, env=environ, stderr=subprocess.STDOUT, check=False
    )
    print(f"exit status {run.returncode}", flush=True)
    return run.returncode == build.status


def _action(entry: dict[str, Any]) -> str:
    return f"{entry['action']} by hand" if entry["by_hand"] else str(entry["action"])


def _show(incidents: list[dict[str, Any]]) -> None:
    print("\n══ The incidents ".ljust(100, "═"))
    for incident in incidents:
        print(f"\n#{incident['number']} {incident['title']}  [{incident['status']}]\n   {incident['dedup_key']}")
        for index, entry in enumerate(incident["timeline"]):
            print(f"   {entry['at']}  {_action(entry)}  {entry['summary'] or ''}")
            if index == 0:
                _show_details(entry["payload"].get("custom_details", {}))


def _show_details(details: dict[str, Any]) -> None:
    for name, value in details.items():
        lines = value if isinstance(value, list) else [value]
        for index, line in enumerate(lines):
            print(f"      {name if index == 0 else '':>20}  {line}")


if __name__ == "__main__":
    sys.exit(main())
