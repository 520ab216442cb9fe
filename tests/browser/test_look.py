"""What every page of /log keeps to, for every reader, in every window: a real browser over a made-up year."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from chromium import Opened, opened
from demo_site import DemoSite

SCHEMES: Sequence[Literal["light", "dark"]] = ("light", "dark")
WIDTHS = (360, 768, 1440)
FIRST_PAGE_BYTES = 250_000
VIEWS = (
    ("admin", "/log"),
    ("admin", "/log?measure=latency&period=12m"),
    ("admin", "/log?since=2001-01-01&until=2001-01-02"),
    ("admin", "/log?since=soon"),
    ("admin", "/log/requests"),
    ("lead", "/log?measure=tokens"),
    ("member", "/log?period=month"),
    ("member", "/log/requests?status=error"),
)


def faults_in_every_window(reader: Opened) -> dict[str, list[str]]:
    """What is wrong with the open page in each colour scheme and width; empty where nothing is."""
    found = {}
    for scheme in SCHEMES:
        reader.page.emulate_media(color_scheme=scheme)
        for width in WIDTHS:
            reader.page.set_viewport_size({"width": width, "height": 800})
            wide = [f"{pixels} px too wide"] if (pixels := too_wide(reader.page)) else []
            found[f"{scheme}, {width} px"] = [*findings(reader.page), *wide]
    return {window: faults for window, faults in found.items() if faults}


def findings(page: Page) -> list[str]:
    """What axe holds to be serious or critical, with where it stands."""
    violations: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {[node['target'] for node in violation['nodes'][:3]]}"
        for violation in violations
        if violation["impact"] in {"serious", "critical"}
    ]


def too_wide(page: Page) -> int:
    """By how many pixels the page itself would have to be scrolled sideways."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def complaints(reader: Opened) -> list[str]:
    """What the console says, but for the status of a page that is refused on purpose."""
    return [text for text in reader.complaints if "the server responded with a status of 4" not in text]


@pytest.mark.parametrize(("role", "path"), VIEWS)
def test_no_page_keeps_anybody_out_or_is_wider_than_its_window(
    browser: Browser, site: DemoSite, role: str, path: str
) -> None:
    with opened(browser, site.root, key=site.keys[role]) as reader:
        reader.go(path)

        assert faults_in_every_window(reader) == {}
        assert complaints(reader) == []


def test_one_request_is_shown_in_every_window(browser: Browser, site: DemoSite) -> None:
    with opened(browser, site.root, key=site.keys["admin"]) as reader:
        reader.go("/log/requests")
        reader.page.locator("table.requests tbody a[href*='/log/requests/']").first.click()
        reader.page.get_by_role("link", name="All requests").wait_for()

        assert faults_in_every_window(reader) == {}
        assert complaints(reader) == []


@pytest.mark.parametrize("wrong", [False, True])
def test_the_form_to_sign_in_is_open_to_everybody(browser: Browser, site: DemoSite, *, wrong: bool) -> None:
    with opened(browser, site.root) as stranger:
        stranger.go("/log")
        if wrong:
            stranger.page.keyboard.type("sk-op-wrong")  # the field has the focus
            stranger.page.keyboard.press("Enter")
            stranger.page.get_by_role("alert").wait_for()

        assert faults_in_every_window(stranger) == {}
        assert complaints(stranger) == []


def test_a_first_page_takes_under_250_kb_in_all(browser: Browser, site: DemoSite) -> None:
    with opened(browser, site.root, key=site.keys["admin"]) as signed_in:
        (cookie,) = signed_in.page.context.cookies()
    with opened(browser, site.root) as reader:
        reader.page.context.add_cookies([cookie])  # type: ignore[list-item] # what Playwright gave, it takes
        answers = []
        reader.page.on("requestfinished", lambda request: answers.append(request.sizes()))

        reader.go("/log")

        taken = sum(sizes["responseBodySize"] + sizes["responseHeadersSize"] for sizes in answers)
        assert len(answers) >= 6  # the page, its style, icon, scripts, and the charts' library
        assert 50_000 < taken < FIRST_PAGE_BYTES
