"""The sandbox's page without a browser: what it shows, where, and that no event becomes more than text."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
import requests

from sandbox import Sandbox
from tests.wire.test_sandbox import BAD_SEVERITY, KEY, alert, by_hand, change, send, send_change


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.reset()
    return running


class Markup(HTMLParser):
    """The tags and attributes that a browser would see, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.pieces: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def page(sandbox: Sandbox, path: str = "/") -> Markup:
    answer = requests.get(sandbox.url + path)
    assert answer.status_code == 200, path
    return Markup(answer.text)


def words(sandbox: Sandbox, path: str = "/") -> str:
    return " ".join(" ".join(page(sandbox, path).pieces).split())


EVIL = """<img src=x onerror=alert(1)><script>alert(2)</script>'" onclick="alert(3)"""
PAGES = ("/", "/incident/1", "/incident/1?event=1", "/calls", "/call/1", "/call/3", "/call/4", "/change-events", "/how")


def test_the_pages_show_events_as_text_and_never_as_markup(sandbox: Sandbox) -> None:
    bad = ["javascript:alert(1)", " https://example.org", "data:text/html,x", "//example.org", "JaVaScRiPt:alert(1)"]
    good = ["https://example.org/?a=\"onmouseover='x'", "HTTP://example.org/"]
    fields: dict[str, Any] = {
        "payload__summary": EVIL, "payload__source": EVIL,
        "payload__custom_details": {EVIL: {EVIL: [EVIL]}, "failed_tests": [EVIL, {EVIL: EVIL}], "log_tail": EVIL * 9, "resolves": EVIL},
        "links": [{"href": address, "text": EVIL} for address in bad + good],
    }  # fmt: skip
    images = [{"src": "https://example.org/a.png", "alt": EVIL}]
    send(sandbox, alert(dedup_key=EVIL, client=EVIL, client_url=bad[0], images=images, **fields))
    send_change(sandbox, change(**fields))
    send(sandbox, alert(EVIL, dedup_key=EVIL + "k" * 255))
    send(sandbox, alert(), "/" + EVIL)

    outside = set()
    for path in PAGES:
        seen = page(sandbox, path)
        assert seen.tags.count("script") == 1
        assert not {"img", "iframe", "object", "base", "svg"} & set(seen.tags)
        assert [name for name, _ in seen.attributes if name.startswith("on") or name == "style"] == []
        assert {value for name, value in seen.attributes if name in ("src", "action")} <= {
            "/page.js", "/", "/calls", "/change-events", "/reset", "/faults", "/incidents/1/acknowledge", "/incidents/1/resolve"
        }  # fmt: skip
        outside |= {value for name, value in seen.attributes if name == "href" and not re.match(r"[/#]\w*", value)}
    assert outside == {"data:,", "https://example.org/a.png", *good}  # the first one is the page's empty icon
    assert page(sandbox, "/incident/1").text.count(EVIL) >= 12


def test_a_search_is_shown_as_text_too(sandbox: Sandbox) -> None:
    seen = page(sandbox, "/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert seen.tags.count("script") == 1
    assert ("value", '"><script>alert(1)</script>') in seen.attributes


def test_every_page_says_that_it_is_not_pagerduty_and_loads_nothing_from_elsewhere(sandbox: Sandbox) -> None:
    send(sandbox, alert())
    send_change(sandbox, change())
    for path in ("/", "/incident/1", "/calls", "/call/1", "/change-events", "/how"):
        answer = requests.get(sandbox.url + path)
        assert "This is not PagerDuty: nobody is paged from here." in answer.text
        policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert {policy[name] for name in ("style-src", "script-src", "connect-src", "form-action")} == {"'self'"}
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_row_tells_title_status_severity_service_age_and_the_first_failing_test(sandbox: Sandbox) -> None:
    send(sandbox, alert(payload__summary="the old one", dedup_key="old"))
    send(sandbox, alert("resolve", dedup_key="old"))
    failed = ["cart.test_two: assert 3 == 4", "cart.test_voucher: KeyError"]
    send(sandbox, alert(payload__summary="the new one", payload__custom_details={"failed_tests": failed}))
    new = rf"triggered error the new one {failed[0]} …{KEY[-4:]} 1 event [\d:]{{8}}"
    old = rf"resolved error the old one old …{KEY[-4:]} 2 events [\d:]{{8}}"
    assert re.search(f"{new} {old}", words(sandbox))
    assert words(sandbox).startswith("(1) Incidents")  # the tab's title


def test_an_incident_has_an_address_of_its_own(sandbox: Sandbox) -> None:
    details = {
        "failed_tests_total": 7,
        "failed_tests": ["cart.test_two: assert 3 == 4"],
        "resolves": "by hand: Lint and Unit tests use the same key",
        "log_tail": "one\ntwo\nthree",
        "rollout": {"ready": 2, "waiting": ["shop-1", "shop-2"]},
    }
    send(sandbox, alert(payload__summary="first", payload__custom_details=details))
    by_hand(sandbox, 1, "acknowledge")
    send(
        sandbox,
        alert(payload__summary="second", payload__severity="critical", payload__custom_details={"exit_code": 2}),
    )
    send(sandbox, alert("resolve", payload=None))
    text = words(sandbox, "/incident/1")
    assert "first resolved error #1" in text  # the incident keeps its first title
    assert "Its alert follows the last trigger: second (critical)" in text
    assert re.search(r"resolve [\d:]+ trigger second [\d:]+ acknowledge by hand [\d:]+ trigger first", text)
    assert "Event 3: trigger the last trigger" in text and "exit_code 2" in text
    first = words(sandbox, "/incident/1?event=1")
    assert "Failing tests 7 cart.test_two assert 3 == 4 Resolves by hand: Lint and Unit tests use the same key" in first
    assert "The log's end one two three" in first
    assert "rollout ready 2 waiting shop-1 shop-2" in first  # a table in a table, and a list in it
    assert words(sandbox, "/incident/1?event=4").count("Fields event_action resolve") == 1
    for gone in ("/incident/2", "/incident/1?event=2", "/incident/1?event=5", "/incident/x", "/incident/1/event/2/raw"):
        assert requests.get(sandbox.url + gone).status_code == 404


def test_the_raw_event_is_there_whole_but_for_its_key(sandbox: Sandbox) -> None:
    event = alert(payload__custom_details={"log": "x" * 100_000})
    send(sandbox, event)
    answer = requests.get(f"{sandbox.url}/incident/1/event/1/raw")
    assert answer.json() == {**event, "routing_key": f"…{KEY[-4:]}"}
    assert len(requests.get(f"{sandbox.url}/incident/1").text) < 100_000  # the page shows the beginning


def test_details_named_as_the_pipe_s_own_may_hold_anything(sandbox: Sandbox) -> None:
    odd = {"failed_tests": {"a": 1}, "failed_tests_total": [1], "log_tail": ["a"], "resolves": 7, "error": {"b": None}}
    send(sandbox, alert(payload__custom_details=odd))
    assert "b null" in words(sandbox, "/incident/1")


def test_every_call_is_listed_with_what_came_of_it_or_why_it_was_refused(sandbox: Sandbox) -> None:
    sandbox.fail_next({"status": 503}, {"drop": True})
    send(sandbox, alert())
    with pytest.raises(requests.ConnectionError):
        send(sandbox, alert())
    send(sandbox, alert(payload__severity="bad"))
    send(sandbox, alert("resolve"))
    send(sandbox, alert())
    send_change(sandbox, change())
    send(sandbox, alert(), "/v1/enqueue")
    text = words(sandbox, "/calls")
    order = ["404 POST /v1/enqueue", "202 change", "202 trigger opened #1", "202 resolve nothing is open under this key",
             f"400 trigger {BAD_SEVERITY}", "no answer trigger fault: dropped", "503 trigger fault: 503"]  # fmt: skip
    assert sorted(order, key=text.index) == order
    one = words(sandbox, "/call/3")
    assert "Call 3: trigger 400" in one and BAD_SEVERITY in one and "Content-Type application/json" in one
    assert requests.get(f"{sandbox.url}/call/99").status_code == 404


def test_incidents_and_calls_can_be_searched(sandbox: Sandbox) -> None:
    send(sandbox, alert(payload__summary="Unit tests failed", dedup_key="step/unit"))
    send(sandbox, alert(payload__summary="Lint failed", dedup_key="step/lint", payload__severity="warning"))
    send(sandbox, alert("resolve", dedup_key="step/lint"))
    send(sandbox, alert("resolve", dedup_key="elsewhere"))

    def found(query: str) -> list[str]:
        return re.findall(r"\w+ \w+ (\w+(?: tests)?) failed step", words(sandbox, f"/?q={query}"))

    assert found("") == ["Lint", "Unit tests"]
    assert found("UNIT") == found("open") == found("step/unit+triggered") == ["Unit tests"]
    assert found("warning+resolved") == found("%232") == ["Lint"]
    assert found("warning+triggered") == []
    assert "No incident fits." in words(sandbox, "/?q=nothing")
    assert "1 call with “elsewhere”" in words(sandbox, "/calls?q=elsewhere")


def test_a_page_that_has_not_changed_is_not_sent_again(sandbox: Sandbox) -> None:
    def status() -> int:
        return requests.get(sandbox.url, headers={"If-None-Match": tag}).status_code

    tag = requests.get(sandbox.url).headers["ETag"]
    assert status() == 304
    for change_it in (
        lambda: send(sandbox, alert()),
        lambda: send(sandbox, b"{"),
        lambda: by_hand(sandbox, 1, "acknowledge"),
        lambda: sandbox.fail_next({"status": 503}),
        sandbox.reset,
    ):
        change_it()
        assert status() == 200
        tag = requests.get(sandbox.url).headers["ETag"]
        assert status() == 304


def test_the_page_s_buttons_lead_back_to_the_incident(sandbox: Sandbox) -> None:
    send(sandbox, alert())
    answer = requests.post(
        f"{sandbox.url}/incidents/1/acknowledge", headers={"Accept": "text/html"}, allow_redirects=False
    )
    assert (answer.status_code, answer.headers["Location"]) == (303, "/incident/1")


def test_faults_to_come_are_told(sandbox: Sandbox) -> None:
    sandbox.fail_next({"status": 503, "times": 3}, {"drop": True, "delay": 2})
    assert "Waiting: 503 × 3 , dropped, 2 s late" in words(sandbox, "/how")


def test_the_pages_bear_events_of_any_size(sandbox: Sandbox) -> None:
    details = {"log": "x" * 400_000, **{f"{number}": "y" for number in range(2000)}}
    for number in range(40):
        send(sandbox, alert(dedup_key=f"{number}", payload__custom_details=details))
    for path in ("/", "/incident/1", "/calls", "/call/1"):
        answer = requests.get(sandbox.url + path)
        assert (answer.status_code, len(answer.content) < 300_000) == (200, True)


@pytest.mark.parametrize("details", ['"\\ud800"', "[" * 190 + "]" * 190], ids=["half a character", "deep nesting"])
def test_the_page_bears_what_json_allows_and_html_or_python_does_not(sandbox: Sandbox, details: str) -> None:
    body = json.dumps(alert(payload__custom_details={"odd": 0})).replace('"odd": 0', f'"odd": {details}')
    assert send(sandbox, body.encode()).status_code == 202
    for shown in ("/", "/incident/1", "/incident/1/event/1/raw", "/call/1", "/incidents", "/requests"):
        assert requests.get(sandbox.url + shown).status_code == 200
