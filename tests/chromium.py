"""The Chromium that is on PATH, driven by Playwright: what a person sees, and what the browser complains of."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync")


@dataclass(frozen=True, slots=True)
class Opened:
    """One tab of a fresh profile; `complaints` are errors and warnings of its console, refused loads among them."""

    page: Page
    root: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Open one address of the site, all of it."""
        self.page.goto(self.root + path, wait_until="networkidle")

    def sign_in(self, key: str) -> None:
        """Type the key, as a person does."""
        self.go("/log")
        self.page.get_by_label("Key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("button", name="Sign out").wait_for()
        self.complaints.clear()  # Chromium complains of the 401 that the form to sign in comes with


def find() -> str | None:
    """The browser's program, if there is one on PATH."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextlib.contextmanager
def running(program: str) -> Iterator[Browser]:
    """A headless browser, until the block ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened(
    browser: Browser,
    root: str,
    *,
    key: str | None = None,
    width: int = 1440,
    height: int = 900,
    scheme: Literal["dark", "light"] = "light",
    scripts: bool = True,
    locale: str = "en-GB",
    zone: str = "UTC",
) -> Iterator[Opened]:
    """A tab of its own, signed in where a key is given; sizes in CSS pixels."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        java_script_enabled=scripts,
        locale=locale,
        timezone_id=zone,
        reduced_motion="reduce",
    )
    try:
        one = Opened(context.new_page(), root)
        one.page.on("console", lambda message: _listen(one, message))
        one.page.on("pageerror", lambda error: one.complaints.append(str(error)))
        if key is not None:
            one.sign_in(key)
        yield one
    finally:
        context.close()


def _listen(one: Opened, message: ConsoleMessage) -> None:
    if message.type in {"error", "warning"}:
        one.complaints.append(message.text)
