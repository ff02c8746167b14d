"""Debian's Chromium, driven by Selenium; nothing is downloaded for it, and it reaches nothing but this machine."""

from __future__ import annotations

import os
import shutil
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WHAT_IS_MISSING = "no chromium with its chromedriver on this machine (Debian: apt-get install chromium chromium-driver)"


def paths() -> tuple[str, str] | None:
    """Of the browser and its driver; None where one of them is missing."""
    browser = next((path for path in map(shutil.which, BROWSERS) if path), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


def start(width: int = 1280, height: int = 900, dark: bool = False, scale: float = 1) -> Chrome:
    """A browser of its own, without a window. Raises RuntimeError where there is none."""
    found = paths()
    if not found:
        raise RuntimeError(WHAT_IS_MISSING)
    # Selenium asks nobody for a driver, and tells nobody that it ran.
    os.environ.update(SE_OFFLINE="true", SE_AVOID_STATS="true")
    browser, driver = found
    options = ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    options.add_experimental_option("perfLoggingPrefs", {"enableNetwork": True, "enablePage": False})
    for argument in (
        "--headless=new",
        "--no-sandbox",  # a container's root may not make namespaces; only the pages of this repository are opened
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
        f"--window-size={width},{height}",
    ):
        options.add_argument(argument)
    chrome = Chrome(options=options, service=Service(executable_path=driver))
    look(chrome, width, height, dark, scale)
    return chrome


def look(chrome: Chrome, width: int, height: int, dark: bool = False, scale: float = 1) -> None:
    """As on a screen of this size, in pixels of CSS; up to 600 of width it is a phone's."""
    metrics: dict[str, Any] = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width <= 600}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
