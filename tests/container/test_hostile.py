"""Whatever lies in the clone, the page goes out: the real image in 64 MiB, on a read-only disk, as nobody."""

from __future__ import annotations

import json
import time

import pytest

from tests import hostile
from tests.bitbucket_api import BitbucketApi, step
from tests.conftest import KEY, MAIN
from tests.container.test_container import client, container, image, received, sandbox  # noqa: F401 (fixtures)

pytestmark = pytest.mark.container

FAILS = {**MAIN, "INTEGRATION_KEY": KEY, "EXIT_CODE": "2", "ALERT_NAME": "unit"}
WITHIN = 20  # seconds
CLONES = (
    "merge_bomb", "list_of_80_000_items", "deep_yaml", "delta_of_500_mb", "truncated_pack", "indexes_100_000", "entity_bomb",
    "fifos", "report_of_20_mb",
)  # fmt: skip


@pytest.mark.parametrize("name", CLONES)
def test_a_hostile_clone_costs_no_page(container, received, name):  # noqa: F811
    (container.clone / "bitbucket-pipelines.yml").unlink()
    hostile.ALL[name](container.clone)
    started = time.monotonic()
    run = container({**FAILS, "BITBUCKET_COMMIT": hostile.COMMIT})
    assert (run.status, received.actions) == (0, ["trigger"]), run.log
    assert time.monotonic() - started < WITHIN
    if name == "report_of_20_mb":
        assert hostile.FAILED in received.details["failed_tests"]


def test_the_subject_of_a_commit_among_ten_thousand_is_on_the_page(container, received):  # noqa: F811
    run = container({**FAILS, "BITBUCKET_COMMIT": hostile.commits_10_000(container.clone)})
    assert run.status == 0, run.log
    assert received.details["commit_message"] == hostile.SUBJECT


def test_without_a_second_process_the_page_goes_out(container, received):  # noqa: F811
    run = container(FAILS, pids_limit=1)
    assert (run.status, received.actions) == (0, ["trigger"]), run.log
    assert "no process can be started" in run.log


def test_on_a_tenth_of_a_processor_a_resolve_needs_what_full_speed_needs(container, received):  # noqa: F811
    hostile.merge_bomb(container.clone)
    run = container({**FAILS, "EXIT_CODE": "0"}, nano_cpus=100_000_000)
    assert (run.status, received.events) == (0, [])
    assert "Not resolving: bitbucket-pipelines.yml could not be read" in run.log


@pytest.mark.parametrize(
    "body",
    [json.dumps({"values": [{}] * 150_000}).encode(), json.dumps({"values": [{"name": f"step {n}"} for n in range(20_000)]}).encode()],
    ids=["500 KB of nothing", "20 000 names"],
)  # fmt: skip
def test_hostile_answers_are_said_on_the_pager(container, received, body):  # noqa: F811
    with BitbucketApi(token="a-token-of-the-repository", host="0.0.0.0") as api:
        api.pipeline(812, [step("unit", "FAILED")], uuid=MAIN["BITBUCKET_PIPELINE_UUID"])
        api.fault("/steps", times=100, status=200, body=body)
        environ = {
            "BITBUCKET_API_URL": api.url_for("host.docker.internal"),
            "BITBUCKET_ACCESS_TOKEN": "a-token-of-the-repository",
        }
        started = time.monotonic()
        run = container({**MAIN, "INTEGRATION_KEY": KEY, **environ})
    assert run.status == 1, run.log
    assert received.only["payload"]["severity"] == "warning"
    assert time.monotonic() - started < WITHIN
