"""Bitbucket's REST API as the pipe reads it, over real HTTP: what it says, what it refuses, and all that may go wrong."""

from __future__ import annotations

import base64
import gzip
import re
import ssl
import time
from urllib.parse import urlsplit

import pytest
from bitbucket_pipes_toolkit import TokenAuth

from pipe import bitbucket
from pipe.bitbucket import Bitbucket, FailedTests, PipelineRun, StepRun, Unreadable
from pipe.lib import wall
from pipe.lib.masking import Mask
from pipe.settings import Settings
from tests.bitbucket_api import BitbucketApi, Log, reported, step, uuid_of

TOKEN = "ATCTT3x-a-token-that-nobody-may-see"
EMAIL, API_TOKEN = "ada@example.com", "ATATT3x-another-token-that-nobody-may-see"
BY_API_TOKEN = {"atlassian_account_email": EMAIL, "atlassian_api_token": API_TOKEN}
BASIC = base64.b64encode(f"{EMAIL}:{API_TOKEN}".encode()).decode()
STEPS, PIPELINE = r"/steps(\?|$)", r"%7D\?fields"  # what the faults happen to
SLACK = 5  # seconds by which a busy machine may miss a deadline

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
    """Asks the API under test and keeps what is logged; none of it may hold a secret."""

    def __init__(self, api: BitbucketApi) -> None:
        self.api, self.log = api, []

    def ask(self, seconds: float = 3.0, *, url: str = "", repository: str = "acme/shop", **login: str) -> Bitbucket:
        login = login or {"bitbucket_access_token": TOKEN}
        mask = Mask(others=(TOKEN, API_TOKEN), email=EMAIL)
        return Bitbucket(
            Settings(bitbucket_api_url=url or self.api.url, mask=mask, **login), repository, seconds, self.log.append
        )

    def trouble(self, what: str = "pipeline", *asked: str, **session) -> Unreadable:
        """How it fails to ask for something of the first pipeline."""
        with pytest.raises(Unreadable) as caught:
            getattr(self.ask(**session), what)(self.api.pipelines[0].uuid, *asked)
        self.told(caught.value)
        return caught.value

    def told(self, error: Unreadable) -> None:
        """What the user would see of it is whole, on one line each, and free of secrets."""
        assert error.reason
        assert error.advice.endswith(".")
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


@pytest.fixture
def at_once(monkeypatch):
    """Retries without the waiting."""
    monkeypatch.setattr(bitbucket, "LONGEST_WAIT_SECONDS", 0.01)


# What a pipeline and its steps look like


def test_a_pipeline_is_read_by_one_request_with_its_commit(api, reader):
    made = api.pipeline(812, commit="7f21b04c", message="Fix it\n\nAt last", author="Ada Lovelace <ada@example.com>")
    assert reader.ask().pipeline(made.uuid) == PipelineRun(
        uuid=made.uuid, number=812, state="IN_PROGRESS", ref_type="branch", ref_name="main", selector_type="branches",
        selector_pattern="main", commit="7f21b04c", commit_message="Fix it\n\nAt last", commit_author="Ada Lovelace",
    )  # fmt: skip
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"outcome": "PARSING"}, {"state": "PARSING"}),
        ({"stage": "HALTED"}, {"state": "IN_PROGRESS", "stage": "HALTED"}),
        ({"outcome": "SUCCESSFUL"}, {"state": "COMPLETED", "result": "SUCCESSFUL"}),
        ({"outcome": "MELTED"}, {"state": "COMPLETED", "result": "MELTED"}),
        ({"outcome": "FAILED", "error": "bad\nYAML"}, {"result": "FAILED", "error": "bad YAML"}),
        ({"outcome": "STOPPED"}, {"result": "STOPPED", "terminator": ""}),
        ({"outcome": "STOPPED", "stopped_by": "Grace Hopper"}, {"result": "STOPPED", "terminator": "Grace Hopper"}),
        ({"state": {"name": "completed ", "result": {"name": "stopped", "terminator": {"uuid": "{x}"}}}},
         {"state": "COMPLETED", "result": "STOPPED", "terminator": "somebody"}),
        ({"ref": "v1.2", "ref_type": "tag", "selector": ("tags", "v*")},
         {"ref_type": "tag", "ref_name": "v1.2", "selector_type": "tags", "selector_pattern": "v*"}),
        ({"selector": ("default", "")}, {"selector_type": "default", "selector_pattern": ""}),
        ({"ref": "fix", "pull_request": 42, "selector": ("pull-requests", "**")},
         {"ref_type": "pullrequest", "ref_name": "fix", "pull_request": 42, "destination": "main"}),
        ({"target": {"pullrequest": {"id": 42, "destination": {"branch": {"name": "main"}}}, "commit": {}}},
         {"ref_type": "pullrequest", "pull_request": 42, "destination": "main"}),
        ({"target": {"destination": {"branch": {"name": "main"}}, "source": {"branch": {"name": "fix"}}}},
         {"ref_name": "fix", "destination": "main"}),
        ({"ref": ""}, {"ref_type": "", "ref_name": ""}),
        ({"target": ...}, {"ref_type": "", "commit": ""}),
        ({"target": ["main"], "state": "COMPLETED", "build_number": True}, {"number": None, "state": ""}),
        ({"author": "ada@example.com"}, {"commit_author": ""}),
        ({"author": "<ada@example.com>"}, {"commit_author": ""}),
        ({"message": "bad \ud800"}, {"commit_message": "bad \ufffd"}),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_told_is_read_and_what_is_odd_is_empty(api, reader, given, expected):
    run = reader.ask().pipeline(api.pipeline(**given).uuid)
    assert {name: getattr(run, name) for name in expected} == expected


def test_the_account_s_name_stands_in_for_the_commit_s(api, reader):
    made = api.pipeline()
    made.commit["author"] = {"user": {"display_name": "Ada Lovelace"}}
    assert reader.ask().pipeline(made.uuid).commit_author == "Ada Lovelace"


def test_steps_are_read_in_order_as_they_stand(api, reader):
    made = api.pipeline(
        steps=[
            step(" unit\t tests\x1b[31m "),
            step("e2e", "FAILED", error="Container 'Build' exceeded memory limit."),
            step("gate", "PENDING", stage="PAUSED"),
            step(None, "USER_ERROR"),
            step("deploy", "SKIPPED"),
            step(7, "SYSTEM_ERROR", state={"name": ["COMPLETED"]}),
        ]
    )
    unit, e2e, gate, unnamed, deploy, odd = made.steps
    assert reader.ask().steps(made.uuid) == (
        StepRun(unit.uuid, "unit tests", "COMPLETED", "", "SUCCESSFUL"),
        StepRun(e2e.uuid, "e2e", "COMPLETED", "", "FAILED", "Container 'Build' exceeded memory limit."),
        StepRun(gate.uuid, "gate", "PENDING", "PAUSED"),
        StepRun(unnamed.uuid, "", "COMPLETED", "", "USER_ERROR"),
        StepRun(deploy.uuid, "deploy", "COMPLETED", "", "SKIPPED"),
        StepRun(odd.uuid),
    )


def test_a_step_that_tells_nothing_leaves_the_others_their_say(api, reader, plain):
    api.fault(STEPS, body=b'{"values": [[], null, {}, {"name": "unit", "state": {"result": {"name": "FAILED"}}}]}')
    assert [one.result for one in reader.ask().steps(plain.uuid)] == ["", "", "", "FAILED"]


def test_the_same_may_be_asked_again_within_one_budget(api, reader):
    made = api.pipeline(steps=[step("unit", "IN_PROGRESS", after=1, becomes="FAILED")])
    asked = reader.ask(seconds=20)
    assert [asked.steps(made.uuid)[0].result for _ in range(2)] == ["", "FAILED"]
    assert 5 < asked.time_left < 20


# Paths, pages, credentials


def test_a_uuid_is_sent_with_braces_that_are_percent_encoded(api, reader):
    made = api.pipeline(steps=[step("unit", log=b"a log")])
    reader.ask().steps(made.uuid.strip("{}"))
    reader.ask().log_tail(f" {made.uuid}", made.steps[0].uuid)
    paths = [request.path for request in (*api.requests, *api.storage.requests)]
    assert len(paths) == 3
    assert all("%7B" in path and "{" not in path for path in paths)


@pytest.mark.parametrize("following", ["", None], ids=["by their links", "by their size"])
def test_all_pages_of_steps_are_read(api, reader, following):
    api.page_length, api.next_origin = 2, following
    made = api.pipeline(steps=[step(f"s{number}") for number in range(7)])
    assert [one.name for one in reader.ask().steps(made.uuid)] == [f"s{number}" for number in range(7)]
    assert [request.query["pagelen"] for request in api.asked("/steps")] == ["100"] * 4


def test_pages_without_end_are_not_followed_without_end(api, reader, plain):
    api.fault(STEPS, times=99, status=200, body=b'{"values": [], "next": "%s/again/steps"}' % api.url.encode())
    assert "more than 5 pages" in reader.trouble("steps").reason
    assert len(api.requests) == 5


def test_a_list_that_is_shorter_than_it_says_is_unreadable(api, reader, plain):
    api.fault(STEPS, body=b'{"values": [], "size": 3}')
    assert "says it has 3" in reader.trouble("steps").reason


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:{port}", "https://127.0.0.1:{port}", "http://127.0.0.1:{other}", "http://127.0.0.1", "//localhost",
     "http://localhost:{other}\\@127.0.0.1:{port}", "http://127.0.0.1:{port}@localhost:{other}", "file://127.0.0.1"],
)  # fmt: skip
def test_a_next_page_at_another_address_is_not_followed(api, reader, plain, origin):
    api.page_length = 1
    api.next_origin = origin.format(port=urlsplit(api.url).port, other=api.storage.port)
    assert "next page at another address" in reader.trouble("steps").reason
    assert api.storage.requests == []
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("login", "header"),
    [
        ({"bitbucket_access_token": TOKEN}, f"Bearer {TOKEN}"),
        ({"bitbucket_access_token": TOKEN, **BY_API_TOKEN}, f"Bearer {TOKEN}"),
        (BY_API_TOKEN, f"Basic {BASIC}"),
    ],
)
def test_an_access_token_is_sent_as_bearer_and_an_api_token_as_basic(api, reader, plain, login, header):
    reader.ask(**login).pipeline(plain.uuid)
    assert {request.authorization for request in api.requests} == {header}


# The list of builds


def test_the_newest_builds_come_by_one_request_whatever_else_there_is(api, reader):
    for number in range(801, 900):
        api.pipeline(number, outcome="FAILED")
    builds = reader.ask().builds("main")
    assert [build.number for build in builds] == list(range(899, 839, -1))
    assert [request.query for request in api.requests] == [
        {"sort": "-created_on", "pagelen": "60", "target.branch": "main"}
    ]


def test_without_a_branch_the_builds_of_all_are_listed(api, reader):
    api.pipeline(1, ref="main")
    api.pipeline(2, ref="fix", pull_request=42)
    assert [(build.number, build.pull_request) for build in reader.ask().builds()] == [(2, 42), (1, None)]


def test_what_is_no_build_in_the_list_is_left_out(api, reader):
    api.fault("/pipelines[?]", body=b'{"values": [3, null, {"build_number": 5}, "x", [], {}]}')
    assert [build.number for build in reader.ask().builds()] == [5, None]


# Refusals and trouble


@pytest.mark.parametrize(
    ("login", "server", "reason", "advice"),
    [
        ({"bitbucket_access_token": "expired-token"}, {}, "refused the token (401)", "Renew BITBUCKET_ACCESS_TOKEN"),
        ({**BY_API_TOKEN, "atlassian_api_token": "expired-token"}, {}, "refused the token (401)", "Renew ATLASSIAN_API_TOKEN"),
        ({}, {"scopes": ["repository"]}, "(403), it lacks the scope Pipelines: Read", "Pipelines: Read"),
        (BY_API_TOKEN, {"scopes": []}, "lacks the scope read:pipeline:bitbucket", "read:pipeline:bitbucket"),
        ({}, {"repository": "acme/other"}, "(404)", "may read this repository"),
    ],
)  # fmt: skip
def test_a_refusal_is_final_and_says_what_to_renew_or_which_scope_is_missing(login, server, reason, advice):
    with BitbucketApi(token=TOKEN, email=EMAIL, api_token=API_TOKEN, **server) as api:
        api.pipeline()
        trouble = Reader(api).trouble(**login)
        assert reason in trouble.reason
        assert advice in trouble.advice
        assert trouble.refused is ("404" not in reason)
        assert len(api.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404])
@pytest.mark.parametrize("secret", [TOKEN, API_TOKEN, BASIC], ids=["access token", "API token", "Basic"])
def test_bitbucket_s_own_words_are_quoted_without_secrets_on_one_line(api, reader, plain, status, secret):
    words = f"The token {secret} of\\n acme is\\u001b[1m no good."
    api.fault(status=status, body=b'{"error": {"message": "%s"}}' % words.encode())
    login = {} if secret == TOKEN else BY_API_TOKEN
    assert reader.trouble(**login).reason.endswith(': "The token **** of acme is no good"')


@pytest.mark.parametrize(
    "body", [b"", b"no JSON", b"[]", b"{}", b'{"error": "no"}', b'{"error": {"message": {"a": 1}}}', b"[" * 99_999]
)
def test_a_refusal_without_words_is_told_all_the_same(api, reader, plain, body):
    api.fault(status=401, body=body)
    trouble = reader.trouble()
    assert (trouble.reason, trouble.refused) == ("Bitbucket refused the token (401)", True)


@pytest.mark.parametrize("status", [400, 410, 451])
def test_another_refusal_is_final_too(api, reader, plain, status):
    api.fault(status=status, times=99)
    assert str(status) in reader.trouble().reason
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [{"status": 408}, {"status": 429}, {"status": 500}, {"status": 503}, {"drop": "before"}, {"drop": "middle"}],
    ids=str,
)
def test_what_passes_by_itself_is_asked_again(api, reader, plain, at_once, fault):
    api.fault(**fault)
    assert reader.ask().pipeline(plain.uuid).number == 812
    assert len(api.requests) == 2
    assert len(reader.log) == 1
    assert "asking again for up to" in reader.log[0]


def test_trouble_that_stays_is_unreadable_within_the_budget(api, reader, plain):
    api.fault(times=99, status=503)
    began = time.monotonic()
    assert "trouble of its own (503)" in reader.trouble(seconds=0.6).reason
    assert time.monotonic() - began < 0.6 + SLACK
    assert len(api.requests) >= 1


def test_retry_after_is_waited_for(api, reader, plain, at_once):
    api.fault(status=429, headers={"Retry-After": "0.5"})
    reader.ask().pipeline(plain.uuid)
    assert 0.5 <= api.requests[1].at - api.requests[0].at < 0.5 + SLACK


def test_retry_after_beyond_the_budget_is_not_waited_for(api, reader, plain):
    api.fault(status=429, headers={"Retry-After": "840"}, times=99)
    began = time.monotonic()
    trouble = reader.trouble()
    assert "(429) for another 840 s" in trouble.reason
    assert "an access token of its own" in trouble.advice
    assert time.monotonic() - began < SLACK
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    "slow", [{"delay": 60.0}, {"drip": 0.05}, {"endless": True}], ids=["no answer", "byte by byte", "endless"]
)
def test_an_answer_that_does_not_come_whole_in_time_is_unreadable_at_the_deadline(api, reader, plain, slow):
    api.fault(times=99, headers={"Content-Length": "99999999"} if "endless" in slow else {}, **slow)
    began = time.monotonic()
    trouble = reader.trouble(seconds=0.7)
    assert re.search("no (whole )?answer in time|more than 4 MB", trouble.reason)
    assert time.monotonic() - began < 0.7 + SLACK


@pytest.mark.parametrize("slow", [{"delay": 60.0}, {"drip": 0.05}], ids=["no answer", "byte by byte"])
def test_one_slow_answer_leaves_time_for_a_second_attempt(api, reader, plain, monkeypatch, at_once, slow):
    monkeypatch.setattr(bitbucket, "ATTEMPT_SECONDS", 0.4)
    api.fault(**slow)
    assert reader.ask().pipeline(plain.uuid).number == 812


def test_nothing_is_asked_once_the_time_is_over(api, reader, plain):
    assert "time for reading Bitbucket's API is over" in reader.trouble(seconds=0).reason
    assert api.requests == []


def test_a_server_that_is_not_there_is_asked_again_and_then_unreadable(api, reader, plain, at_once):
    trouble = reader.trouble(seconds=0.5, url="http://127.0.0.1:9/2.0")
    assert trouble.reason == "Bitbucket's API: no connection (Connection refused)"
    assert "BITBUCKET_API_URL" in trouble.advice
    assert len(reader.log) >= 1


def test_a_certificate_that_does_not_verify_is_final(tmp_path, monkeypatch):
    for name, content in UNTRUSTED.items():
        lines = "\n".join(re.findall(".{1,64}", content))
        with (tmp_path / "untrusted.pem").open("a") as file:
            file.write(f"-----BEGIN {name}-----\n{lines}\n-----END {name}-----\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "untrusted.pem")
    with BitbucketApi(tls=context) as api:
        api.pipeline()
        reader = Reader(api)
        trouble = reader.trouble()
        assert "the certificate does not verify" in trouble.reason
        assert "REQUESTS_CA_BUNDLE" in trouble.advice
        assert (api.requests, reader.log) == ([], [])


@pytest.mark.parametrize("token", [f"{TOKEN}\nX-Injected: yes", f"{TOKEN}\r\n\r\n", f"{TOKEN}…"])
def test_a_token_that_cannot_be_sent_is_not_shown(api, reader, plain, token):
    with pytest.raises(Unreadable, match="the token cannot be sent as it is") as caught:
        reader.ask(bitbucket_access_token=token).pipeline(plain.uuid)
    reader.told(caught.value)
    assert "Paste the token again" in caught.value.advice
    assert api.requests == []


@pytest.mark.parametrize(
    "url", ["api.bitbucket.org/2.0", "ftp://127.0.0.1/", "http://", "http://[::1", "http://a b/", "http://:x/"]
)
def test_an_address_that_is_none_is_unreadable(reader, plain, url):
    trouble = reader.trouble(url=url)
    assert "address" in trouble.reason
    assert "BITBUCKET_API_URL" in trouble.advice


@pytest.mark.parametrize("uuid", ["", "{}", " "])
def test_without_a_uuid_not_even_the_list_of_pipelines_is_asked_for(api, reader, uuid):
    with pytest.raises(Unreadable, match="UUID of the pipeline or the step is not known"):
        reader.ask().pipeline(uuid)
    assert api.requests == []


@pytest.mark.parametrize("location", ["{storage}/elsewhere", "{api}/again", "https://example.invalid/", "http://["])
def test_json_is_not_fetched_from_another_address(api, reader, plain, location):
    api.fault(status=302, headers={"Location": location.format(storage=api.storage.url, api=api.url)})
    assert "a redirect (302), which is not followed" in reader.trouble().reason
    assert api.storage.requests == []
    assert len(api.requests) == 1


# Answers that are not what they should be

GARBAGE = {
    "nothing": b"",
    "HTML": b"<html>502</html>",
    "no text": b"\xff\xfe\x00",
    "nested": b"[" * 100_000,
    "a huge number": b'{"values": ' + b"9" * 5000 + b"}",
    "null": b"null",
    "a list": b'["a"]',
    "text": b'"text"',
    "no values": b"{}",
    "values that are none": b'{"values": {}}',
    "an odd link": b'{"values": [], "next": 2}',
    "500 KB of nothing": b'{"values": [' + b"{}," * 166_000 + b"{}]}",
    "20,000 names": b'{"values": [' + b",".join(b'{"name": "step %d"}' % n for n in range(20_000)) + b"]}",
    "5 MB": b" " * 5 * 1024 * 1024,
    "a bomb": gzip.compress(b" " * 50_000_000, 1),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_an_answer_that_is_not_bitbucket_s_is_asked_for_once_and_unreadable(api, reader, plain, name):
    headers = {"Content-Encoding": "gzip"} if name == "a bomb" else {}
    api.fault(STEPS, body=GARBAGE[name], headers=headers, times=9)
    trouble = reader.trouble("steps", seconds=15)
    assert re.match("Bitbucket's (answer could not be read: |API answered with )", trouble.reason)
    assert "BITBUCKET_API_URL" in trouble.advice
    assert not trouble.refused
    assert not re.search("within|in time", trouble.reason)
    assert len(api.requests) == 1


def test_an_answer_that_is_large_and_deep_does_no_harm(api, reader, plain):
    deep = b"[" * 900 + b"]" * 900
    api.fault(STEPS, body=b'{"values": [], "x": %s, "y": "' % deep + b"y" * 4_000_000 + b'"}')
    assert reader.ask().steps(plain.uuid) == ()


def test_a_large_body_behind_a_refusal_is_not_read_to_its_end(api, reader, plain):
    api.fault(status=403, body=b"x" * 6_000_000)
    assert reader.trouble().refused


def test_where_no_process_can_be_started_nothing_is_asked(api, reader, plain, monkeypatch):
    def refuse() -> int:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr("os.fork", refuse)
    assert reader.trouble().reason == "Bitbucket's answer could not be read: no process can be started"


@pytest.mark.parametrize("nonsense", [None, 7, [], {"uuid": 5}, {"number": "812"}, {"state": None}, {"sense": "none"}])
def test_what_comes_from_behind_the_wall_is_checked(api, reader, plain, monkeypatch, nonsense):
    monkeypatch.setattr(wall, "ask", lambda *_, **__: nonsense)
    assert "makes no sense" in reader.trouble().reason
    monkeypatch.setattr(wall, "ask", lambda *_, **__: [nonsense])
    for what in ("steps", "failed_tests"):
        more = ("{x}",) if what == "failed_tests" else ()
        assert "makes no sense" in reader.trouble(what, *more).reason


# The log


def tail(reader: Reader, api: BitbucketApi, log: bytes | Log, size: int = 10, **session) -> tuple[bytes, bool]:
    made = api.pipeline(steps=[step("unit", "FAILED", log=log)])
    return reader.ask(**session).log_tail(made.uuid, made.steps[0].uuid, size)


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


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/log", "file:///etc/passwd", "http://[", "{storage}/again"])
def test_a_log_is_fetched_from_one_other_http_address_only(api, reader, location):
    api.log_redirect = location
    with pytest.raises(Unreadable) as caught:
        tail(reader, api, b"a log")
    reader.told(caught.value)


def test_a_log_does_not_move_to_an_address_without_tls():
    from pipe.bitbucket.api import Api
    from pipe.lib import http

    answers = iter([http.Answer(307, "", {"Location": "http://example.com/log"})])
    asked = Api("https://api.bitbucket.org/2.0", TokenAuth(TOKEN), "acme/shop", 1, str)
    asked._fetch = lambda *_: next(answers)
    with pytest.raises(Unreadable, match="without TLS"):
        asked.log_tail("log", 10)


def test_where_storage_leads_back_to_the_api_the_token_stays_away(api, reader):
    api.log_redirect = f"{api.url}/elsewhere"
    with pytest.raises(Unreadable, match="401"):
        tail(reader, api, b"a log")
    assert [request.authorization for request in api.requests] == [f"Bearer {TOKEN}", None]


@pytest.mark.parametrize("span", ["bytes 0-9/1000", "bytes 5-9/*", "rubbish", ""])
def test_another_part_of_the_log_than_its_end_is_not_taken_for_it(api, reader, span):
    api.log_redirect = ""
    api.fault("/log", status=206, headers={"Content-Range": span}, body=b"0123456789")
    with pytest.raises(Unreadable, match="another part of the log"):
        tail(reader, api, b"")


def test_the_log_of_an_unknown_step_is_unreadable(api, reader, plain):
    assert "404" in reader.trouble("log_tail", uuid_of("no such step")).reason


# The test reports


def test_failed_tests_come_with_their_totals_and_what_bitbucket_read_of_each(api, reader):
    tests = [
        *(reported(f"test_{n}", "SUCCESSFUL", suite="shop") for n in range(261)),
        reported("test_pay", "FAILED", suite="shop.TestCart", message="assert 1 == 2", trace="Traceback"),
        reported("test_ship", "ERROR", suite="shop.TestCart", trace="KeyError: 'x'"),
        reported("test_old", "SKIPPED"),
    ]
    made = api.pipeline(steps=[step("unit", "FAILED", tests=tests)])
    assert reader.ask().failed_tests(made.uuid, made.steps[0].uuid) == FailedTests(
        264, 2, (("shop.TestCart", "test_pay", "assert 1 == 2"), ("shop.TestCart", "test_ship", "KeyError: 'x'"))
    )
    assert len(api.requests) == 3


def test_of_many_failed_tests_the_first_are_enough(api, reader):
    made = api.pipeline(steps=[step("unit", "FAILED", tests=[reported(f"t{n}", "FAILED") for n in range(37)])])
    found = reader.ask().failed_tests(made.uuid, made.steps[0].uuid)
    assert (found.total, found.failed, len(found.cases), found.cases[0]) == (37, 37, 20, ("", "t0", ""))
    assert len(api.requests) == 2


@pytest.mark.parametrize(
    ("tests", "expected"),
    [(None, FailedTests()), ([], FailedTests(0, 0)), ([reported("t", "SUCCESSFUL")], FailedTests(1, 0))],
)
def test_without_failed_tests_none_are_asked_for(api, reader, tests, expected):
    made = api.pipeline(steps=[step("unit", "FAILED", tests=tests)])
    assert reader.ask().failed_tests(made.uuid, made.steps[0].uuid) == expected
    assert len(api.requests) == 1


def test_a_list_that_is_not_filtered_is_filtered_here(api, reader):
    made = api.pipeline(steps=[step("unit", "FAILED", tests=[reported("bad", "FAILED")])])
    api.fault(
        "test_cases",
        body=b'{"values": [{"name": "good", "status": "SUCCESSFUL"}, {"name": "bad", "status": "FAILED"}, 3]}',
    )
    assert reader.ask().failed_tests(made.uuid, made.steps[0].uuid).cases == (("", "bad", ""),)


def test_links_and_redirects_lead_back_to_the_host_by_which_the_api_was_asked():
    with BitbucketApi(token=TOKEN, host="0.0.0.0") as api:
        api.page_length = 1
        made = api.pipeline(steps=[step("unit", log=b"a log"), step("notify", "IN_PROGRESS")])
        asked = Reader(api).ask(url=api.url_for("localhost"))
        assert len(asked.steps(made.uuid)) == 2
        assert asked.log_tail(made.uuid, made.steps[0].uuid) == (b"a log", False)
        assert {one.headers["host"].split(":")[0] for one in (*api.requests, *api.storage.requests)} == {"localhost"}
