"""The sandbox's page in a real browser: what arrives, what stays text, and what hands and keys can do."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import requests
from selenium.webdriver.common.keys import Keys

from sandbox import Sandbox, demo
from tests.browser import chromium
from tests.browser.conftest import Page
from tests.wire.test_sandbox import alert, change, send, send_change

if not chromium.paths():
    pytest.skip(chromium.WHAT_IS_MISSING, allow_module_level=True)

LOG = "\n".join(f"line {number}" for number in range(1, 201))
DETAILS = {
    "failed_tests_total": 2,
    "failed_tests": ["cart.test_two: assert 3 == 4", "cart.test_voucher: KeyError: 'voucher'"],
    "resolves": "by a green run of this step",
    "log_tail": LOG,
}


def test_the_demo_s_story_arrives_live(page: Page, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    page.until(lambda: "No incidents yet" in page.text)
    page.run("window.stays = true")
    story = threading.Thread(target=demo.play, args=(sandbox.url,))
    story.start()
    page.until(lambda: "(1)" in page.chrome.title)  # while the story goes on
    story.join()
    page.until(lambda: page.count(".incidents > li[class]") == 7)
    page.until(lambda: page.count(".incidents > li.acknowledged") == 1)  # the story's end
    assert "2 open" in page.text
    assert page.run("return window.stays")  # it was never loaded again
    rows = page.run(
        "return [...document.querySelectorAll('.incidents > li')].map(row => row.innerText.split('\\n').map(text => text.trim()).join('|'))"
    )
    assert "acknowledged|error|acme/shop: unit tests failed on main (#823, 2 of 214 tests failed)|" in rows[0]
    assert "tests.test_cart.test_two_of_a_kind: assert 3 == 4" in rows[0]
    assert [row.split("|")[0] for row in rows] == ["acknowledged", "triggered", *["resolved"] * 5]
    page.go("/calls")
    assert "nothing is open under this key: dropped" in page.text
    assert "merged into #5: nobody is paged again" in page.text


def test_the_title_counts_who_has_not_been_heard_yet(page: Page, sandbox: Sandbox) -> None:
    for count, key in enumerate(("lint", "unit tests"), start=1):
        send(sandbox, alert(dedup_key=key))
        page.until(lambda count=count: page.chrome.title.startswith(f"({count}) "))


def test_an_incident_opens_at_its_address_and_can_be_gone_back_from(page: Page, sandbox: Sandbox) -> None:
    send(sandbox, alert(payload__summary="Unit tests failed", payload__custom_details=DETAILS))
    page.until(lambda: page.count("#incident-1"))
    page.find("#incident-1").click()
    page.until(lambda: page.path == "/incident/1")
    assert page.chrome.title.startswith("(1) #1 Unit tests failed")
    assert [item.text for item in page.chrome.find_elements("css selector", ".tests li")] == [
        "cart.test_two\nassert 3 == 4", "cart.test_voucher\nKeyError: 'voucher'"
    ]  # fmt: skip
    page.chrome.back()
    page.until(lambda: page.path == "/")


def test_the_log_s_end_stands_in_a_box_that_scrolls(page: Page, sandbox: Sandbox) -> None:
    send(sandbox, alert(payload__custom_details=DETAILS))
    page.go("/incident/1")
    box = "const box = document.querySelector('pre.log');"
    page.until(
        lambda: page.run(box + "return box.scrollTop > 0 && box.scrollTop + box.clientHeight >= box.scrollHeight - 2")
    )
    assert page.run(box + "return box.clientHeight < 400 && box.tabIndex === 0")
    assert "overflow" not in page.run("return document.documentElement.scrollWidth > innerWidth ? 'overflow' : ''")


EVIL = "<script>document.title = 'taken'; window.taken = 1</script><img src=x onerror='window.taken = 1'>"


def test_a_script_stays_text(page: Page, sandbox: Sandbox) -> None:
    fields: dict[str, Any] = {
        "payload__summary": EVIL,
        "payload__custom_details": {EVIL: [EVIL], "failed_tests": [EVIL], "log_tail": EVIL * 3},
        "links": [{"href": "javascript:window.taken=1", "text": EVIL}],
    }
    send(sandbox, alert(dedup_key=EVIL, **fields))
    send_change(sandbox, change(**fields))
    send(sandbox, alert(EVIL))
    page.until(lambda: page.count("#incident-1"))  # put in by the page's script
    for path in ("/", "/incident/1", "/calls", "/call/1", "/call/3", "/change-events", "/?q=" + EVIL.replace("#", "")):
        page.go(path)
        assert EVIL in page.text or path.endswith("3")
        assert page.run(
            "return window.taken === undefined && document.scripts.length === 1 && document.images.length === 0"
        )
        assert page.chrome.title != "taken"
        assert page.count("a[href^=javascript]") == 0


def test_acknowledge_and_resolve_by_hand_then_it_breaks_again(page: Page, sandbox: Sandbox) -> None:
    send(sandbox, alert())
    page.go("/incident/1")
    page.find("#acknowledge").click()
    page.until(lambda: page.find(".head .status").text == "acknowledged")
    assert page.count("#acknowledge") == 0
    page.find("#resolve").click()
    page.until(lambda: page.find(".head .status").text == "resolved")
    assert page.chrome.title.startswith("#1")  # none is open
    assert page.count("button#resolve") == 0 and "by hand" in page.find(".timeline").text
    send(sandbox, alert())
    assert [one["status"] for one in sandbox.incidents()] == ["resolved", "triggered"]
    page.until(lambda: page.chrome.title.startswith("(1) #1"))


def test_an_incident_on_show_follows_what_happens_to_it(page: Page, sandbox: Sandbox) -> None:
    send(sandbox, alert(payload__summary="first"))
    page.go("/incident/1")
    page.find("#raw summary").click()
    page.find("#resolve").send_keys("")  # focus
    send(sandbox, alert("acknowledge"))
    page.until(lambda: page.find(".head .status").text == "acknowledged")
    assert page.focused == "resolve"
    assert page.run("return document.getElementById('raw').open")
    send(sandbox, alert(payload__summary="second"))
    page.until(lambda: "follows the last trigger: second" in page.text and "EVENT 3: TRIGGER" in page.text)
    sandbox.reset()
    page.until(lambda: page.path == "/")
    assert all("404 (NOT FOUND)" in complaint for complaint in page.complaints())  # how it learned that


def test_the_raw_event_can_be_copied(page: Page, sandbox: Sandbox) -> None:
    send(sandbox, alert(payload__custom_details={"log": "x" * 100_000}))
    page.go("/incident/1")
    page.find("#raw summary").click()
    origin = {"origin": sandbox.url, "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    page.chrome.execute_cdp_cmd("Browser.grantPermissions", origin)
    page.find("#copy").click()
    page.until(lambda: page.find("#copied").text == "Copied.")
    copied = page.chrome.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert copied == requests.get(f"{sandbox.url}/incident/1/event/1/raw").text


def test_search_clear_and_faults(page: Page, sandbox: Sandbox) -> None:
    for name in ("unit tests", "lint"):
        send(sandbox, alert(payload__summary=f"{name} failed", dedup_key=name))
    page.press("/")
    page.press("lint", Keys.ENTER)
    page.until(lambda: page.path == "/?q=lint")
    assert page.count(".incidents > li[class]") == 1
    send(sandbox, alert(payload__summary="lint again", dedup_key="more"))
    page.until(lambda: page.count(".incidents > li[class]") == 2)  # live, and still searched
    page.go("/how")
    page.find("#fault-1").click()
    page.until(lambda: "Waiting: 503" in page.text)
    assert send(sandbox, alert()).status_code == 503
    page.until(lambda: "none, the next call is treated well" in page.text)
    page.go()
    page.find("#clear summary").click()
    assert "Forget 3 incidents, 4 calls and 0 change events?" in page.text
    page.find("#forget").click()
    page.until(lambda: "No incidents yet" in page.text)
    assert sandbox.incidents() == [] and sandbox.requests == []


def test_the_keyboard_reaches_everything(page: Page, sandbox: Sandbox) -> None:
    send(sandbox, alert(payload__custom_details=DETAILS, links=[{"href": "https://example.org/", "text": "Runbook"}]))
    for path in ("/", "/incident/1", "/calls", "/call/1", "/how"):
        page.go(path)
        wanted = page.run(
            "return [...document.querySelectorAll('a, button, input:not([type=hidden]), summary, pre[tabindex]')]"
            ".filter(one => one.checkVisibility()).length"
        )
        page.run("document.addEventListener('focusin', (event) => { event.target.dataset.reached = 1; })")
        page.press(*[Keys.TAB] * (wanted + 2))
        missed = page.run(
            "return [...document.querySelectorAll('a, button, input:not([type=hidden]), summary, pre[tabindex]')]"
            ".filter(one => one.checkVisibility() && !one.dataset.reached).map(one => one.outerHTML)"
        )
        assert missed == [], path
    page.go()
    page.press(Keys.TAB)
    assert page.run("return document.activeElement.className") == "skip"
    page.press(Keys.ENTER)
    page.press(Keys.TAB)
    assert page.focused == "incident-1"
    page.press(Keys.ENTER)
    page.until(lambda: page.path == "/incident/1")
    while page.focused != "resolve":
        page.press(Keys.TAB)
    page.press(Keys.ENTER)
    page.until(lambda: sandbox.incidents()[0]["status"] == "resolved")


def test_focus_stays_while_events_arrive(page: Page, sandbox: Sandbox) -> None:
    send(sandbox, alert(dedup_key="a"))
    page.until(lambda: page.count("#incident-1"))
    page.run("document.getElementById('incident-1').focus()")
    send(sandbox, alert(dedup_key="b"))
    send(sandbox, alert("resolve", dedup_key="a"))
    page.until(lambda: page.count(".incidents > li[class]") == 2 and "resolved" in page.text)
    assert page.focused == "incident-1"


def test_a_menu_stays_open_while_events_arrive(page: Page, sandbox: Sandbox) -> None:
    page.find("#clear summary").click()
    send(sandbox, alert())
    page.until(lambda: "Forget 1 incident, 1 call and 0 change events?" in page.text)
    page.press(Keys.ESCAPE)
    assert "Forget 1 incident" not in page.text


@pytest.mark.parametrize(("width", "dark"), [(390, False), (320, True), (1280, True)])
def test_nothing_is_cut_off_on_a_phone_or_in_the_dark(page: Page, sandbox: Sandbox, width: int, dark: bool) -> None:
    long = "unbroken" * 30
    send(
        sandbox,
        alert(
            dedup_key=long,
            payload__summary=long,
            payload__custom_details={**DETAILS, long: long, "failed_tests": [long]},
        ),
    )
    send(sandbox, alert(payload__severity=long, event_action=long))
    send_change(sandbox, change(payload__summary=long))
    chromium.look(page.chrome, width, 800, dark)
    for path in ("/", "/incident/1", "/calls", "/call/1", "/call/2", "/change-events", "/how"):
        page.go(path)
        wide = page.run("return document.documentElement.scrollWidth")
        assert wide <= width, path
    ground = page.run("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(15, 19, 24)") is dark


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read_light_and_dark(page: Page, sandbox: Sandbox, dark: bool) -> None:
    """WCAG's 4.5 to 1 for every text, against the ground it stands on."""
    send(sandbox, alert(payload__custom_details=DETAILS))
    for key, severity in (("a", "warning"), ("b", "critical"), ("c", "info")):
        send(sandbox, alert(dedup_key=key, payload__severity=severity))
    send(sandbox, alert("acknowledge", dedup_key="a"))
    send(sandbox, alert("resolve", dedup_key="b"))
    send(sandbox, alert(payload__severity="bad"))
    chromium.look(page.chrome, 1280, 900, dark)
    for path in ("/", "/incident/1", "/calls", "/call/7", "/how"):
        page.go(path)
        assert page.run(CONTRAST) == [], path


CONTRAST = """
const numbers = (color) => (color.match(/[\\d.]+/g) ?? []).map(Number);
const light = (color) => numbers(color).slice(0, 3).map((part) => part / 255)
  .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
  .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
const ground = (node) => {
  for (; node; node = node.parentElement) {
    const color = getComputedStyle(node).backgroundColor;
    if ((numbers(color)[3] ?? 1) > 0.99) return color;
  }
};
return [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility() &&
  [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim())).map((node) => {
    const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), node.outerHTML.slice(0, 120)];
  }).filter(([ratio]) => ratio < 4.5);
"""


def test_the_page_says_when_the_sandbox_is_gone(page: Page) -> None:
    with Sandbox() as other:
        page.chrome.get(other.url)
        assert not page.find("#stale").is_displayed()
    page.until(lambda: page.find("#stale").is_displayed())
    page.go()
    page.complaints(), page.asked()
