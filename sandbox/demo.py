"""The main job, shown: the real pipe runs as Bitbucket would run it, while builds break and are fixed.

Exits 0 only if the incidents are what they should be.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipe import VERSION
from sandbox import Sandbox

ROOT = Path(__file__).parent.parent
KEY = "c0ffee11c0ffee22c0ffee33c0ffee44"

DEFINITION = """\
pipelines:
  branches:
    main:
      - step: &build
          name: Build and test
          script: [make test]
          after-script:
            - pipe: your-workspace/pagerduty-events:VERSION
              variables:
                INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY
                EXIT_CODE: $BITBUCKET_EXIT_CODE
                ALERT_NAME: build
      - step: &deploy
          name: Deploy
          deployment: production
          script: [./deploy.sh]
          after-script:
            - pipe: your-workspace/pagerduty-events:VERSION
              variables:
                INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY
                EXIT_CODE: $BITBUCKET_EXIT_CODE
                ALERT_NAME: deploy
    hotfix/*:
      - step: *deploy
"""

REPORT = """\
<testsuites><testsuite name="pytest" tests="3" failures="2">
<testcase classname="tests.test_cart" name="test_an_empty_cart_costs_nothing"/>
<testcase classname="tests.test_cart" name="test_two"><failure message="assert 3 == 4">…</failure></testcase>
<testcase classname="tests.test_cart" name="test_voucher"><failure message="KeyError: 'voucher'">…</failure></testcase>
</testsuite></testsuites>
"""

STEP = {
    "CI": "true",
    "BITBUCKET_WORKSPACE": "acme",
    "BITBUCKET_REPO_SLUG": "shop",
    "BITBUCKET_REPO_FULL_NAME": "acme/shop",
    "BITBUCKET_PROJECT_KEY": "SHOP",
    "BITBUCKET_BRANCH": "main",
    "BITBUCKET_TAG": "",
    "BITBUCKET_PR_ID": "",
    "BITBUCKET_PIPELINE_UUID": "{8a1f4f3e-6f0e-4d6e-9d7a-0c5a7b9e2f10}",
    "BITBUCKET_STEP_UUID": "{3c9e1d7b-52a4-4b8f-8e61-7f0d2a4c6b18}",
    "INTEGRATION_KEY": KEY,
    "TIMEOUT": "30",
    "ALERT_NAME": "build",
}


@dataclass(frozen=True)
class Chapter:
    """One run of the pipe in the story."""

    title: str
    build: str
    exit_code: str
    more: dict[str, str] = field(default_factory=dict)
    status: int = 0
    report: str = ""  # what the tests left behind


DEPLOYMENT = {"BITBUCKET_DEPLOYMENT_ENVIRONMENT": "production", "ALERT_NAME": "deploy"}
STORY = [
    Chapter("build 811 passes", "811", "0"),
    Chapter("build 812 fails: somebody is paged", "812", "2", report=REPORT),
    Chapter("build 813 fails again: the same incident", "813", "2", report=REPORT),
    Chapter("build 814 passes: the incident is resolved", "814", "0"),
    Chapter("a deployment to production fails", "815", "1", DEPLOYMENT),
    Chapter("the next one, from another branch, fixes it", "816", "0", {**DEPLOYMENT, "BITBUCKET_BRANCH": "hotfix/17"}),
    Chapter("a step whose exit code is missing: the pager is told so", "817", "", {}, status=1),
]

EXPECTED = [
    ("acme/shop: build failed on main (#812, 2 of 3 tests failed)", "resolved", ["trigger", "trigger", "resolve"]),
    ("acme/shop: deploy failed on main (#815, exit code 1)", "resolved", ["trigger", "resolve"]),
    ("acme/shop: cannot tell whether build of #817 on main passed", "triggered", ["trigger"]),
]


def main() -> int:
    with tempfile.TemporaryDirectory() as clone, Sandbox() as sandbox:
        (Path(clone) / "bitbucket-pipelines.yml").write_text(DEFINITION.replace("VERSION", VERSION))
        (Path(clone) / "test-results").mkdir()
        commit = committed(Path(clone))
        told = [tell(chapter, Path(clone), commit, sandbox) for chapter in STORY]
        incidents = sandbox.incidents()
    show(incidents)
    first = incidents[0]["timeline"][0]["payload"]["custom_details"] if incidents else {}
    told.append(first.get("failed_tests_total") == 2 and first.get("commit_author") == "Ada Lovelace")
    happened = [(one["title"], one["status"], [entry["action"] for entry in one["timeline"]]) for one in incidents]
    if all(told) and happened == EXPECTED:
        print("\nAs it should be: two incidents opened and closed again, and one that says what is not known.")
        return 0
    print(f"\nNOT as it should be. Expected:\n  {EXPECTED}\nbut it was:\n  {happened}")
    return 1


def committed(clone: Path) -> str:
    """A repository with one commit, made without a git binary: the demo needs Python only. Its hash."""
    from dulwich import porcelain

    porcelain.init(str(clone))
    who = b"Ada Lovelace <ada@example.org>"
    made = porcelain.commit(str(clone), message=b"Count the cart's items once", author=who, committer=who)
    return made.decode()


def tell(chapter: Chapter, clone: Path, commit: str, sandbox: Sandbox) -> bool:
    """Run the pipe for one chapter; whether it ended with the status it should."""
    report = clone / "test-results" / "junit.xml"
    report.unlink(missing_ok=True)
    if chapter.report:
        report.write_text(chapter.report)
    print(f"\n── {chapter.title} ".ljust(100, "─"), flush=True)
    environ = {
        **STEP,
        "EVENTS_URL": sandbox.url,
        "BITBUCKET_CLONE_DIR": str(clone),
        "BITBUCKET_BUILD_NUMBER": chapter.build,
        "BITBUCKET_COMMIT": commit,
        "EXIT_CODE": chapter.exit_code,
        **chapter.more,
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }
    run = subprocess.run(
        [sys.executable, "-P", "-m", "pipe"], cwd=clone, env=environ, stderr=subprocess.STDOUT, check=False
    )
    print(f"exit status {run.returncode}", flush=True)
    return run.returncode == chapter.status


def show(incidents: list[dict[str, Any]]) -> None:
    print("\n══ The incidents ".ljust(100, "═"))
    for incident in incidents:
        print(f"\n#{incident['number']} {incident['title']}  [{incident['status']}]\n   {incident['dedup_key']}")
        for entry in incident["timeline"]:
            print(f"   {entry['at']}  {entry['action']:<8} {entry['summary']}")
            if entry["action"] == "trigger":
                for name, value in entry["payload"].get("custom_details", {}).items():
                    lines = value if isinstance(value, list) else [value]
                    for index, line in enumerate(lines):
                        print(f"      {name if index == 0 else '':>20}  {line}")
                for link in entry.get("links", []):
                    print(f"      {link.get('text', ''):>20}  {link['href']}")


if __name__ == "__main__":
    sys.exit(main())
