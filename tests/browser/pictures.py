"""`make pictures`: the sandbox's page after the demo's story, on a desk and on a phone, light and dark."""

from __future__ import annotations

import base64
import hashlib
import sys
import time
from itertools import count
from pathlib import Path

from sandbox import Sandbox, demo
from tests.browser import chromium, png

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/pictures"
SOURCE = FOLDER / "made-of.sha256"
"""Of what the pictures show: with it a test tells that they are not of the present page."""
DESK, PHONE = (1120, 500), (390, 760)
PICTURES = (
    # name, address, size, dark
    ("incidents", "/", DESK, False),
    ("incidents-dark", "/", DESK, True),
    ("incidents-phone", "/", PHONE, False),
    ("incident", "/incident/7", (1120, 760), False),
    ("incident-dark", "/incident/3", (1120, 760), True),
    ("incident-phone-dark", "/incident/7", PHONE, True),
    ("calls", "/calls", DESK, False),
)


def source() -> str:
    """The present page and story, in one number."""
    files = [*sorted((ROOT / "sandbox/page").iterdir()), ROOT / "sandbox/view.py", ROOT / "sandbox/story.py"]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def main() -> int:
    if not chromium.paths():
        print(chromium.WHAT_IS_MISSING, file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    ticks = count(time.time() - 5400, 90)  # The story takes an hour and a half.
    with Sandbox(clock=lambda: min(next(ticks), time.time())) as sandbox:
        if demo.play(sandbox.url):
            return 1
        chrome = chromium.start()
        try:
            for name, address, size, dark in PICTURES:
                chromium.look(chrome, *size, dark)
                chrome.get(sandbox.url + address)
                chrome.execute_script("document.activeElement.blur()")
                shot = chrome.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
                picture = png.smaller(base64.b64decode(shot["data"]))
                (FOLDER / f"{name}.png").write_bytes(picture)
                print(f"docs/pictures/{name}.png {len(picture)} bytes")
        finally:
            chrome.quit()
    SOURCE.write_text(f"{source()}\n", encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main())
