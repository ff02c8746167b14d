"""One browser for all tests of the page, and a sandbox that starts anew for each."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException, WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from sandbox import Sandbox
from tests.browser import chromium

PATIENCE = 15.0
"""Seconds until what should be seen is given up."""


NETWORK_CHANGED = "net::ERR_NETWORK_CHANGED"
"""A container of another test has started or ended in this moment: the browser lets go of what it is asking."""

IN_A_HURRY = "const real = setTimeout; window.setTimeout = (call, pause) => real(call, pause / 5);"
"""The page looks for what is new five times a second, not once."""


@pytest.fixture(scope="session")
def chrome() -> Iterator[Chrome]:
    running = chromium.start()
    running.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": IN_A_HURRY})
    yield running
    running.quit()


@pytest.fixture(scope="session")
def running() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.reset()
    return running


@dataclass
class Page:
    """The sandbox's page as a person has it before them."""

    chrome: Chrome
    url: str

    def go(self, path: str = "/") -> None:
        try:
            self.chrome.get(self.url + path)
        except WebDriverException as error:
            if NETWORK_CHANGED not in str(error):
                raise
            self.chrome.get(self.url + path)

    @property
    def path(self) -> str:
        return self.chrome.current_url.removeprefix(self.url)

    @property
    def text(self) -> str:
        return self.run("return document.body.innerText")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.chrome.execute_script(script, *arguments)

    def find(self, selector: str) -> WebElement:
        return self.chrome.find_element(By.CSS_SELECTOR, selector)

    def count(self, selector: str) -> int:
        return len(self.chrome.find_elements(By.CSS_SELECTOR, selector))

    def press(self, *keys: str) -> None:
        ActionChains(self.chrome).send_keys(*keys).perform()

    @property
    def focused(self) -> str:
        """What would be used by Enter: its id, or its text."""
        return self.run("const at = document.activeElement; return at.id || at.innerText || at.name || at.tagName")

    def until(self, true: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE

        def is_true() -> object:
            with suppress(
                NoSuchElementException, StaleElementReferenceException
            ):  # not there yet, or replaced while it was looked at
                return true()

        while not is_true():
            assert time.monotonic() < end, f"not seen within {PATIENCE} s; the page says:\n{self.text}"
            time.sleep(0.05)

    def asked(self) -> list[str]:
        """Every address that the browser has asked for since it was last told."""
        log = [json.loads(entry["message"])["message"] for entry in self.chrome.get_log("performance")]
        return [entry["params"]["request"]["url"] for entry in log if entry["method"] == "Network.requestWillBeSent"]

    def complaints(self) -> list[str]:
        """What the browser's console holds against the page: broken scripts, refused by the policy."""
        severe = [entry["message"] for entry in self.chrome.get_log("browser") if entry["level"] == "SEVERE"]
        return [message for message in severe if NETWORK_CHANGED not in message]


@pytest.fixture
def page(chrome: Chrome, sandbox: Sandbox) -> Iterator[Page]:
    chromium.look(chrome, 1280, 900)
    seen = Page(chrome, sandbox.url)
    seen.asked(), seen.complaints()
    seen.go()
    yield seen
    asked = [address for address in seen.asked() if not address.startswith((f"{sandbox.url}/", "data:"))]
    assert asked == []  # nothing from elsewhere, whatever the test did
    assert seen.complaints() == []
    chrome.get("about:blank")
