"""The sandbox under fire: pages from elsewhere, bodies without an end, and more events than it can remember."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import requests

from sandbox import Sandbox, arriving, incident, rate, state
from sandbox.kept import Kept
from tests.wire.sandbox_memory import measure
from tests.wire.test_sandbox import KEY, OTHER_KEY, alert, change, get, send, send_change


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(names=["sandbox.test"]) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.reset()
    send(running, alert())
    return running


# Pages from elsewhere

OWN = [
    ("POST", "/reset"), ("DELETE", "/"), ("POST", "/faults"), ("POST", "/incidents/1/acknowledge"), ("POST", "/incidents/1/resolve"),
    ("GET", "/requests"), ("GET", "/incidents"), ("GET", "/alerts"), ("GET", "/changes"), ("GET", "/"), ("GET", "/incident/1"),
    ("GET", "/incident/1/event/1/raw"), ("GET", "/calls"), ("GET", "/call/1"), ("GET", "/change-events"), ("GET", "/how"),
]  # fmt: skip
CHANGING = [(method, path) for method, path in OWN if method != "GET"]


def ask(sandbox: Sandbox, method: str, path: str, **headers: str) -> int:
    headers = {name.replace("_", "-"): value.replace("PORT", str(sandbox.port)) for name, value in headers.items()}
    body = '[{"status": 503}]' if path == "/faults" else None
    answer = requests.request(method, sandbox.url + path, headers=headers, data=body, allow_redirects=False)
    return answer.status_code


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:PORT", "Origin": "http://evil.example:PORT"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example:PORT"},
        {"Host": "[::1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "file://127.0.0.1:PORT"},
        {"Origin": "http://[::1"},
    ],
)
def test_a_page_from_elsewhere_reads_and_changes_nothing(sandbox: Sandbox, headers: dict[str, str]) -> None:
    for method, path in OWN:
        assert (path, ask(sandbox, method, path, **headers)) == (path, 403)
        assert [one["status"] for one in sandbox.incidents()] == ["triggered"], path
        assert len(sandbox.requests) == 1, path
    assert send(sandbox, alert()).status_code == 202  # no fault waits


@pytest.mark.parametrize("site", ["cross-site", "same-site", "whatever"])
def test_a_browser_that_tells_no_origin_tells_the_site(sandbox: Sandbox, site: str) -> None:
    for method, path in CHANGING:
        assert (path, ask(sandbox, method, path, Sec_Fetch_Site=site)) == (path, 403)
        assert len(sandbox.requests) == 1, path


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "localhost:PORT"},
        {"Host": "LOCALHOST.:PORT", "Origin": "http://localhost.:PORT"},
        {"Host": "app.localhost"},
        {"Host": "[::1]:PORT", "Origin": "http://[::1]:PORT"},
        {"Host": "192.168.0.7:PORT"},
        {"Host": "host.docker.internal:PORT"},
        {"Host": "sandbox.test:PORT", "Origin": "https://sandbox.test:PORT"},
        {"Origin": "http://127.0.0.1:PORT", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_its_own_pages_and_programs_may(sandbox: Sandbox, headers: dict[str, str]) -> None:
    for method, path in OWN:
        assert ask(sandbox, method, path, **headers) in (200, 204), path
        if (method, path) in CHANGING:
            sandbox.reset()
            send(sandbox, alert())


def test_a_link_from_elsewhere_may_lead_to_the_page(sandbox: Sandbox) -> None:
    assert ask(sandbox, "GET", "/", Sec_Fetch_Site="cross-site") == 200


def test_an_event_is_taken_from_anywhere_as_pagerduty_takes_it(sandbox: Sandbox) -> None:
    headers = {"Host": "sandbox", "Origin": "https://acme.example"}
    assert requests.post(sandbox.url + "/v2/enqueue", json=alert(), headers=headers).status_code == 202


def test_a_refusal_says_why(sandbox: Sandbox) -> None:
    answer = requests.post(sandbox.url + "/reset", headers={"Host": "evil.example"})
    assert answer.text == (
        "The sandbox does not know itself as 'evil.example': start it with --allow-host NAME if that is right.\n"
    )


# Bodies without an end


def connect(sandbox: Sandbox, head: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", sandbox.port), timeout=10)
    connection.sendall(head.replace("\n", "\r\n").encode())
    return connection


ANNOUNCED = "POST /v2/enqueue HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 10000000000\n\n"
CHUNKED = "POST /v2/enqueue HTTP/1.1\nHost: 127.0.0.1\nTransfer-Encoding: chunked\n\n"


def test_a_body_that_is_announced_too_long_is_refused_before_it_comes(sandbox: Sandbox) -> None:
    start = time.monotonic()
    with connect(sandbox, ANNOUNCED) as connection:
        answer = connection.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 413 ") and time.monotonic() - start < 8
    call = sandbox.requests[-1]
    assert (call.status, call.reason, call.body) == (413, "Event is too long (maiximum is 512000 bytes)", b"")


def test_a_body_without_an_announced_length_is_refused_once_it_is_too_long(sandbox: Sandbox) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with connect(sandbox, CHUNKED) as connection:
        for _ in range(8):
            connection.sendall(chunk)
        answer = connection.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert sandbox.requests[-1].status == 413


@pytest.mark.parametrize(("size", "status"), [(512_000, 202), (512_001, 413)])
def test_chunks_may_have_512_000_bytes_together_and_no_more(sandbox: Sandbox, size: int, status: int) -> None:
    frame = len(json.dumps(alert(payload__custom_details={"log": ""})))
    body = json.dumps(alert(payload__custom_details={"log": "x" * (size - frame)})).encode()
    parts = (body[at : at + 9_999] for at in range(0, size, 9_999))
    assert requests.post(sandbox.url + "/v2/enqueue", data=parts).status_code == status


@pytest.mark.parametrize("path", ["/faults", "/reset", "/incidents/1/resolve", "/nowhere"])
def test_other_addresses_read_no_more_either(sandbox: Sandbox, path: str) -> None:
    with connect(sandbox, ANNOUNCED.replace("/v2/enqueue", path)) as connection:
        assert connection.recv(10_000).startswith(b"HTTP/1.1 ")


def test_a_sender_that_goes_on_for_ever_is_cut_off(sandbox: Sandbox) -> None:
    sent = 0
    with connect(sandbox, ANNOUNCED) as connection, suppress(ConnectionError):
        while sent < 100_000_000:
            sent += connection.send(b" " * 100_000)
    assert sent < arriving.CONNECTION_LIMIT + 12_000_000  # what two kernels hold in between


def test_a_sender_that_dawdles_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "SECONDS", 0.3)
    with Sandbox() as sandbox, connect(sandbox, "POST /v2/enqueue HTTP/1.1\nContent-Length: 100\n\n{") as connection:
        start = time.monotonic()
        assert connection.recv(10_000).startswith(b"HTTP/1.1 400 ")
        assert time.monotonic() - start < 8
        assert [call.status for call in sandbox.requests] == [400]


def test_a_sender_that_leaves_in_the_middle_is_told_in_the_list(sandbox: Sandbox) -> None:
    connect(sandbox, "POST /v2/enqueue HTTP/1.1\nContent-Length: 100\n\n{").close()
    while len(sandbox.requests) < 2:
        time.sleep(0.01)
    assert sandbox.requests[-1].status == 400
    assert [len(one["timeline"]) for one in sandbox.incidents()] == [1]


def test_a_hundred_thousand_mistakes_get_a_short_answer(sandbox: Sandbox) -> None:
    answer = send(sandbox, alert(links=[1] * 150_000))
    assert len(answer.json()["errors"]) == 21 and answer.json()["errors"][-1] == "… and 149980 more"


# More than it can remember


def test_of_calls_and_incidents_the_newest_are_kept() -> None:
    with Sandbox(calls_kept=20, incidents_kept=10) as sandbox:
        for number in range(30):
            send(sandbox, alert(dedup_key=f"{number}"))
        assert [call.dedup_key for call in sandbox.requests] == [f"{number}" for number in range(10, 30)]
        assert [one["number"] for one in sandbox.incidents()] == list(range(21, 31))
        assert [one["incident"] for one in sandbox.alerts()] == list(range(21, 31))
        pages = [
            requests.get(sandbox.url + path) for path in ("/", "/call/10", "/call/11", "/incident/20", "/incident/21")
        ]
        assert [page.status_code for page in pages] == [200, 404, 200, 404, 200]
        assert "20 more: older, or forgotten" in pages[0].text
        # The next trigger of a forgotten one opens a new incident.
        send(sandbox, alert(dedup_key="0"))
        assert sandbox.requests[-1].effect == "opened #31"


def test_what_is_resolved_is_forgotten_before_what_is_open() -> None:
    with Sandbox(incidents_kept=3) as sandbox:
        for key in "abc":
            send(sandbox, alert(dedup_key=key))
        for key in "cb":
            send(sandbox, alert("resolve", dedup_key=key))
        for key, kept in (("d", "abd"), ("e", "ade"), ("f", "def")):
            send(sandbox, alert(dedup_key=key))
            assert "".join(one["dedup_key"] for one in sandbox.incidents()) == kept


def test_a_long_timeline_keeps_its_beginning_and_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incident, "ENTRIES_KEPT", 10)
    with Sandbox() as sandbox:
        send(sandbox, alert(payload__summary="first"))
        for number in range(50):
            send(sandbox, alert(payload__summary=f"{number}"))
        [one] = get(sandbox, "/incidents")
        assert (one["title"], one["timeline_forgotten"]) == ("first", 41)
        assert [entry["summary"] for entry in one["timeline"]] == ["first", *(f"{number}" for number in range(41, 50))]
        assert "41 forgotten behind the first" in requests.get(f"{sandbox.url}/incident/1?event=51").text
        assert requests.get(f"{sandbox.url}/incident/1?event=50").status_code == 200
        assert requests.get(f"{sandbox.url}/incident/1?event=42").status_code == 404


def test_large_events_make_room_earlier(sandbox: Sandbox) -> None:
    large = {"payload__custom_details": {"log": "x" * 500_000}}
    for number in range(80):
        send(sandbox, alert(dedup_key=f"{number}", routing_key=OTHER_KEY, **large))
        send_change(sandbox, change(**large))
    assert sandbox.bytes < 72_000_000
    assert len(sandbox.requests) == 63 and len(sandbox.incidents()) == 63 and len(sandbox.changes()) == 15
    for _ in range(20):
        send(sandbox, alert(**large))
    assert sandbox.incidents()[-1]["timeline_forgotten"] == 13
    assert sandbox.bytes < 72_000_000


def test_the_rate_of_no_more_than_a_thousand_keys_is_watched() -> None:
    watched = rate.Rate(lambda: 0.0)
    for number in range(5_000):
        watched.admit(f"{number:032}")
    assert len(watched._calls) == rate.KEYS_WATCHED
    assert [watched.admit(KEY) for _ in range(121)] == [True] * 120 + [False]


def test_a_history_always_keeps_the_newest_item() -> None:
    kept: Kept[str] = Kept(3, 10, len)
    for item in ("aaaa", "bbbb", "cccc", "d" * 50):
        kept.add(item)
    assert (list(kept), kept.bytes, kept.forgotten, kept.total) == (["d" * 50], 50, 3, 4)
    assert (kept.get(4), kept.get(3), kept.get(5), kept.get(0)) == ("d" * 50, None, None, None)


def test_memory_stays_bounded_over_many_events() -> None:
    """100,000 of them: `python -m tests.wire.sandbox_memory`."""
    found = measure(events=1_500, calls_kept=500, incidents_kept=200)
    assert found.accepted == 1_500
    assert found.kept_calls == 500 and found.kept_incidents == 200
    assert found.grown_mib < 25  # and no more with more events


def test_the_bounds_add_up_to_what_is_promised() -> None:
    from sandbox import calls

    assert calls.CALL_BYTES_KEPT + state.INCIDENT_BYTES_KEPT + state.CHANGE_BYTES_KEPT == 72_000_000
