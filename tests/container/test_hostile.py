"""Whatever lies in the clone or comes from Bitbucket, the page goes out: the real image in 64 MiB, on a read-only disk,
as nobody.

A container mostly waits, so a few run side by side, from the moment at which the first result is asked for. A case that
several tests look at is run once.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from sandbox import Sandbox
from tests import hostile
from tests.bitbucket_api import BitbucketApi, step
from tests.conftest import KEY, MAIN, Received, Run
from tests.container.running import HOST, Container

pytestmark = pytest.mark.container

WITHIN = 20  # seconds
WITHIN_WHEN_SLOW = 60
AT_ONCE = 2  # containers at full speed
WAITING_AT_ONCE = 5  # which together take half of a processor
TRIES = 5  # of a case whose evidence takes most of the time it is given: a busy machine is no counterexample
SLOW = {"nano_cpus": 100_000_000}  # a tenth of a processor
ALONE = {"pids_limit": 1}

UNKNOWN = {**MAIN, "INTEGRATION_KEY": KEY, "ALERT_NAME": "unit"}
FAILS = {**UNKNOWN, "EXIT_CODE": "2"}
PASSES = {**UNKNOWN, "EXIT_CODE": "0"}
FINAL = {**MAIN, "INTEGRATION_KEY": KEY}  # asks Bitbucket how it went


WITH_THE_FAILING_TEST = {
    "entity_from_outside", "folders_32_000", "folders_without_an_end", "names_without_an_end", "nesting_without_an_end",
    "plain", "report_of_20_mb", "report_without_an_end", "reports_100_000", "text_without_an_end",
}  # fmt: skip
# So no other runs beside it at full speed.
NEEDS_TIME = {"report_of_20_mb", "commits_10_000", "folders_32_000", "text_without_an_end"}
TRIED_AGAIN = "a failure of 4 MiB, unknown"  # for as long as the pipe has time


@dataclass(frozen=True, eq=False)
class Case:
    """One run of the image: in which clone, with which variables and options, beside which Bitbucket."""

    name: str
    environ: dict[str, str]
    clone: Callable[[Path], object]
    bitbucket: Callable[[BitbucketApi], object] | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def waits(self) -> bool:
        """Whether it hardly takes a processor."""
        return "nano_cpus" in self.options or self.name == TRIED_AGAIN

    def slowly(self) -> Case:
        return Case(f"{self.name}, slowly", self.environ, self.clone, self.bitbucket, {**self.options, **SLOW})


@dataclass(frozen=True)
class Ended:
    run: Run
    events: list[dict[str, Any]]
    seconds: float

    @property
    def actions(self) -> list[str]:
        return [event["event_action"] for event in self.events]

    @property
    def page(self) -> dict[str, Any]:
        assert (self.run.status, self.actions) == (0, ["trigger"]), self.run.log
        return self.events[0]["payload"]


def evidence_of(case: Case) -> str:
    """What is on the page, whatever else lies in the clone."""
    if case.name == COMMITS:
        return hostile.SUBJECT
    return hostile.FAILED if case.name in WITH_THE_FAILING_TEST else ""


def run(case: Case, client: Any, clone: Path, sandbox: Sandbox) -> Ended:
    clone.mkdir(mode=0o755)
    made = case.clone(clone)
    environ = {**case.environ, "BITBUCKET_COMMIT": made if isinstance(made, str) else hostile.COMMIT}
    with ExitStack() as stack:
        if case.bitbucket:
            api = stack.enter_context(BitbucketApi(token="a-token-of-the-repository", host="0.0.0.0"))
            case.bitbucket(api)
            environ |= {"BITBUCKET_API_URL": api.url_for(HOST), "BITBUCKET_ACCESS_TOKEN": "a-token-of-the-repository"}
        container, received = Container(client, clone, sandbox.port), Received(sandbox)
        for _ in range(TRIES):
            before = len(received.events)
            ended = container(environ, **case.options)
            if evidence_of(case) in str(received.events[before:]):
                break
        # Folders too deep for shutil.rmtree, and 100 000 files that pytest would keep
        subprocess.run(["rm", "-rf", clone], check=True)
        return Ended(ended, received.events[before:], container.took)


@pytest.fixture(scope="module")
def ended(request, client, image, tmp_path_factory):
    """How a case ended. All that the chosen tests ask for are begun at once."""
    folder = tmp_path_factory.mktemp("clones")
    items = [item for item in request.session.items if item.module is request.module and hasattr(item, "callspec")]
    asked = [case for item in items for case in item.callspec.params.values() if isinstance(case, Case)]
    asked.sort(key=lambda case: (not case.waits, case.name == TRIED_AGAIN, case.name not in NEEDS_TIME))
    quick, waiting = ThreadPoolExecutor(AT_ONCE), ThreadPoolExecutor(WAITING_AT_ONCE)
    begun: dict[Case, Future[Ended]] = {}
    with ExitStack() as stack:
        for number, case in enumerate(dict.fromkeys(asked)):
            # Made here: werkzeug compiles its routes, and in two threads at once Python 3.11 may not.
            sandbox = stack.enter_context(Sandbox(host="0.0.0.0"))
            pool = waiting if case.waits else quick
            begun[case] = pool.submit(run, case, client, folder / str(number), sandbox)
            if case.name in NEEDS_TIME:
                wait([begun[case]])
        yield lambda case: begun[case].result()
        for pool in (quick, waiting):
            pool.shutdown(cancel_futures=True)


def cases(*some: Case) -> Any:
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in some])


def pairs(*some: Case) -> Any:
    """At full speed, and on a tenth of a processor."""
    return pytest.mark.parametrize(
        ("case", "slowly"), [pytest.param(case, case.slowly(), id=case.name) for case in some]
    )


# clones


COMMITS = hostile.commits_10_000.__name__
_made: dict[str, tuple[Path, str]] = {}
_making = Lock()


def commits_10_000(clone: Path) -> str:
    """Made once, as it takes longest: any further clone has links to the same files, which nobody writes to."""
    with _making:
        if COMMITS not in _made:
            kept = clone.with_name("kept")
            _made[COMMITS] = kept, hostile.commits_10_000(kept)
    kept, commit = _made[COMMITS]
    shutil.copytree(kept, clone, copy_function=os.link, dirs_exist_ok=True)
    return commit


CLONES = {**hostile.ALL, COMMITS: commits_10_000}


@cases(*(Case(name, FAILS, make) for name, make in CLONES.items()))
def test_a_hostile_clone_costs_no_page(ended, case):
    page = ended(case).page
    assert page["severity"] == "error"
    assert page["summary"].startswith("acme/shop: unit failed on main (#812, ")
    assert ended(case).seconds < WITHIN
    assert evidence_of(case) in str(page["custom_details"])


@cases(*(Case(f"{name}, alone", FAILS, CLONES[name], options=ALONE) for name in ("plain", "fifos", "merge_bomb")))
def test_without_a_second_process_the_page_goes_out(ended, case):
    assert ended(case).page["severity"] == "error"
    assert ended(case).seconds < WITHIN
    assert "no process can be started" in ended(case).run.log


PASSING = {
    name: Case(f"{name}, passing", PASSES, CLONES[name])
    for name in ("merge_bomb", "alias_bomb", "list_of_80_000_items", "deep_yaml", "endless_yaml", "fifos")
}


@cases(*(PASSING[name] for name in ("merge_bomb", "fifos", "deep_yaml")),
       Case("plain, passing alone", PASSES, hostile.plain, options=ALONE))  # fmt: skip
def test_a_file_that_cannot_be_read_is_doubt_and_resolves_nothing(ended, case):
    end = ended(case)
    assert (end.run.status, end.events) == (0, []), end.run.log
    assert "Not resolving: bitbucket-pipelines.yml could not be read" in end.run.log
    assert end.seconds < WITHIN


# answers

ANSWERS = {
    "500 KB of nothing": {"status": 200, "body": json.dumps({"values": [{}] * 150_000}).encode()},
    "20 000 names": {"status": 200, "body": json.dumps({"values": [{"name": f"s {n}"} for n in range(20_000)]}).encode()},
    "an error of 4 MiB": {"status": 403, "body": b"x" * 4 * 1024**2},
    "an error of 4 MiB of JSON": {"status": 400, "body": json.dumps({"error": {"message": "x" * 4 * 1024**2}}).encode()},
    "a failure of 4 MiB": {"status": 500, "body": b"x" * 4 * 1024**2},
    "nesting": {"status": 200, "body": b"[" * 1_000_000},
    "no end": {"status": 200, "body": b'{"values": [', "endless": True},
    "one name of 30 MB": {"status": 200, "body": b'{"values": [{"name": "' + b"x" * 30_000_000 + b'"}]}'},
}  # fmt: skip


def answering(where: str, answer: dict[str, Any]) -> Callable[[BitbucketApi], None]:
    def arrange(api: BitbucketApi) -> None:
        api.pipeline(812, [step("unit", "FAILED")], uuid=MAIN["BITBUCKET_PIPELINE_UUID"])
        api.fault(where, times=1000, **answer)

    return arrange


@cases(
    *(Case(f"{name}, unknown", FINAL, hostile.plain, answering("/steps", answer)) for name, answer in ANSWERS.items())
)
def test_hostile_answers_end_in_a_warning(ended, case):
    """The pipe fails too: it could not tell how the build went."""
    end = ended(case)
    assert (end.run.status, end.actions) == (1, ["trigger"]), end.run.log
    assert end.events[0]["payload"]["severity"] == "warning"
    assert "result unknown" in end.events[0]["dedup_key"]
    assert end.seconds < WITHIN


@cases(*(Case(f"{name}, failing", FAILS, hostile.plain, answering("", answer)) for name, answer in ANSWERS.items()))
def test_hostile_answers_cost_a_failure_s_page_nothing_but_their_evidence(ended, case):
    assert ended(case).page["severity"] == "error"
    assert ended(case).seconds < WITHIN


# a tenth of a processor


def small_repository(clone: Path) -> str:
    """A report and a commit, packed; the commit is the same each time."""
    hostile.plain(clone)
    git = ["git", "-c", "user.name=Ada Lovelace", "-c", "user.email=ada@example.org", "-C", str(clone)]
    dated = {**os.environ, "GIT_AUTHOR_DATE": "1700000000 +0100", "GIT_COMMITTER_DATE": "1700000000 +0100"}
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "Count again"], ["gc", "-q"]):
        subprocess.run([*git, *words], check=True, env=dated)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


def builds(*others: str) -> Callable[[BitbucketApi], None]:
    def arrange(api: BitbucketApi) -> None:
        own = [step("unit"), step("page", "IN_PROGRESS", uuid=MAIN["BITBUCKET_STEP_UUID"])]
        api.pipeline(812, own, uuid=MAIN["BITBUCKET_PIPELINE_UUID"])
        for number, outcome in enumerate(others, 813):
            api.pipeline(number, [step("unit", outcome)], outcome=outcome)

    return arrange


@pairs(Case("a failure", FAILS, small_repository))
def test_on_a_tenth_of_a_processor_it_is_the_same_page(ended, case, slowly):
    page, slow_page = ended(case).page, ended(slowly).page
    assert page["custom_details"]["failed_tests"] == [hostile.FAILED]
    assert page["custom_details"]["commit_message"] == "Count again"
    assert {**slow_page, "timestamp": ""} == {**page, "timestamp": ""}
    assert ended(slowly).seconds < WITHIN_WHEN_SLOW


RESOLVED = (
    Case("plain, passing", PASSES, hostile.plain),
    Case("Bitbucket says it passed", FINAL, hostile.plain, builds()),
)
NOT_RESOLVED = (
    *PASSING.values(),
    Case("a newer build failed", FINAL, hostile.plain, builds("FAILED")),
)  # fmt: skip


@pairs(*RESOLVED, *NOT_RESOLVED)
def test_on_a_tenth_of_a_processor_nothing_resolves_that_would_not_at_full_speed(ended, case, slowly):
    full, slow = ended(case), ended(slowly)
    resolved, slowly_resolved = (
        {event["dedup_key"] for event in end.events if event["event_action"] == "resolve"} for end in (full, slow)
    )
    own = {"bitbucket:acme/shop:branch/main:step/unit", "bitbucket:acme/shop:branch/main"}
    assert slowly_resolved <= resolved, slow.run.log
    assert len(slowly_resolved & own) == len(resolved & own) == (case in RESOLVED), slow.run.log
    assert slow.seconds < WITHIN_WHEN_SLOW


@cases(*(Case(name, FAILS, CLONES[name]).slowly() for name in
         ("merge_bomb", "fifos", "delta_of_500_mb", "report_of_20_mb", "commits_10_000")))  # fmt: skip
def test_on_a_tenth_of_a_processor_the_page_goes_out(ended, case):
    """What there is no time to read may be missing from it."""
    assert ended(case).page["severity"] == "error"
    assert ended(case).seconds < WITHIN_WHEN_SLOW
