"""Bitbucket's REST API as the pipe reads it, over real HTTP: what it says, what it refuses, and all that may go wrong."""

from __future__ import annotations

import base64
import re
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pipe import bitbucket
from pipe.bitbucket import Bitbucket, NewerBuild, Unreadable, credentials
from pipe.bitbucket import http as bitbucket_http
from pipe.bitbucket.http import origin_of
from tests.bitbucket_api import BitbucketApi, Log, step, uuid_of

TOKEN = "ATCTT3x-a-token-that-nobody-may-see"
EMAIL, API_TOKEN = "ada@example.com", "ATATT3x-another-token-that-nobody-may-see"
BASIC = base64.b64encode(f"{EMAIL}:{API_TOKEN}".encode()).decode()
STEPS, PIPELINE = r"/steps(\?|$)", r"%7D$"  # what the faults happen to
SLACK = 0.5  # seconds by which a busy machine may miss a deadline

# A certificate that nobody trusts, for nobody.invalid, and its key; made for these tests.
UNTRUSTED = {
    "CERTIFICATE": (
        "MIIBiTCCAS+gAwIBAgIUXO5+8+axyyxbgdbpjITi/sX6o6wwCgYIKoZIzj0EAwIwGTEXMBUGA1UEAwwObm9ib2R5LmludmFsaWQwIBcNMjYxMTIz"
        "MDk1NzM5WhgPMjEyNjEwMzAwOTU3MzlaMBkxFzAVBgNVBAMMDm5vYm9keS5pbnZhbGlkMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEQyV7l95o"
        "CeSimDNYryd1FILv06gXazb07wzNn3k1lEVh5JEti6Fs0oeqNPCICbStiS4FFWDDk6uofex5Oc5rKaNTMFEwHQYDVR0OBBYEFHXphDoiYuR6YQSM"
        "95+NTPERKvwqMB8GA1UdIwQYMBaAFHXphDoiYuR6YQSM95+NTPERKvwqMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhANFNwdkR"
        "Di8LNd3te66yJdbpFXjp7gc9+NziAv4jFiSpAiASFnSWN3C7n0GLeHPONfPpoIF0OAbWiEme3qZEn2BDsg=="
    ),
    "EC PRIVATE KEY": (
        "MHcCAQEEIFq6oRnwgMoIj6CIpe7FY+iUU/mzeg/ZB9+K34JLoRZZoAoGCCqGSM49AwEHoUQDQgAEQyV7l95oCeSimDNYryd1FILv06gXazb07wzN"
        "n3k1lEVh5JEti6Fs0oeqNPCICbStiS4FFWDDk6uofex5Oc5rKQ=="
    ),
}


class Reader:
    """Makes sessions with the API under test and keeps what they log; none of it may hold a secret."""

    def __init__(self, api: BitbucketApi) -> None:
        self.api, self.log = api, []

    def session(self, seconds: float = 3.0, *, auth=None, url: str = "", repository: str = "acme/shop") -> Bitbucket:
        deadline = time.monotonic() + seconds
        auth = auth or credentials(TOKEN, "", "")
        return Bitbucket(url or self.api.url, auth, repository, deadline=deadline, log=self.log.append)

    def run(self, pipeline, own=None, *, wait=False, **session):
        own = own or pipeline.steps[-1]
        return self.session(**session).pipeline_run(pipeline.uuid, own.uuid, wait=wait)

    def trouble(self, pipeline=None, **session) -> Unreadable:
        """How reading the pipeline fails."""
        pipeline = pipeline or self.api.pipelines[0]
        with pytest.raises(Unreadable) as caught:
            self.run(pipeline, **session)
        self.told(caught.value)
        return caught.value

    def told(self, error: Unreadable) -> None:
        """What the user would see of it is whole, on one line each, and free of secrets."""
        assert error.reason and error.advice
        shown = [error.reason, error.advice, str(error), repr(error), *self.log]
        cause: BaseException | None = error
        while cause := cause.__cause__ or cause.__context__:
            shown += [str(cause), repr(cause)]
        for text in shown:
            assert "\n" not in text
            for secret in (TOKEN, API_TOKEN, BASIC, EMAIL, "hunter2"):
                assert secret not in text


@pytest.fixture
def api():
    with BitbucketApi(token=TOKEN, email=EMAIL, api_token=API_TOKEN) as running:
        yield running


@pytest.fixture
def reader(api, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return Reader(api)


@pytest.fixture
def plain(api):
    """The simplest pipeline: one step that passed, and the asking one."""
    return api.pipeline(812, [step("unit"), step("notify", "IN_PROGRESS")])


# What a pipeline and its steps look like


def test_a_pipeline_is_read_with_its_other_steps_in_order_and_the_asking_one_apart(api, reader):
    made = api.pipeline(
        812,
        [step("unit", "FAILED"), step("deploy", "NOT_RUN"), step("gate", "PENDING", trigger="manual"), step("notify", "IN_PROGRESS", run=2)],
    )
    run = reader.run(made)
    assert [(one.name, one.state, one.result, one.manual) for one in run.steps] == [
        ("unit", "COMPLETED", "FAILED", False),
        ("deploy", "COMPLETED", "NOT_RUN", False),
        ("gate", "PENDING", "", True),
    ]
    assert run.steps[0].uuid == made.steps[0].uuid
    assert (run.own.name, run.own.run_number, run.own_is_last) == ("notify", 2, True)
    assert (run.number, run.state, run.result, run.waiting) == (812, "IN_PROGRESS", "", False)
    assert (run.ref_type, run.ref_name, run.selector_type, run.selector_pattern) == ("branch", "main", "branches", "main")
    assert run.commit == "0123456789abcdef0123456789abcdef01234567"
    assert run.created_on.startswith("2026-10-01T")


TARGETS = [
    ({"ref": "v1.2", "ref_type": "tag", "selector": ("tags", "v*")}, ("tag", "v1.2", None, "tags", "v*")),
    ({"selector": ("default", "")}, ("branch", "main", None, "default", "")),
    ({"selector": ("custom", "nightly")}, ("branch", "main", None, "custom", "nightly")),
    ({"ref": "fix", "pull_request": 42, "selector": ("pull-requests", "**")}, ("pullrequest", "fix", 42, "pull-requests", "**")),
    ({"ref": "", "selector": ("custom", "nightly")}, ("", "", None, "custom", "nightly")),
    ({"target": {"type": "pipeline_ref_target", "ref_name": "main", "selector": None}}, ("", "main", None, "", "")),
    ({"target": ...}, ("", "", None, "", "")),
]


@pytest.mark.parametrize(("given", "expected"), TARGETS)
def test_a_target_of_any_kind_gives_ref_and_selector(api, reader, given, expected):
    assert reader.run(api.pipeline(steps=[step("notify", "IN_PROGRESS")], **given)).check == expected


@pytest.mark.parametrize(
    ("given", "name", "run_number", "manual"),
    [
        ({"name": ...}, "", 1, False),
        ({"name": None}, "", 1, False),
        ({"name": 7}, "", 1, False),
        ({"name": "bad \ud800"}, "bad \ufffd", 1, False),
        ({"run_number": ...}, "unit", 1, False),
        ({"run_number": "2"}, "unit", 1, False),
        ({"run_number": True}, "unit", 1, False),
        ({"run_number": -1}, "unit", 1, False),
        ({"run_number": 3}, "unit", 3, False),
        ({"trigger": ...}, "unit", 1, False),
        ({"trigger": None}, "unit", 1, False),
        ({"trigger": "manual"}, "unit", 1, False),
        ({"trigger": {"type": "pipeline_step_trigger_manual"}}, "unit", 1, True),
        ({"trigger": {"type": "manual"}}, "unit", 1, True),
        ({"trigger": {"type": "pipeline_step_trigger_redeploy"}}, "unit", 1, False),
    ],
)
def test_what_is_optional_in_a_step_may_be_missing_or_odd(api, reader, given, name, run_number, manual):
    made = api.pipeline(steps=[step("unit"), step("notify", "IN_PROGRESS")])
    made.steps[0].override.update(given)
    [other] = reader.run(made).steps
    assert (other.name, other.run_number, other.manual) == (name, run_number, manual)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"name": "PENDING", "stage": {"name": "PAUSED"}}, ("PENDING", "")),
        ({"name": "completed", "result": {"name": "Expired"}}, ("COMPLETED", "EXPIRED")),
        ({"name": "COMPLETED", "result": {"name": "MELTED"}}, ("COMPLETED", "MELTED")),
        ({"name": "DREAMING"}, ("DREAMING", "")),
        ({"type": "pipeline_step_state_in_progress"}, ("IN_PROGRESS", "")),
        (
            {"type": "pipeline_step_state_completed", "result": {"type": "pipeline_step_state_completed_not_run"}},
            ("COMPLETED", "NOT_RUN"),
        ),
    ],
)
def test_states_and_results_pass_through_in_upper_case_new_ones_included(api, reader, state, expected):
    [other] = reader.run(api.pipeline(steps=[step("unit", state=state), step("notify", "IN_PROGRESS")])).steps
    assert (other.state, other.result) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], None),
        ([step("unit", "STOPPED")], None),
        ([step("unit"), step("e2e", "STOPPED", stopped_by="Grace Hopper")], "Grace Hopper"),
        ([step("e2e", state={"name": "COMPLETED", "result": {"name": "STOPPED", "terminator": {"uuid": "{x}"}}})], "somebody"),
        ([step("e2e", state={"name": "COMPLETED", "result": {"name": "STOPPED", "terminator": None}})], None),
        ([step("e2e", state={"name": "COMPLETED", "result": {"name": "STOPPED", "terminator": "root"}})], None),
    ],
)
def test_who_stopped_a_step_is_told_where_bitbucket_names_somebody(api, reader, given, expected):
    assert reader.run(api.pipeline(steps=[*given, step("notify", "IN_PROGRESS")])).stopped_by == expected


def test_who_stopped_the_pipeline_is_told_and_is_not_who_started_it(api, reader):
    made = api.pipeline(outcome="STOPPED", stopped_by="Grace Hopper", steps=[step("notify", "IN_PROGRESS")])
    run = reader.run(made)
    assert (run.stopped_by, run.result) == ("Grace Hopper", "STOPPED")


@pytest.mark.parametrize(
    ("listed", "own", "names", "last"),
    [
        (["unit", "notify"], 1, ["unit"], True),
        (["unit", "notify", "after"], 1, ["unit", "after"], False),
        (["notify"], 0, [], True),
        (["unit", "lint"], None, ["unit", "lint"], False),
    ],
)
def test_the_asking_step_is_the_last_one_only_where_it_is_listed_last(api, reader, listed, own, names, last):
    steps = [step(name) for name in listed]
    run = reader.run(api.pipeline(steps=steps), steps[own] if own is not None else step("unlisted"))
    assert ([one.name for one in run.steps], run.own_is_last, run.own is None) == (names, last, own is None)


def test_a_uuid_is_found_without_its_braces_and_in_capitals_too(api, reader, plain):
    run = reader.session().pipeline_run(plain.uuid.strip("{}"), plain.steps[1].uuid.strip("{}").upper())
    assert run.own.name == "notify"


# Reruns

SAME = uuid_of("the same step")
RERUNS = {
    "a later run with the same uuid": (
        [step("unit", "FAILED", uuid=SAME), step("unit", "SUCCESSFUL", uuid=SAME, run=2)],
        [("unit", "SUCCESSFUL", 2)],
    ),
    "the same uuid, listed newest first": (
        [step("unit", "SUCCESSFUL", uuid=SAME, run=2), step("unit", "FAILED", uuid=SAME)],
        [("unit", "SUCCESSFUL", 2)],
    ),
    "the same uuid without run numbers": (
        [step("unit", "FAILED", uuid=SAME, run=None), step("unit", "SUCCESSFUL", uuid=SAME, run=None)],
        [("unit", "SUCCESSFUL", 1)],
    ),
    "a later run with the same name and a uuid of its own": (
        [step("unit", "FAILED"), step("lint"), step("unit", "FAILED", run=2), step("unit", "SUCCESSFUL", run=3)],
        [("lint", "SUCCESSFUL", 1), ("unit", "SUCCESSFUL", 3)],
    ),
    "a later run that failed": (
        [step("unit", "STOPPED"), step("unit", "FAILED", run=2)],
        [("unit", "FAILED", 2)],
    ),
    "namesakes of one run are different steps": (
        [step("unit", "FAILED"), step("unit", "SUCCESSFUL")],
        [("unit", "FAILED", 1), ("unit", "SUCCESSFUL", 1)],
    ),
    "of three namesakes, only what was rerun gives way": (
        [step("unit", "FAILED"), step("unit"), step("unit", "FAILED"), step("unit", run=2)],
        [("unit", "SUCCESSFUL", 1), ("unit", "FAILED", 1), ("unit", "SUCCESSFUL", 2)],
    ),
    "what passed gives way last, but for what did not run at all": (
        [step("unit"), step("unit", "NOT_RUN"), step("unit", "ERROR"), step("unit", run=2), step("unit", run=2)],
        [("unit", "NOT_RUN", 1), ("unit", "SUCCESSFUL", 2), ("unit", "SUCCESSFUL", 2)],
    ),
    "what passed stays where something else was rerun": (
        [step("unit"), step("unit", "EXPIRED"), step("unit", run=2)],
        [("unit", "SUCCESSFUL", 1), ("unit", "SUCCESSFUL", 2)],
    ),
    "steps without a name are never taken for one another": (
        [step(None, "FAILED"), step(None, "SUCCESSFUL", run=2)],
        [("", "FAILED", 1), ("", "SUCCESSFUL", 2)],
    ),
}


@pytest.mark.parametrize(("listed", "kept"), RERUNS.values(), ids=RERUNS.keys())
def test_of_a_step_that_was_rerun_only_its_last_run_counts(api, reader, listed, kept):
    run = reader.run(api.pipeline(steps=[*listed, step("notify", "IN_PROGRESS")]))
    assert [(one.name, one.result, one.run_number) for one in run.steps] == kept


def test_earlier_runs_of_the_asking_step_are_left_out(api, reader):
    earlier, own = step("notify", "FAILED"), step("notify", "IN_PROGRESS", run=2)
    run = reader.run(api.pipeline(steps=[step("unit"), earlier, own]))
    assert [one.name for one in run.steps] == ["unit"]
    assert (run.own.run_number, run.own_is_last) == (2, True)


# Paths, pages, credentials


def test_braces_are_percent_encoded_in_every_path(api, reader):
    made = api.pipeline(steps=[step("unit", log=b"a log"), step("notify", "IN_PROGRESS")])
    reader.run(made)
    reader.session().log_tail(made.uuid, made.steps[0].uuid)
    paths = [request.path for request in (*api.requests, *api.storage.requests)]
    assert len(paths) == 4
    assert all("%7B" in path and "{" not in path for path in paths)


def test_all_pages_of_steps_are_read(api, reader):
    api.page_length = 2
    made = api.pipeline(steps=[*(step(f"unit {number}") for number in range(6)), step("notify", "IN_PROGRESS")])
    run = reader.run(made)
    assert [one.name for one in run.steps] == [f"unit {number}" for number in range(6)]
    assert [request.query["pagelen"] for request in api.asked("/steps")] == ["100"] * 4


def test_pages_without_end_are_not_followed_without_end(api, reader, plain):
    api.fault(STEPS, times=99, status=200, body=b'{"values": [], "next": "%s/again/steps"}' % api.url.encode())
    assert "more than 5 pages" in reader.trouble().reason
    assert len(api.asked("/steps")) == 5


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:{port}", "https://127.0.0.1:{port}", "http://127.0.0.1:{other}", "http://127.0.0.1", "//localhost",
     "http://localhost:{other}\\@127.0.0.1:{port}", "http://127.0.0.1:{port}@localhost:{other}", "file://127.0.0.1"],
)
def test_a_next_page_at_another_address_is_not_followed(api, reader, origin):
    api.page_length = 1
    api.next_origin = origin.format(port=urlsplit(api.url).port, other=api.storage.port)
    made = api.pipeline(steps=[step("unit"), step("notify", "IN_PROGRESS")])
    assert "next page at another address" in reader.trouble(made).reason
    assert api.storage.requests == []
    assert len(api.requests) == 2


@pytest.mark.parametrize(
    ("given", "header"),
    [
        ((TOKEN, "", ""), f"Bearer {TOKEN}"),
        ((f" {TOKEN}\n", EMAIL, API_TOKEN), f"Bearer {TOKEN}"),
        (("", EMAIL, API_TOKEN), f"Basic {BASIC}"),
    ],
)
def test_an_access_token_is_sent_as_bearer_and_an_api_token_as_basic(api, reader, plain, given, header):
    reader.run(plain, auth=credentials(*given))
    assert {request.authorization for request in api.requests} == {header}


@pytest.mark.parametrize("given", [("", "", ""), ("", EMAIL, ""), ("", "", API_TOKEN), (" ", " ", " ")])
def test_half_a_login_is_none(given):
    assert credentials(*given) is None


def test_without_a_token_neither_netrc_nor_the_url_gives_a_login(api, reader, plain, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("default login ada password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    session = Bitbucket(
        api.url.replace("://", "://ada:hunter2@"), None, "acme/shop", deadline=time.monotonic() + 2, log=reader.log.append
    )
    with pytest.raises(Unreadable) as caught:
        session.pipeline_run(plain.uuid, plain.steps[-1].uuid)
    reader.told(caught.value)
    assert "wants a token (401)" in caught.value.reason
    assert [request.authorization for request in api.requests] == [None]


def test_a_login_in_the_address_does_not_replace_the_token(api, reader, plain):
    reader.run(plain, url=api.url.replace("://", "://ada:hunter2@"))
    assert {request.authorization for request in api.requests} == {f"Bearer {TOKEN}"}


# Refusals and trouble


@pytest.mark.parametrize(
    ("kind", "server", "reason", "advice"),
    [
        (credentials("expired-token", "", ""), {}, "refused the token (401)", "Renew BITBUCKET_ACCESS_TOKEN"),
        (credentials("", EMAIL, "expired-token"), {}, "refused the token (401)", "Renew ATLASSIAN_API_TOKEN"),
        (credentials(TOKEN, "", ""), {"scopes": ["repository"]}, "(403), it lacks the scope Pipelines: Read", "Pipelines: Read"),
        (credentials("", EMAIL, API_TOKEN), {"scopes": []}, "(403), it lacks the scope read:pipeline:bitbucket", "read:pipeline:bitbucket"),
        (credentials(TOKEN, "", ""), {"repository": "acme/other"}, "(404)", "may read this repository"),
    ],
)
def test_a_refusal_is_final_and_says_what_to_renew_or_which_scope_is_missing(kind, server, reason, advice):
    with BitbucketApi(token=TOKEN, email=EMAIL, api_token=API_TOKEN, **server) as api:
        api.pipeline(steps=[step("notify", "IN_PROGRESS")])
        trouble = Reader(api).trouble(auth=kind)
        assert reason in trouble.reason
        assert advice in trouble.advice
        assert len(api.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404])
@pytest.mark.parametrize("secret", [TOKEN, API_TOKEN, BASIC], ids=["access token", "API token", "Basic"])
def test_bitbucket_s_own_words_are_quoted_without_secrets_on_one_line(api, reader, plain, status, secret):
    words = f"The token {secret} of\\n acme is\\u001b  no good."
    api.fault(status=status, body=b'{"error": {"message": "%s"}}' % words.encode())
    trouble = reader.trouble(auth=credentials("", EMAIL, API_TOKEN) if secret != TOKEN else None)
    assert trouble.reason.endswith(': "The token **** of acme is no good"')


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b"{}", b'{"error": "no"}', b'{"error": {"message": {"a": 1}}}', b"[" * 99_999])
def test_a_refusal_without_words_is_told_all_the_same(api, reader, plain, body):
    api.fault(status=401, body=body)
    assert reader.trouble().reason == "Bitbucket refused the token (401)"


@pytest.mark.parametrize("status", [400, 405, 406, 410, 451])
def test_another_refusal_is_final_too(api, reader, plain, status):
    api.fault(status=status, times=99)
    assert str(status) in reader.trouble().reason
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [
        *({"status": status} for status in (408, 429, 500, 502, 503, 504, 507)),
        {"drop": "before"},
        {"drop": "middle"},
    ],
    ids=str,
)
@pytest.mark.parametrize("where", [PIPELINE, STEPS])
def test_what_passes_by_itself_is_asked_again(api, reader, plain, monkeypatch, fault, where):
    monkeypatch.setattr(bitbucket_http.random, "uniform", lambda least, most: 0.01)
    api.fault(where, **fault)
    assert [one.name for one in reader.run(plain).steps] == ["unit"]
    assert len(api.requests) == 3
    assert len(reader.log) == 1
    assert "asking again in" in reader.log[0]


def test_trouble_that_stays_is_unreadable_within_the_budget(api, reader, plain):
    api.fault(times=99, status=503)
    began = time.monotonic()
    trouble = reader.trouble(seconds=0.6)
    assert "trouble of its own (503)" in trouble.reason
    assert time.monotonic() - began < 0.6 + SLACK
    assert 2 <= len(api.requests) <= 11


def in_seconds(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "at_least"),
    [
        ({"Retry-After": "1"}, 1.0),
        ({"X-RateLimit-Reset": "0.4"}, 0.4),
        ({"RateLimit-Reset": "0.4"}, 0.4),
        ({"Retry-After": "soon"}, 0.1),
        ({"X-RateLimit-Reset": "soon"}, 0.1),
        ({"Retry-After": "0"}, 0.1),
    ],
)
def test_a_rate_limit_s_reset_is_waited_for(api, reader, plain, headers, at_least):
    api.fault(status=429, headers=headers)
    reader.run(plain)
    assert at_least <= api.requests[1].at - api.requests[0].at < at_least + 0.3 + SLACK


@pytest.mark.parametrize(
    "headers",
    [
        lambda: {"Retry-After": "840"},
        lambda: {"Retry-After": in_seconds(840)},
        lambda: {"X-RateLimit-Reset": str(int(time.time()) + 840)},
        lambda: {"X-RateLimit-Reset": "840"},
    ],
)
def test_a_reset_beyond_the_budget_is_not_waited_for(api, reader, plain, headers):
    api.fault(status=429, headers=headers(), times=99)
    began = time.monotonic()
    trouble = reader.trouble()
    assert re.search(r"\(429\) for another 8[34]\d s", trouble.reason)
    assert "an access token of its own" in trouble.advice
    assert time.monotonic() - began < SLACK
    assert len(api.requests) == 1


@pytest.mark.parametrize("slow", [{"delay": 60.0}, {"drip": 0.05}], ids=["no answer", "byte by byte, from the status line on"])
def test_an_answer_that_does_not_come_in_time_is_unreadable_at_the_deadline(api, reader, plain, slow):
    api.fault(times=99, **slow)
    began = time.monotonic()
    trouble = reader.trouble(seconds=0.7)
    assert re.search("no (whole )?answer from 127.0.0.1", trouble.reason)
    assert 0.5 < time.monotonic() - began < 0.7 + SLACK


@pytest.mark.parametrize("slow", [{"delay": 60.0}, {"drip": 0.05}], ids=["no answer", "byte by byte"])
def test_one_slow_answer_leaves_time_for_a_second_attempt(api, reader, plain, monkeypatch, slow):
    monkeypatch.setattr(bitbucket_http, "ATTEMPT", 0.3)
    api.fault(**slow)
    assert reader.run(plain, seconds=3).number == 812


def test_nothing_is_asked_once_the_time_is_over(api, reader, plain):
    assert "time for reading Bitbucket's API is over" in reader.trouble(seconds=0).reason
    assert api.requests == []


def test_a_server_that_is_not_there_is_asked_again_and_then_unreadable(api, reader, plain):
    began = time.monotonic()
    trouble = reader.trouble(seconds=0.5, url="http://127.0.0.1:9/2.0")
    assert trouble.reason == "no connection to 127.0.0.1 (Connection refused)"
    assert "HTTPS_PROXY" in trouble.advice
    assert time.monotonic() - began < 0.5 + SLACK
    assert len(reader.log) >= 1


def test_a_certificate_that_does_not_verify_is_final(tmp_path, monkeypatch):
    for name, content in UNTRUSTED.items():
        lines = "\n".join(re.findall(".{1,64}", content))
        with (tmp_path / "untrusted.pem").open("a") as file:
            file.write(f"-----BEGIN {name}-----\n{lines}\n-----END {name}-----\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "untrusted.pem")
    with BitbucketApi(tls=context) as api:
        api.pipeline(steps=[step("notify", "IN_PROGRESS")])
        reader = Reader(api)
        began = time.monotonic()
        trouble = reader.trouble()
        assert trouble.reason == "the certificate of 127.0.0.1 does not verify"
        assert "REQUESTS_CA_BUNDLE" in trouble.advice
        assert time.monotonic() - began < 1
        assert (api.requests, reader.log) == ([], [])


@pytest.mark.parametrize("token", [f"{TOKEN}\nX-Injected: yes", f"{TOKEN}\r\n\r\n", f"{TOKEN}…"])
def test_a_token_that_cannot_be_sent_is_not_shown(api, reader, plain, token):
    from bitbucket_pipes_toolkit import TokenAuth

    trouble = reader.trouble(auth=TokenAuth(token))
    assert trouble.reason == "the token cannot be sent as it is"
    assert "Paste the token again" in trouble.advice
    assert api.requests == []


@pytest.mark.parametrize("url", ["", "api.bitbucket.org/2.0", "ftp://127.0.0.1/", "http://", "http://[::1", "http://a b/", "http://:x/"])
def test_an_address_that_is_none_is_unreadable(reader, plain, url):
    session = Bitbucket(url, credentials(TOKEN, "", ""), "acme/shop", deadline=time.monotonic() + 2, log=reader.log.append)
    with pytest.raises(Unreadable) as caught:
        session.pipeline_run(plain.uuid, plain.steps[-1].uuid)
    reader.told(caught.value)
    assert "address" in caught.value.reason
    assert "BITBUCKET_API_URL" in caught.value.advice


@pytest.mark.parametrize("repository", ["", "acme", "acme/", "/shop", "acme/shop/more", "../shop"])
def test_a_repository_that_is_none_is_unreadable(api, reader, plain, repository):
    assert "repository is not known" in reader.trouble(repository=repository).reason
    assert api.requests == []


def test_without_a_pipeline_s_uuid_not_even_the_list_of_pipelines_is_asked_for(api, reader):
    with pytest.raises(Unreadable, match="BITBUCKET_PIPELINE_UUID is not known"):
        reader.session().pipeline_run("{}", "{x}")
    assert api.requests == []


@pytest.mark.parametrize("location", ["{storage}/elsewhere", "http://localhost:1/", "https://example.invalid/"])
@pytest.mark.parametrize("where", [PIPELINE, STEPS])
def test_json_is_not_fetched_from_another_address(api, reader, plain, location, where):
    api.fault(where, status=302, headers={"Location": location.format(storage=api.storage.url)})
    assert "redirect to another address" in reader.trouble().reason
    assert api.storage.requests == []


def test_a_redirect_within_the_api_is_followed_but_not_in_a_circle(api, reader, plain):
    api.fault(STEPS, status=301, headers={"Location": "steps/"})
    assert [one.name for one in reader.run(plain).steps] == ["unit"]
    api.fault(times=99, status=301, headers={"Location": "?again"})
    assert "circle" in reader.trouble().reason


# Answers that are not what they should be

GARBAGE = [
    (b"", "something else than JSON"),
    (b"<html>502</html>", "something else than JSON"),
    (b"\xff\xfe\x00", "something else than JSON"),
    (b"[" * 100_000, "something else than JSON"),
    (b'{"values": ' + b"9" * 5000 + b"}", "something else than JSON"),
    (b"null", "something else than a JSON object"),
    (b'["a"]', "something else than a JSON object"),
    (b'"text"', "something else than a JSON object"),
]


@pytest.mark.parametrize(("body", "reason"), GARBAGE, ids=range(len(GARBAGE)))
@pytest.mark.parametrize("where", [PIPELINE, STEPS])
def test_an_answer_that_is_no_json_object_is_unreadable(api, reader, plain, body, reason, where):
    api.fault(where, body=body, headers={"Content-Length": str(len(body))})
    assert reader.trouble().reason == f"Bitbucket's API answered with {reason}"


@pytest.mark.parametrize(
    ("where", "body"),
    [
        (PIPELINE, b"{}"),
        (PIPELINE, b'{"type": "error", "error": {"message": "no"}}'),
        (PIPELINE, b'{"uuid": "{x}", "state": "COMPLETED"}'),
        (PIPELINE, b'{"uuid": "{x}", "state": {"name": "COMPLETED", "result": "FAILED"}}'),
        (PIPELINE, b'{"uuid": "{x}", "target": ["main"]}'),
        (PIPELINE, b'{"uuid": "{x}", "target": {"selector": "main"}}'),
        (STEPS, b"{}"),
        (STEPS, b'{"values": null}'),
        (STEPS, b'{"values": {}}'),
        (STEPS, b'{"values": [null]}'),
        (STEPS, b'{"values": [[]]}'),
        (STEPS, b'{"values": [], "next": 2}'),
    ],
)
def test_json_that_leaves_a_step_s_result_open_is_unreadable(api, reader, plain, where, body):
    api.fault(where, body=body)
    assert reader.trouble().reason.startswith("Bitbucket's API answered with ")


@pytest.mark.parametrize(
    "odd",
    [
        "{}",
        '{"uuid": "{x}"}',
        '{"uuid": "{x}", "state": null}',
        '{"uuid": "{x}", "state": "FAILED"}',
        '{"uuid": "{x}", "state": {"name": 3}}',
        '{"uuid": "{x}", "state": {"name": "COMPLETED"}}',
        '{"uuid": "{x}", "state": {"name": "COMPLETED", "result": ["FAILED"]}}',
    ],
)
def test_a_step_that_tells_nothing_leaves_the_others_their_say(api, reader, plain, odd):
    known = '{"uuid": "{y}", "name": "unit", "state": {"name": "COMPLETED", "result": {"name": "FAILED"}}}'
    api.fault(STEPS, body=f'{{"values": [{odd}, {known}, {odd}]}}'.encode())
    found = reader.run(plain)
    assert [one.result for one in found.steps if one.name == "unit"] == ["FAILED"]
    assert all(not one.result for one in found.steps if one.name != "unit")


def test_a_list_without_next_is_read_to_its_size(api, reader):
    api.next_origin = None
    api.page_length = 2
    made = api.pipeline(812, [step(f"s{n}") for n in range(5)])
    found = reader.run(made)
    assert [one.name for one in (*found.steps, found.own)] == [f"s{n}" for n in range(5)]


def test_a_list_that_is_shorter_than_it_says_is_unreadable(api, reader, plain):
    api.fault(STEPS, body=b'{"values": [], "size": 3}')
    assert "says it has 3" in reader.trouble().reason


def test_a_pipeline_may_lack_all_but_one_sign_that_it_is_one(api, reader, plain):
    api.fault(PIPELINE, body=b'{"uuid": "{x}", "build_number": true, "state": null, "created_on": 5}')
    run = reader.run(plain)
    assert (run.number, run.state, run.result, run.ref_name, run.created_on) == (None, "", "", "", "")
    assert [one.name for one in run.steps] == ["unit"]


def test_an_answer_that_never_ends_is_given_up(api, reader, plain):
    api.fault(PIPELINE, body=b'{"uuid": "' + b"x" * (5 * 1024 * 1024) + b'"}')
    assert reader.trouble().reason == "Bitbucket's API answered with more than 4 MB"
    assert len(api.requests) == 1


# Waiting


def test_unfinished_steps_are_looked_at_again_with_growing_pauses(api, reader, monkeypatch):
    monkeypatch.setattr(bitbucket, "PAUSE", 0.1)
    deploy = step("deploy", "IN_PROGRESS", after=3, becomes="FAILED")
    made = api.pipeline(steps=[step("unit"), deploy, step("notify", "IN_PROGRESS")])
    run = reader.run(made, wait=True)
    assert ([one.result for one in run.steps], run.waiting) == (["SUCCESSFUL", "FAILED"], False)
    looks = [request.at for request in api.asked("/steps")]
    pauses = [later - earlier for earlier, later in pairwise(looks)]
    assert [pause > least for pause, least in zip(pauses, (0.1, 0.2, 0.3), strict=True)] == [True] * 3
    assert reader.log[0] == "1 other step not finished yet, looking again in 0.1 s"


@pytest.mark.parametrize("state", ["READY", "DREAMING"])
def test_when_the_time_to_wait_is_over_the_pipeline_is_returned_as_it_stands(api, reader, monkeypatch, state):
    monkeypatch.setattr(bitbucket, "PAUSE", 0.2)
    made = api.pipeline(steps=[step("unit", "FAILED"), step("e2e", state={"name": state}), step("notify", "IN_PROGRESS")])
    began = time.monotonic()
    run = reader.run(made, wait=True, seconds=1.0)
    assert ([one.state for one in run.steps], run.waiting) == (["COMPLETED", state], True)
    assert 0.6 <= time.monotonic() - began < 1.0, "some of the time is left for what is asked next"
    assert 3 <= len(api.asked("/steps")) <= 4


@pytest.mark.parametrize(
    "settled",
    [
        step("gate", "PENDING", trigger="manual"),
        step("gate", "READY", trigger="manual"),
        step("skipped", state={"name": "NOT_RUN"}),
        step("skipped", "NOT_RUN"),
    ],
    ids=lambda one: one.name,
)
def test_a_step_that_goes_on_only_by_hand_or_never_is_not_waited_for(api, reader, settled):
    run = reader.run(api.pipeline(steps=[settled, step("notify", "IN_PROGRESS")]), wait=True)
    assert run.waiting is False
    assert len(api.requests) == 2


def test_a_manual_step_that_was_started_is_waited_for(api, reader, monkeypatch):
    monkeypatch.setattr(bitbucket, "PAUSE", 0.05)
    gate = step("gate", "IN_PROGRESS", trigger="manual", after=1, becomes="SUCCESSFUL")
    assert reader.run(api.pipeline(steps=[gate, step("notify", "IN_PROGRESS")]), wait=True).steps[0].result == "SUCCESSFUL"


@pytest.mark.parametrize(
    ("wait", "looks"),
    [(False, 1), (lambda run: False, 1), (lambda run: not any(one.result == "FAILED" for one in run.steps), 2)],
    ids=["no", "never worth it", "until one has failed"],
)
def test_waiting_ends_when_it_can_change_nothing(api, reader, monkeypatch, wait, looks):
    monkeypatch.setattr(bitbucket, "PAUSE", 0.05)
    failing, long = step("unit", "IN_PROGRESS", after=1, becomes="FAILED"), step("e2e", "IN_PROGRESS")
    run = reader.run(api.pipeline(steps=[failing, long, step("notify", "IN_PROGRESS")]), wait=wait)
    assert run.waiting is True
    assert len(api.asked("/steps")) == looks


def test_trouble_while_waiting_does_not_lose_what_was_known_before(api, reader, monkeypatch):
    monkeypatch.setattr(bitbucket, "PAUSE", 0.05)
    made = api.pipeline(steps=[step("unit", "FAILED"), step("e2e", "IN_PROGRESS"), step("notify", "IN_PROGRESS")])
    api.fault(STEPS)
    api.fault(STEPS, times=99, status=401)
    run = reader.run(made, wait=True)
    assert ([one.result for one in run.steps], run.waiting) == (["FAILED", ""], True)
    assert "refused the token (401); going by what Bitbucket said before" in reader.log[-1]


# Newer builds


def newer(reader: Reader, api: BitbucketApi, **own) -> NewerBuild | None:
    made = api.pipeline(812, [step("notify", "IN_PROGRESS")], **own)
    return reader.session().newer_finished_build(reader.run(made))


@pytest.mark.parametrize("outcome", ["FAILED", "ERROR", "EXPIRED", "SUCCESSFUL", "STOPPED", "MELTED"])
def test_the_newest_finished_build_of_the_same_ref_and_selector_is_told(api, reader, outcome):
    api.pipeline(811, outcome="FAILED")
    api.pipeline(813, outcome="SUCCESSFUL")
    api.pipeline(815, outcome=outcome)
    api.pipeline(816, outcome="IN_PROGRESS")
    api.pipeline(817, outcome="PENDING")
    assert newer(reader, api) == NewerBuild(815, outcome, "https://bitbucket.org/acme/shop/pipelines/results/815")
    [asked] = api.asked("/pipelines")
    assert asked.query == {"sort": "-created_on", "pagelen": "50", "target.branch": "main"}


@pytest.mark.parametrize(
    "other",
    [
        {"number": 811},
        {"number": 812, "uuid": uuid_of("another run of the same build")},
        {"outcome": "IN_PROGRESS"},
        {"ref": "develop"},
        {"ref_type": "tag"},
        {"selector": ("custom", "nightly")},
        {"selector": ("branches", "ma*")},
        {"selector": ("default", "")},
        {"pull_request": 42},
        {"build_number": None},
        {"outcome": "STOPPED", "stopped_by": "Grace Hopper"},
    ],
    ids=str,
)
def test_a_build_that_is_older_unfinished_stopped_by_a_person_or_of_something_else_is_not_told(api, reader, other):
    api.pipeline(**{"number": 813, "outcome": "FAILED", **other})
    assert newer(reader, api) is None


def test_builds_of_one_pull_request_are_compared_with_each_other_only(api, reader):
    mine = {"ref": "fix", "pull_request": 42, "selector": ("pull-requests", "**")}
    api.pipeline(813, outcome="FAILED", **mine)
    api.pipeline(814, outcome="FAILED", **{**mine, "pull_request": 43})
    assert newer(reader, api, **mine).number == 813
    assert "target.branch" not in api.asked("/pipelines")[0].query


def test_older_pages_are_not_read(api, reader):
    api.page_length = 2
    for number in range(790, 812):
        api.pipeline(number, outcome="FAILED")
    assert newer(reader, api) is None
    assert len(api.asked("/pipelines")) == 1


def test_a_finished_build_behind_many_unfinished_ones_is_found_on_a_later_page(api, reader):
    api.page_length = 2
    api.pipeline(813, outcome="FAILED")
    for number in range(814, 817):
        api.pipeline(number)
    assert newer(reader, api).number == 813
    assert len(api.asked("/pipelines")) == 2


def test_a_busy_branch_is_not_read_without_end(api, reader):
    api.page_length = 1
    for number in range(813, 830):
        api.pipeline(number)
    with pytest.raises(Unreadable, match="more than 3 pages"):
        newer(reader, api)
    assert len(api.asked("/pipelines")) == 3


def test_a_bare_commit_has_no_newer_build(api, reader):
    assert newer(reader, api, ref="") is None
    assert api.asked("/pipelines") == []


def test_without_a_build_number_nothing_can_be_called_newer(api, reader):
    with pytest.raises(Unreadable, match="without a build number"):
        newer(reader, api, build_number=...)


@pytest.mark.parametrize("body", [b'{"values": 3}', b'{"values": [3]}', b'{"values": [{}]}', b"{}"])
def test_a_list_of_builds_that_is_none_is_unreadable(api, reader, plain, body):
    run = reader.run(plain)
    api.fault("/pipelines[?]", body=body)
    with pytest.raises(Unreadable, match="answered with"):
        reader.session().newer_finished_build(run)


# The log


def tail(reader: Reader, api: BitbucketApi, log: bytes | Log, size: int = 10, **session) -> tuple[bytes, bool]:
    made = api.pipeline(steps=[step("unit", "FAILED", log=log)])
    return reader.session(**session).log_tail(made.uuid, made.steps[0].uuid, size)


@pytest.mark.parametrize("redirect", ["{storage}{path}", ""], ids=["from storage", "from the API itself"])
@pytest.mark.parametrize("ranges", [True, False], ids=["with ranges", "without"])
@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (b"", (b"", False)),
        (b"short", (b"short", False)),
        (b"0123456789", (b"0123456789", False)),
        (b"a0123456789", (b"0123456789", True)),
        (b"x" * 1000 + b"the \xff end\n", (b"the \xff end\n"[-10:], True)),
    ],
)
def test_the_end_of_a_log_is_read_and_whether_it_is_cut_in_front(api, reader, redirect, ranges, log, expected):
    api.log_redirect, api.log_ranges = redirect, ranges
    assert tail(reader, api, log) == expected
    assert len(api.storage.requests) == (1 if redirect else 0)


def test_storage_never_sees_the_token(api, reader):
    tail(reader, api, b"a log")
    [asked], [stored] = api.requests, api.storage.requests
    assert asked.authorization == f"Bearer {TOKEN}"
    assert stored.authorization is None
    assert TOKEN not in str(stored.headers)
    assert stored.headers["range"] == "bytes=-10"


def test_a_log_of_500_mb_costs_its_end_only(api, reader):
    found, cut = tail(reader, api, Log(500 * 1024 * 1024, b"the end\n"), 64 * 1024)
    assert (len(found), found[-9:], cut) == (64 * 1024, b".the end\n", True)


def test_a_long_log_from_a_storage_without_ranges_is_given_up(api, reader):
    api.log_ranges = False
    with pytest.raises(Unreadable, match="more than 4 MB"):
        tail(reader, api, Log(6 * 1024 * 1024))


@pytest.mark.parametrize(
    "location",
    ["http://localhost:{port}{path}", "http://example.invalid/log", "ftp://127.0.0.1/log", "file:///etc/passwd",
     "http://127.0.0.1:{port}\\@example.invalid/"],
)
def test_a_log_is_fetched_from_https_or_the_same_host_only(api, reader, location):
    api.log_redirect = location.replace("{port}", str(api.storage.port))
    with pytest.raises(Unreadable, match="redirect to another address") as caught:
        tail(reader, api, b"a log")
    reader.told(caught.value)
    assert api.storage.requests == []


def test_where_storage_redirects_back_to_the_api_the_token_stays_away(api, reader):
    made = api.pipeline(steps=[step("unit", "FAILED", log=b"a log")])
    api.fault("/log", status=None)
    api.fault("/log", status=302, headers={"Location": f"{api.url}/elsewhere"})
    with pytest.raises(Unreadable, match="401"):
        reader.session().log_tail(made.uuid, made.steps[0].uuid)
    assert [request.authorization for request in api.requests] == [f"Bearer {TOKEN}", None]


@pytest.mark.parametrize("span", ["bytes 0-9/1000", "bytes 5-9/*", "rubbish", ""])
def test_another_part_of_the_log_than_its_end_is_not_taken_for_it(api, reader, span):
    api.log_redirect = ""
    api.fault("/log", status=206, headers={"Content-Range": span}, body=b"0123456789")
    with pytest.raises(Unreadable, match="another part of the log"):
        tail(reader, api, b"")


def test_the_log_of_an_unknown_step_is_unreadable(api, reader, plain):
    with pytest.raises(Unreadable, match="404") as caught:
        reader.session().log_tail(plain.uuid, uuid_of("no such step"))
    reader.told(caught.value)


def test_a_log_that_drips_ends_with_the_budget(api, reader):
    api.fault("/log", status=None)
    api.fault("/log", drip=0.05, times=99)
    began = time.monotonic()
    with pytest.raises(Unreadable, match=r"no (whole )?answer"):
        tail(reader, api, b"x" * 1000, 1000, seconds=0.6)
    assert time.monotonic() - began < 0.6 + SLACK


# What holds everywhere


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.bitbucket.org/2.0", ("https", "api.bitbucket.org", 443)),
        ("HTTPS://API.Bitbucket.org:443", ("https", "api.bitbucket.org", 443)),
        ("http://host.docker.internal:8080/", ("http", "host.docker.internal", 8080)),
        ("https://user:password@evil.example/", ("https", "evil.example", 443)),
        ("https://evil.example\\@api.bitbucket.org/", None),
        ("https://api.bitbucket.org /", None),
        ("https://api.bitbucket.org:99999/", None),
        ("/2.0/repositories", None),
        ("", None),
    ],
)
def test_an_origin_is_what_requests_would_connect_to(url, origin):
    assert origin_of(url) == origin


def test_the_whole_reading_stays_within_the_budget_when_one_thing_after_the_other_goes_wrong(api, reader, monkeypatch):
    monkeypatch.setattr(bitbucket_http.random, "uniform", lambda least, most: 0.01)
    made = api.pipeline(steps=[step("e2e", "IN_PROGRESS"), step("notify", "IN_PROGRESS")])
    for fault in ({"drop": "before"}, {"status": 429, "headers": {"Retry-After": "0.2"}}, {"delay": 0.2}, {"status": 500}):
        api.fault(**fault)
    began = time.monotonic()
    session = reader.session(seconds=1.2)
    run = session.pipeline_run(made.uuid, made.steps[-1].uuid)
    assert session.newer_finished_build(run) is None
    assert run.waiting is True
    assert time.monotonic() - began < 1.2 + SLACK


def test_links_and_redirects_lead_back_to_the_host_by_which_the_api_was_asked():
    with BitbucketApi(token=TOKEN, host="0.0.0.0") as api:
        api.page_length = 1
        reader = Reader(api)
        made = api.pipeline(steps=[step("unit", log=b"a log"), step("notify", "IN_PROGRESS")])
        session = reader.session(url=api.url_for("localhost"))
        assert session.pipeline_run(made.uuid, made.steps[-1].uuid).own_is_last
        assert session.log_tail(made.uuid, made.steps[0].uuid) == (b"a log", False)
        assert {one.headers["host"].split(":")[0] for one in (*api.requests, *api.storage.requests)} == {"localhost"}


def test_a_thread_that_was_left_behind_does_not_keep_the_process(api, plain):
    api.fault(times=99, drip=0.1)
    code = f"""
import time
from pipe.bitbucket import Bitbucket, Unreadable
try:
    Bitbucket({api.url!r}, None, "acme/shop", deadline=time.monotonic() + 0.3, log=print).pipeline_run({plain.uuid!r}, "x")
except Unreadable as error:
    print(error.reason)
"""
    root = Path(__file__).parent.parent
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=20, check=True)
    assert re.search("no (whole )?answer", done.stdout)
    assert done.stderr == ""
    assert time.monotonic() - began < 5
