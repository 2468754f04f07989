"""A real browser for tests: Chromium by its driver's own protocol (W3C WebDriver), by the standard library alone.

Idea        `chromedriver` is a server that takes JSON over HTTP; a handful of its commands is all that tests need.
Invariant   The browser and its driver end with the `with` block.
When wrong  Where there is no browser, the test is skipped and says what to install.
See         tests/workbook/test_site.py
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.services.private import free_port

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--hide-scrollbars",
    "--no-first-run",
]


@dataclass(frozen=True, slots=True)
class Browser:
    """One window. Times out after 60 seconds, whatever it does."""

    session: str

    def open(self, url: str) -> None:
        """Go to an address; return when the page has loaded."""
        _ask(f"{self.session}/url", {"url": url})

    def run(self, script: str, *args: object) -> Any:
        """Run JavaScript in the page and return what it returns; a promise is waited for."""
        return _ask(f"{self.session}/execute/sync", {"script": script, "args": list(args)})

    def resize(self, width: int, height: int) -> None:
        """Give the page this size in CSS pixels, as a phone's screen would."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)

    def dark(self, on: bool) -> None:
        """Ask the page for its dark (or its light) colours."""
        feature = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self.devtools("Emulation.setEmulatedMedia", {"features": [feature]})

    def devtools(self, command: str, parameters: object) -> Any:
        """Give one of Chromium's own commands."""
        return _ask(f"{self.session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def picture(self) -> bytes:
        """Return what is seen, as PNG."""
        request = urllib.request.Request(f"{self.session}/screenshot")
        return base64.b64decode(_answer(request))


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a headless Chromium; skip the test where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("needs Chromium and its driver (Debian: apt install chromium chromium-driver)")
    port = free_port()  # with port 0 one start in eight fails: the driver looks for a free one in IPv6 alone
    with subprocess.Popen(
        [driver, f"--port={port}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            base = _address(process)
            options = {"browserName": "chrome", "goog:chromeOptions": {"args": FLAGS, "binary": program}}
            begun = _ask(f"{base}/session", {"capabilities": {"alwaysMatch": options}})
            session = f"{base}/session/{begun['sessionId']}"
            try:
                yield Browser(session)
            finally:
                _answer(urllib.request.Request(session, method="DELETE"))
        finally:
            process.terminate()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if "successfully on port" in line:
            port = line.strip().rstrip(".").rpartition(" ")[2]
            return f"http://127.0.0.1:{port}"
    raise AssertionError("chromedriver ended without a port")


def _ask(url: str, body: object) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return _answer(request)


def _answer(request: urllib.request.Request) -> Any:
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["value"]
