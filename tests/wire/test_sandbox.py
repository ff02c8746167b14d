"""The sandbox is as strict as PagerDuty, remembers as PagerDuty does, and fails when told to: seen over real HTTP."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sandbox import Sandbox
from tests.conftest import MORE

ROOT = Path(__file__).parents[2]
KEY = "0123456789abcdef0123456789abcdef"
OTHER_KEY = "fedcba9876543210fedcba9876543210"
ORCHESTRATION_KEY = "R0212P1QXGEIQE2NMTQ7L7WXD2Z0ABCD"
GONE = object()

MISSING = "'{}' is missing or blank"
TOO_LONG = "'summary' is too long (maiximum is 1024 characters)"
BAD_SEVERITY = "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')"
BAD_TIMESTAMP = "'payload.timestamp' is invalid (must be an RFC 3339 timestamp)"
BAD_ACTION = "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')"
NO_STRING = "'{}' is invalid (must be a string)"
BAD_LENGTH = "Length of 'routing_key' is incorrect (should be 32 characters)"
BAD_CHARACTERS = "'routing_key' cannot contain non-alphanumeric characters."


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.reset()
    return running


def changed(fields: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`fields` with `payload__source=…` and the like put in, or taken out where the value is GONE."""
    fields = json.loads(json.dumps(fields))
    for path, value in changes.items():
        *parents, name = path.split("__")
        target = fields
        for parent in parents:
            target = target[parent]
        if value is GONE:
            del target[name]
        else:
            target[name] = value
    return fields


def alert(action: str = "trigger", **changes: Any) -> dict[str, Any]:
    payload = {"summary": "acme/shop: tests failed on main", "source": "bitbucket.org/acme/shop", "severity": "error"}
    event = {"routing_key": KEY, "event_action": action, "dedup_key": "main", "payload": payload}
    return changed(event, changes)


def change(**changes: Any) -> dict[str, Any]:
    payload = {"summary": "acme/shop: deployed to production", "source": "bitbucket.org/acme/shop"}
    return changed({"routing_key": KEY, "payload": payload}, changes)


def send(sandbox: Sandbox, event: Any, path: str = "/v2/enqueue", **options: Any) -> requests.Response:
    body = event if isinstance(event, bytes) else json.dumps(event)
    headers = {"Content-Type": "application/json"}
    return requests.post(sandbox.url + path, data=body, headers=headers, allow_redirects=False, **options)


def send_change(sandbox: Sandbox, event: Any) -> requests.Response:
    return send(sandbox, event, "/v2/change/enqueue")


def by_hand(sandbox: Sandbox, number: int, action: str) -> requests.Response:
    return requests.post(f"{sandbox.url}/incidents/{number}/{action}")


def get(sandbox: Sandbox, path: str) -> Any:
    return requests.get(sandbox.url + path).json()


# What is refused

REFUSED_ALERTS = [
    (alert(routing_key=KEY[:20]), [BAD_LENGTH]),
    (alert(routing_key=KEY + "0"), [BAD_LENGTH]),
    (alert(routing_key=KEY[:-1] + "-"), [BAD_CHARACTERS]),
    (alert(routing_key=KEY[:-1] + "é"), [BAD_CHARACTERS]),
    (alert(routing_key=f" {KEY}\n"), [BAD_LENGTH, BAD_CHARACTERS]),
    (alert(routing_key=GONE), ["'routing_key' cannot be blank"]),
    (alert(routing_key=""), ["'routing_key' cannot be blank"]),
    (alert(routing_key=7), [NO_STRING.format("routing_key")]),
    (alert(event_action=GONE), [MISSING.format("event_action")]),
    (alert("Trigger"), [BAD_ACTION]),
    (alert(payload=GONE), [MISSING.format("payload")]),
    (alert(payload=[]), ["'payload' is invalid (must be an object)"]),
    (alert(payload__source=GONE), [MISSING.format("payload.source")]),
    (alert(payload__source=" \t"), [MISSING.format("payload.source")]),
    (alert(payload__source=["s"]), [NO_STRING.format("payload.source")]),
    (alert(payload__severity=GONE), [MISSING.format("payload.severity")]),
    (alert(payload__severity=""), [MISSING.format("payload.severity")]),
    (alert(payload__severity="Error"), [BAD_SEVERITY]),
    (alert(payload__severity="high"), [BAD_SEVERITY]),
    (alert(payload__summary=GONE), [MISSING.format("payload.summary")]),
    (alert(payload__summary=1), [NO_STRING.format("payload.summary")]),
    (alert(payload__summary="x" * 1025), [TOO_LONG]),
    (alert(payload__summary="🚨" * 1025), [TOO_LONG]),
    (alert(payload__timestamp="yesterday"), [BAD_TIMESTAMP]),
    (alert(payload__timestamp=1700000000), [BAD_TIMESTAMP]),
    (alert(payload__timestamp="2026-02-30T10:00:00Z"), [BAD_TIMESTAMP]),
    (alert(payload__timestamp="2026-02-20T10:00:00"), [BAD_TIMESTAMP]),
    (alert(payload__timestamp="2026-02-20T10:00:00+00"), [BAD_TIMESTAMP]),
    (alert(payload__timestamp="2026-02-20 10:00:00Z"), [BAD_TIMESTAMP]),
    (alert(payload__custom_details="text"), ["'payload.custom_details' is invalid (must be an object)"]),
    (alert(payload__custom_details=[1]), ["'payload.custom_details' is invalid (must be an object)"]),
    (alert(payload__component=1), [NO_STRING.format("payload.component")]),
    (alert(client=1, client_url=[]), [NO_STRING.format("client"), NO_STRING.format("client_url")]),
    (alert(links={}), ["'links' is invalid (must be an array)"]),
    (alert(links=["https://example.org"]), ["'links[0]' is invalid (must be an object)"]),
    (alert(links=[{"href": "https://example.org"}, {"text": "no address"}]), [MISSING.format("links[1].href")]),
    (alert(links=[{"href": ""}]), [MISSING.format("links[0].href")]),
    (alert(links=[{"href": "https://example.org", "text": 1}]), [NO_STRING.format("links[0].text")]),
    (alert(images=[{"alt": "no address"}]), [MISSING.format("images[0].src")]),
    (alert(images=[{"src": "http://example.org/a.png"}]), ["'images[0].src' is invalid (must be an https address)"]),
    (alert(dedup_key="k" * 256), ["'dedup_key' is too long (maiximum is 255 characters)"]),
    (alert("resolve", dedup_key=GONE), [MISSING.format("dedup_key")]),
    (alert("acknowledge", dedup_key=""), [MISSING.format("dedup_key")]),
    (alert("resolve", payload__severity=GONE), [MISSING.format("payload.severity")]),
    (alert("acknowledge", payload={}), [MISSING.format(f"payload.{it}") for it in ("summary", "source", "severity")]),
    (
        alert(routing_key="short", payload={"summary": "x" * 1025, "source": "", "severity": "ERROR"}),
        [BAD_LENGTH, TOO_LONG, MISSING.format("payload.source"), BAD_SEVERITY],
    ),
    ({}, ["'routing_key' cannot be blank", MISSING.format("event_action"), MISSING.format("payload")]),
]


@pytest.mark.parametrize(("event", "errors"), REFUSED_ALERTS)
def test_an_alert_event_pagerduty_would_refuse_is_refused_with_all_its_errors(
    sandbox: Sandbox, event: dict[str, Any], errors: list[str]
) -> None:
    answer = send(sandbox, event)
    assert answer.status_code == 400
    assert answer.json() == {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
    assert sandbox.incidents() == []
    assert sandbox.requests[0].reason == "; ".join(errors)


@pytest.mark.parametrize(
    ("event", "errors"),
    [
        (change(routing_key="short"), [BAD_LENGTH]),
        (
            change(routing_key=ORCHESTRATION_KEY),
            ["'routing_key' is invalid (change events do not support Event Orchestration keys)"],
        ),
        (change(payload=GONE), [MISSING.format("payload")]),
        (change(payload="text"), ["'payload' is invalid (must be an object)"]),
        (change(payload__summary=GONE), [MISSING.format("payload.summary")]),
        (change(payload__summary="x" * 1025), [TOO_LONG]),
        (change(payload__source=1), [NO_STRING.format("payload.source")]),
        (change(payload__timestamp="now"), [BAD_TIMESTAMP]),
        (change(payload__custom_details=[]), ["'payload.custom_details' is invalid (must be an object)"]),
        (change(links=[{}]), [MISSING.format("links[0].href")]),
    ],
)
def test_a_change_event_pagerduty_would_refuse_is_refused(
    sandbox: Sandbox, event: dict[str, Any], errors: list[str]
) -> None:
    answer = send_change(sandbox, event)
    assert (answer.status_code, answer.json()["errors"]) == (400, errors)
    assert sandbox.changes() == []


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "JSON parse error"),
        (b"{", "JSON parse error"),
        (b'{"a": NaN}', "JSON parse error"),
        (b'{"a": "\xff"}', "JSON parse error"),
        (b"[" * 100_000, "JSON parse error"),
        (b"[" * 202 + b"]" * 202, "JSON parse error"),
        (b"routing_key=" + KEY.encode(), "JSON parse error"),
        (b"[]", "Event must be an object"),
        (b"null", "Event must be an object"),
    ],
)
@pytest.mark.parametrize("path", ["/v2/enqueue", "/v2/change/enqueue"])
def test_a_body_that_is_no_json_object_is_unrecognized(sandbox: Sandbox, path: str, body: bytes, error: str) -> None:
    answer = send(sandbox, body, path)
    assert answer.status_code == 400
    assert answer.json() == {
        "status": "Unrecognized object",
        "message": "Event object format is unrecognized",
        "errors": [error],
    }


@pytest.mark.parametrize(("path", "event"), [("/v2/enqueue", alert()), ("/v2/change/enqueue", change())])
def test_a_well_formed_but_unknown_key_is_refused_in_plain_text(path: str, event: dict[str, Any]) -> None:
    with Sandbox(unknown_keys=[KEY]) as sandbox:
        answer = send(sandbox, event, path)
        assert (answer.status_code, answer.text) == (400, "Invalid routing key")
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert send(sandbox, {**event, "routing_key": OTHER_KEY}, path).status_code == 202


@pytest.mark.parametrize(("size", "status", "incidents"), [(512_000, 202, 1), (512_001, 413, 0)])
def test_a_body_may_have_512_000_bytes_and_no_more(sandbox: Sandbox, size: int, status: int, incidents: int) -> None:
    frame = len(json.dumps(alert(payload__custom_details={"log": ""})))
    body = json.dumps(alert(payload__custom_details={"log": "x" * (size - frame)})).encode()
    assert len(body) == size
    assert send(sandbox, body).status_code == status
    assert len(sandbox.incidents()) == incidents


def test_the_121st_call_of_a_key_within_a_minute_is_throttled_and_not_taken_in() -> None:
    now = 1_700_000_000.0
    with Sandbox(clock=lambda: now) as sandbox:
        assert {send(sandbox, alert("resolve")).status_code for _ in range(60)} == {202}
        now += 30
        assert {send_change(sandbox, change()).status_code for _ in range(60)} == {202}

        throttled = send(sandbox, alert())
        assert throttled.status_code == 429
        assert "Retry-After" not in throttled.headers
        assert sandbox.incidents() == []
        assert send(sandbox, alert(routing_key=OTHER_KEY)).status_code == 202

        now += 29.9
        assert send(sandbox, alert()).status_code == 429
        now += 0.1  # the first sixty are a minute old, the others are not
        assert {send(sandbox, alert("resolve")).status_code for _ in range(60)} == {202}
        assert send(sandbox, alert("resolve")).status_code == 429


# What is accepted


@pytest.mark.parametrize(
    "event",
    [
        alert(routing_key=ORCHESTRATION_KEY),
        alert(dedup_key="k" * 255),
        alert(payload__summary="🚨" * 1024),
        alert(payload__timestamp="2026-02-20T10:00:00Z"),
        alert(payload__timestamp="2026-02-20t10:00:00.123456789+05:30"),
        alert(payload__timestamp="2016-12-31T23:59:60Z"),
        alert(payload__timestamp="2015-07-17T08:42:58.315+0000"),  # as in PagerDuty's own examples
        alert(payload__custom_details={"nested": [{"is": None}]}),
        alert(links=[], images=[], client=None),
        alert(images=[{"src": "https://example.org/a.png", "href": "https://example.org", "alt": "a"}]),
        alert("acknowledge"),
        alert("acknowledge", payload=GONE),
        alert("resolve"),
        alert("resolve", payload=GONE),
        alert(unknown_to_pagerduty=True),
    ],
)
def test_a_good_alert_event_is_accepted_with_its_dedup_key(sandbox: Sandbox, event: dict[str, Any]) -> None:
    answer = send(sandbox, event)
    assert answer.status_code == 202
    assert answer.json() == {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}


@pytest.mark.parametrize("severity", ["critical", "error", "warning", "info"])
def test_every_severity_opens_an_incident(sandbox: Sandbox, severity: str) -> None:
    send(sandbox, alert(payload__severity=severity))
    assert [(incident["status"], incident["severity"]) for incident in sandbox.incidents()] == [("triggered", severity)]


@pytest.mark.parametrize("dedup_key", [GONE, None, ""])
def test_a_trigger_without_a_dedup_key_gets_one_of_its_own(sandbox: Sandbox, dedup_key: object) -> None:
    keys = [send(sandbox, alert(dedup_key=dedup_key)).json()["dedup_key"] for _ in range(2)]
    assert len({*keys, ""}) == 3
    assert [incident["dedup_key"] for incident in sandbox.incidents()] == keys


def test_a_change_event_is_kept_without_a_dedup_key_and_pages_nobody(sandbox: Sandbox) -> None:
    event = change(links=[{"href": "https://example.org"}], payload__custom_details={"environment": "production"})
    for _ in range(2):  # not idempotent
        assert send_change(sandbox, event).json() == {"status": "success", "message": "Event processed"}
    assert [(kept["summary"], kept["payload"], kept["links"]) for kept in get(sandbox, "/changes")] == [
        (event["payload"]["summary"], event["payload"], event["links"])
    ] * 2
    assert sandbox.incidents() == sandbox.alerts() == []


# What is remembered

LIFE = [
    # events (action, dedup key), then the incidents: dedup key, status, actions in the timeline
    ([("trigger", "a")], [("a", "triggered", ["trigger"])]),
    ([("trigger", "a"), ("trigger", "a")], [("a", "triggered", ["trigger", "trigger"])]),
    ([("trigger", "a"), ("acknowledge", "a")], [("a", "acknowledged", ["trigger", "acknowledge"])]),
    (
        [("trigger", "a"), ("acknowledge", "a"), ("trigger", "a")],
        [("a", "acknowledged", ["trigger", "acknowledge", "trigger"])],
    ),
    ([("trigger", "a"), ("resolve", "a")], [("a", "resolved", ["trigger", "resolve"])]),
    ([("trigger", "a"), ("resolve", "a"), ("resolve", "a")], [("a", "resolved", ["trigger", "resolve"])]),
    ([("trigger", "a"), ("resolve", "a"), ("acknowledge", "a")], [("a", "resolved", ["trigger", "resolve"])]),
    (
        [("trigger", "a"), ("resolve", "a"), ("trigger", "a")],
        [("a", "resolved", ["trigger", "resolve"]), ("a", "triggered", ["trigger"])],
    ),
    ([("resolve", "a")], []),
    ([("acknowledge", "a")], []),
    ([("trigger", "a"), ("resolve", "A")], [("a", "triggered", ["trigger"])]),
    ([("trigger", "a"), ("trigger", "b")], [("a", "triggered", ["trigger"]), ("b", "triggered", ["trigger"])]),
]


@pytest.mark.parametrize(("events", "incidents"), LIFE)
def test_an_alert_lives_as_it_does_at_pagerduty(sandbox: Sandbox, events: list[Any], incidents: list[Any]) -> None:
    for action, dedup_key in events:
        answer = send(sandbox, alert(action, dedup_key=dedup_key))
        assert (answer.status_code, answer.json()["dedup_key"]) == (202, dedup_key)
    held = get(sandbox, "/incidents")
    assert [
        (one["dedup_key"], one["status"], [entry["action"] for entry in one["timeline"]]) for one in held
    ] == incidents
    assert [one["number"] for one in held] == list(range(1, len(incidents) + 1))
    open_ones = [one["number"] for one in held if one["status"] != "resolved"]
    assert [one["incident"] for one in get(sandbox, "/alerts")] == open_ones


BY_HAND = [
    # what a person does, the status then, what comes of the next trigger, and the incidents' statuses then
    (
        ["acknowledge"],
        "acknowledged",
        "merged into #1, which stays acknowledged: nobody is paged again",
        ["acknowledged"],
    ),
    (["acknowledge", "resolve"], "resolved", "opened #2", ["resolved", "triggered"]),
    (["resolve"], "resolved", "opened #2", ["resolved", "triggered"]),
    ([], "triggered", "merged into #1: nobody is paged again", ["triggered"]),
]


@pytest.mark.parametrize(("actions", "status", "effect", "statuses"), BY_HAND)
def test_a_person_acknowledges_and_resolves_and_then_it_breaks_again(
    sandbox: Sandbox, actions: list[str], status: str, effect: str, statuses: list[str]
) -> None:
    send(sandbox, alert())
    for action in actions:
        assert by_hand(sandbox, 1, action).json() == {"effect": f"{action}d #1"}
    [incident] = sandbox.incidents()
    told = [(entry["action"], entry["by_hand"]) for entry in incident["timeline"]]
    assert (incident["status"], told) == (status, [("trigger", False), *((action, True) for action in actions)])
    send(sandbox, alert())
    assert sandbox.requests[-1].effect == effect
    assert [one["status"] for one in sandbox.incidents()] == statuses


def test_what_a_person_cannot_do_is_refused_with_a_reason(sandbox: Sandbox) -> None:
    send(sandbox, alert())
    by_hand(sandbox, 1, "resolve")
    for action in ("acknowledge", "resolve"):
        assert (by_hand(sandbox, 1, action).status_code, by_hand(sandbox, 1, action).json()) == (
            409,
            {"error": "#1 is resolved"},
        )
    assert by_hand(sandbox, 2, "resolve").json() == {"error": "there is no incident #2"}
    assert by_hand(sandbox, 2, "resolve").status_code == 404
    assert by_hand(sandbox, 1, "snooze").status_code == 404
    assert requests.get(f"{sandbox.url}/incidents/1/resolve").status_code == 405  # no link may do it
    assert [len(one["timeline"]) for one in sandbox.incidents()] == [2]


EFFECTS = [
    (["resolve"], "nothing is open under this key: dropped", None),
    (["trigger"], "opened #1", 1),
    (["trigger", "trigger"], "merged into #1: nobody is paged again", 1),
    (["trigger", "acknowledge"], "acknowledged #1", 1),
    (["trigger", "acknowledge", "acknowledge"], "#1 was acknowledged already", 1),
    (["trigger", "resolve"], "resolved #1", 1),
    (["trigger", "resolve", "resolve"], "nothing is open under this key: dropped", None),
]


@pytest.mark.parametrize(("actions", "effect", "incident"), EFFECTS)
def test_of_each_call_it_is_known_what_came_of_it(
    sandbox: Sandbox, actions: list[str], effect: str, incident: int | None
) -> None:
    for action in actions:
        send(sandbox, alert(action))
    assert (sandbox.requests[-1].effect, sandbox.requests[-1].incident) == (effect, incident)
    assert get(sandbox, "/requests")[-1]["effect"] == effect


@pytest.mark.parametrize(("path", "event"), [("/v2/enqueue/", alert()), ("/v2/change/enqueue/", change())])
def test_a_slash_at_the_end_is_taken_as_pagerduty_takes_it(sandbox: Sandbox, path: str, event: dict[str, Any]) -> None:
    assert send(sandbox, event, path).status_code == 202
    assert sandbox.requests[0].action in ("trigger", "change")


def test_a_dedup_key_means_nothing_under_another_routing_key(sandbox: Sandbox) -> None:
    send(sandbox, alert())
    send(sandbox, alert("resolve", routing_key=OTHER_KEY))
    send(sandbox, alert(routing_key=OTHER_KEY))
    assert [(one["routing_key"], one["status"]) for one in sandbox.incidents()] == [
        (KEY[-4:], "triggered"),
        (OTHER_KEY[-4:], "triggered"),
    ]


def test_an_incident_keeps_its_first_title_while_its_alert_follows_the_last_trigger(sandbox: Sandbox) -> None:
    send(sandbox, alert(payload__summary="first", payload__severity="warning"))
    send(sandbox, alert(payload__summary="second", payload__severity="critical"))
    [incident], [open_alert] = sandbox.incidents(), sandbox.alerts()
    assert (incident["title"], incident["severity"]) == ("first", "warning")
    assert (open_alert["summary"], open_alert["severity"]) == ("second", "critical")


def test_a_timeline_tells_each_event_whole_and_when_it_came() -> None:
    now = 1_700_000_000.25
    event = alert(
        links=[{"href": "https://example.org", "text": "Pipeline"}],
        client="Bitbucket Pipelines",
        client_url="https://example.org/812",
        payload__custom_details={"exit_code": 2},
    )
    with Sandbox(clock=lambda: now) as sandbox:
        send(sandbox, event)
        now += 60
        send(sandbox, alert("resolve", payload=GONE))
        [incident] = get(sandbox, "/incidents")
    assert incident["timeline"] == [
        {
            "at": "2023-11-14T22:13:20.250Z",
            "action": "trigger",
            "by_hand": False,
            "summary": event["payload"]["summary"],
            "payload": event["payload"],
            "links": event["links"],
            "images": [],
            "client": "Bitbucket Pipelines",
            "client_url": "https://example.org/812",
        },
        {
            "at": "2023-11-14T22:14:20.250Z",
            "action": "resolve",
            "by_hand": False,
            "summary": None,
            "payload": None,
            "links": [],
            "images": [],
            "client": None,
            "client_url": None,
        },
    ]


def test_many_triggers_at_once_make_one_incident(sandbox: Sandbox) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # lets threads meet that are not kept apart
    try:
        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(lambda _: send(sandbox, alert()).status_code, range(80))) == {202}
    finally:
        sys.setswitchinterval(interval)
    [incident] = sandbox.incidents()
    assert len(incident["timeline"]) == len(sandbox.requests) == 80


def test_every_call_is_there_to_be_looked_at_in_process_to_the_byte(sandbox: Sandbox) -> None:
    body = json.dumps(alert()).encode()
    send(sandbox, body)
    send(sandbox, b"{")
    send(sandbox, alert(), "/v2//enqueue?a=b")
    get(sandbox, "/incidents")
    assert [(call.method, call.path, call.status) for call in sandbox.requests] == [
        ("POST", "/v2/enqueue", 202),
        ("POST", "/v2/enqueue", 400),
        ("POST", "/v2//enqueue?a=b", 404),
    ]
    first, second, _ = sandbox.requests
    assert (first.body, first.json, first.headers["content-type"]) == (body, alert(), "application/json")
    assert (second.body, second.json) == (b"{", None)
    assert abs(first.time - time.time()) < 60


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/v2/enqueue", json.dumps(alert()), {}),
        ("/v2/enqueue", json.dumps(alert(payload__severity="bad")), {"X-Routing-Key": KEY}),
        ("/v2/enqueue", json.dumps(alert(routing_key=KEY[:20])), {"X-Routing-Key": KEY[:20]}),
        ("/v2/enqueue", json.dumps(alert())[:-1], {}),
        (f"/integration/{KEY}/enqueue?key={KEY}", "{}", {}),
        ("/v2/change/enqueue", json.dumps(change()), {}),
    ],
)
def test_no_routing_key_is_told_to_anybody(path: str, body: str, headers: dict[str, str]) -> None:
    log: list[str] = []
    with Sandbox(log=log.append) as sandbox:
        requests.post(sandbox.url + path, data=body, headers=headers)
        shown = ["/", "/calls", "/call/1", "/change-events", "/incident/1", "/incident/1/event/1/raw"]
        told = [
            requests.get(sandbox.url + at).text for at in ("/requests", "/incidents", "/alerts", "/changes", *shown)
        ]
        assert len(log) == 1
    assert KEY[:20] not in "".join([*told, *log])


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/"), ("POST", "/reset")])
def test_everything_is_forgotten_on_request(sandbox: Sandbox, method: str, path: str) -> None:
    send(sandbox, alert())
    send_change(sandbox, change())
    sandbox.fail_next({"status": 500})
    assert requests.request(method, sandbox.url + path).status_code == 204
    assert [get(sandbox, at) for at in ("/incidents", "/alerts", "/changes", "/requests")] == [[]] * 4
    assert send(sandbox, alert("resolve")).status_code == 202
    send(sandbox, alert())
    assert [incident["number"] for incident in sandbox.incidents()] == [1]


# Faults


@pytest.mark.parametrize(
    ("fault", "status", "text", "headers"),
    [
        ({"status": 503, "body": "try later", "headers": {"Retry-After": "2"}}, 503, "try later", {"Retry-After": "2"}),
        ({"status": 500}, 500, "", {}),
        ({"status": 429}, 429, "", {}),
        ({"status": 302, "headers": {"Location": "https://example.org"}}, 302, "", {"Location": "https://example.org"}),
        ({"status": 400, "body": {"a": 1}}, 400, '{"a":1}\n', {"Content-Type": "application/json"}),
        ({"status": 202, "body": "<p>", "headers": {"Content-Type": "text/x"}}, 202, "<p>", {"Content-Type": "text/x"}),
    ],
)
def test_a_status_is_answered_on_request_and_the_event_not_taken_in(
    sandbox: Sandbox, fault: dict[str, Any], status: int, text: str, headers: dict[str, str]
) -> None:
    assert requests.post(sandbox.url + "/faults", json=[fault]).json() == {"waiting": 1}
    answer = send(sandbox, alert())
    assert (answer.status_code, answer.text) == (status, text)
    assert headers.items() <= dict(answer.headers).items()
    assert sandbox.incidents() == []
    assert send(sandbox, alert()).json()["message"] == "Event processed"


@pytest.mark.parametrize(("fault", "taken_in"), [({"drop": True}, 0), ({"drop_after_accept": True}, 1)])
def test_a_connection_is_dropped_on_request(sandbox: Sandbox, fault: dict[str, Any], taken_in: int) -> None:
    sandbox.fail_next(fault)
    with pytest.raises(requests.ConnectionError):
        send(sandbox, alert())
    assert [len(incident["timeline"]) for incident in sandbox.incidents()] == [1] * taken_in
    assert sandbox.requests[0].status is None

    assert send(sandbox, alert()).status_code == 202
    assert [len(incident["timeline"]) for incident in sandbox.incidents()] == [1 + taken_in]


def test_a_delayed_event_is_taken_in_at_once_and_answered_late(sandbox: Sandbox) -> None:
    sandbox.fail_next({"delay": 0.4, "times": 2})
    with pytest.raises(requests.ReadTimeout):
        send(sandbox, alert(), timeout=0.1)
    assert [incident["status"] for incident in sandbox.incidents()] == ["triggered"]

    start = time.monotonic()
    assert send(sandbox, alert("resolve")).status_code == 202
    assert time.monotonic() - start >= 0.4


def test_faults_are_used_up_in_order_by_either_endpoint_alone(sandbox: Sandbox) -> None:
    sandbox.fail_next({"status": 500, "times": 2}, {"status": 503, "delay": 0.01})
    sandbox.fail_next({"status": 408})
    assert send(sandbox, alert()).status_code == 500
    assert get(sandbox, "/incidents") == []
    assert send(sandbox, alert(), "/elsewhere").status_code == 404
    assert send_change(sandbox, change()).status_code == 500
    assert [send(sandbox, alert()).status_code for _ in range(3)] == [503, 408, 202]


def test_a_form_may_ask_for_faults_as_the_page_does(sandbox: Sandbox) -> None:
    form = {"faults": json.dumps([{"status": 503}])}
    answer = requests.post(sandbox.url + "/faults", data=form, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/how")
    assert requests.post(sandbox.url + "/faults", data={"faults": "[{}]"}).status_code == 400
    assert [send(sandbox, alert()).status_code for _ in range(2)] == [503, 202]


@pytest.mark.parametrize(
    "fault",
    [
        "503", {}, {"status": "503"}, {"status": 99}, {"status": True}, {"delay": -1}, {"delay": "1"}, {"drop": 1},
        {"drop": False}, {"sleep": 1}, {"status": 503, "drop": True}, {"drop": True, "drop_after_accept": True},
        {"status": 503, "times": 0}, {"status": 503, "headers": {"Retry-After": 2}},
        {"status": 503, "headers": {"Retry-After": "2\r\nSet-Cookie: a"}}, {"body": "no status"},
    ],
)  # fmt: skip
def test_a_fault_that_makes_no_sense_is_refused_with_a_reason(sandbox: Sandbox, fault: Any) -> None:
    answer = requests.post(sandbox.url + "/faults", json=[{"status": 500}, fault])
    assert answer.status_code == 400
    assert "fault" in answer.json()["error"]
    with pytest.raises(ValueError, match="fault"):
        sandbox.fail_next(fault)
    assert send(sandbox, alert()).status_code == 202


def test_closing_waits_for_nobody() -> None:
    with ThreadPoolExecutor(1) as pool:
        with Sandbox() as sandbox:
            sandbox.fail_next({"delay": 60})
            answer = pool.submit(send, sandbox, alert())
            while not sandbox.requests:
                time.sleep(0.01)
            start = time.monotonic()
        assert time.monotonic() - start < 10
        assert answer.result(timeout=5).status_code == 202
    with pytest.raises(requests.ConnectionError):
        send(sandbox, alert())


# Whatever comes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


def perhaps(good: Any) -> st.SearchStrategy[Any]:
    return st.just(good) | st.just(good) | JSON


PAYLOAD = st.fixed_dictionaries(
    {"summary": perhaps("s"), "source": perhaps("s"), "severity": perhaps("info")},
    optional={
        "custom_details": st.dictionaries(st.text(max_size=9), JSON, max_size=3) | JSON,
        "timestamp": perhaps("2026-01-01T00:00:00Z"),
        "class": JSON,
    },
)
LINKS = st.lists(st.fixed_dictionaries({"href": st.text() | JSON}, optional={"text": st.text() | JSON}), max_size=2)
EVENTS = st.fixed_dictionaries(
    {"routing_key": perhaps(KEY), "event_action": perhaps("trigger"), "payload": PAYLOAD | perhaps({})},
    optional={
        "dedup_key": st.text(max_size=300) | JSON,
        "links": LINKS | JSON,
        "images": LINKS | JSON,
        "client": st.text(),
        "client_url": JSON,
    },
)


@pytest.fixture(scope="module")
def patient_sandbox() -> Iterator[Sandbox]:
    """One whose minute is over with every call, so that nothing is throttled."""
    ticks = count(1_700_000_000, 60)
    with Sandbox(clock=lambda: float(next(ticks))) as running:
        yield running


@given(event=EVENTS | JSON, path=st.sampled_from(["/v2/enqueue", "/v2/change/enqueue"]))
@example(
    event=alert(client=1, client_url=1), path="/v2/change/enqueue"
)  # of no use in a change event, and not looked at
@settings(max_examples=50 * MORE, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_json_comes_is_taken_in_or_refused_and_can_be_shown(
    patient_sandbox: Sandbox, event: Any, path: str
) -> None:
    sandbox = patient_sandbox
    sandbox.reset()
    assert send(sandbox, event, path).status_code in (202, 400)
    pages = ["/", "/calls", "/call/1", "/change-events", *["/incident/1"] * bool(sandbox.incidents())]
    with requests.Session() as asking:
        for shown in (*pages, "/incidents", "/alerts", "/changes", "/requests"):
            assert asking.get(sandbox.url + shown).status_code == 200


# Serving


def test_it_serves_https_and_outlives_clients_that_do_not_speak_it(tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    with Sandbox(tls=(certificate, key)) as sandbox:
        assert sandbox.url.startswith("https://127.0.0.1:")
        with socket.create_connection(("127.0.0.1", sandbox.port)):  # says nothing, and is waited for by nobody
            with pytest.raises(requests.exceptions.SSLError):
                send(sandbox, alert(), timeout=5)
            assert send(sandbox, alert(), timeout=5, verify=str(certificate)).status_code == 202
            sandbox.fail_next({"drop": True})
            with pytest.raises(requests.ConnectionError):
                send(sandbox, alert(), timeout=5, verify=str(certificate))
    assert [call.status for call in sandbox.requests] == [202, None]


def serve(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sandbox", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, encoding="utf-8")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("quiet", [False, True])
def test_the_command_says_where_it_listens_logs_each_event_and_stops_when_told(quiet: bool, number: int) -> None:
    process = serve("--port", "0", "--host", "0.0.0.0", "--unknown-key", OTHER_KEY, *["--quiet"] * quiet)
    try:
        assert process.stdout
        line = process.stdout.readline()
        match = re.fullmatch(r"sandbox: listening on (http://127\.0\.0\.1:\d+)\n", line)
        assert match, line
        summary = "acme/shop: \x1b[31mtests\nfailed"
        for event in (alert(payload__summary=summary), alert(routing_key=OTHER_KEY), change(payload__summary="")):
            path = "/v2/enqueue" if "event_action" in event else "/v2/change/enqueue"
            requests.post(match[1] + path, json=event)
        requests.get(match[1])
        start = time.monotonic()
        process.send_signal(number)
        out, log = process.communicate(timeout=5)
        assert (process.returncode, time.monotonic() - start < 1, out) == (0, True, "")
    finally:
        process.kill()
    lines = [
        "202 trigger  key …cdef  dedup main  acme/shop: ?[31mtests?failed",
        "400 trigger  key …3210  dedup main  Invalid routing key  acme/shop: tests failed on main",
        "400 change  key …cdef  'payload.summary' is missing or blank",
    ]
    assert log.splitlines() == ([] if quiet else lines)


def test_the_command_says_in_one_line_that_its_port_is_taken(sandbox: Sandbox) -> None:
    process = serve("--port", str(sandbox.port))
    out, log = process.communicate(timeout=5)
    assert (process.returncode, out) == (1, "")
    assert re.fullmatch(r"sandbox: cannot listen: Address already in use.*\n", log)
