"""What people do on /log, in a real browser over a made-up year: with the mouse, the keyboard, or without scripts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from chromium import Opened, opened
from demo_site import DemoSite
from serving import wait_for

_RING = """
[document.activeElement, document.activeElement.parentElement].some(at => getComputedStyle(at).outlineStyle === "solid")
"""


@pytest.fixture
def admin(browser: Browser, site: DemoSite) -> Iterator[Opened]:
    with opened(browser, site.root, key=site.keys["admin"]) as one:
        yield one
        assert one.complaints == []


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query, keep_blank_values=True)


def call(site: DemoSite) -> None:
    """One request of the admin through the proxy, which the built-in demo answers."""
    body = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hello world!"}]}
    headers = {"Authorization": f"Bearer {site.keys['admin']}"}
    requests.post(f"{site.root}/v1/chat/completions", json=body, headers=headers, timeout=30).raise_for_status()


def chart_pixels(page: Page) -> str:
    """The drawing, as a data URL."""
    return str(page.locator(".chart canvas").evaluate("canvas => canvas.toDataURL()"))


def test_a_chart_says_the_numbers_of_its_table(admin: Opened) -> None:
    admin.go("/log?by=model")
    page = admin.page
    table = page.locator("details.numbers table")
    expect(table).to_be_hidden()
    page.locator(".u-over").hover()
    day = page.locator(".tip b").inner_text()

    page.get_by_text("These numbers as a table").click()

    row = table.locator("tbody tr").filter(has_text=day)
    heads = table.locator("thead th").all_inner_texts()
    cells = dict(zip(heads[1:], row.locator("td").all_inner_texts(), strict=True))
    shown = page.locator(".tip span:not(.sum)")
    said = {line.locator("em").inner_text(): line.locator("data").inner_text() for line in shown.all()}
    assert said
    assert said.items() <= cells.items()


def test_a_chart_is_drawn_anew_for_another_width_and_in_other_colours(admin: Opened) -> None:
    admin.go("/log")
    light = chart_pixels(admin.page)

    admin.page.emulate_media(color_scheme="dark")
    dark = wait_for("the other colours", lambda: (now := chart_pixels(admin.page)) != light and now)
    admin.page.set_viewport_size({"width": 700, "height": 800})
    wait_for("the other width", lambda: chart_pixels(admin.page) != dark)

    assert admin.page.locator(".chart canvas").bounding_box()["width"] < 700  # type: ignore[index] # it is shown


def test_a_series_can_be_left_out_of_its_chart(admin: Opened) -> None:
    admin.go("/log?by=model")
    before = chart_pixels(admin.page)
    button = admin.page.locator(".legend button").first

    button.click()

    expect(button).to_have_attribute("aria-pressed", "false")
    assert chart_pixels(admin.page) != before


def test_the_keyboard_reaches_everything(admin: Opened) -> None:
    admin.go("/log?by=model")
    page = admin.page
    reached = []
    for _ in range(300):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(at => at.closest('.chart .plot') ? 'chart' : at.name || at.innerText)(document.activeElement)"
            )
        )
        if reached[-1] == "chart":
            break

    assert reached[0] == "Skip to content"
    assert {"OpenAI Proxy", "Requests", "Sign out", "30 days", "model", "user", "chart"} <= set(reached)

    page.keyboard.press("End")
    last = page.locator(".tip b").inner_text()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".tip b")).not_to_have_text(last)
    expect(page.locator(".chart [role=status]")).to_contain_text(page.locator(".tip b").inner_text())
    page.keyboard.press("Escape")
    expect(page.locator(".tip")).to_be_hidden()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".legend button").first).to_have_attribute("aria-pressed", "false")


def test_every_place_of_the_keyboard_is_seen(admin: Opened) -> None:
    admin.go("/log")
    page = admin.page
    for _ in range(25):
        page.keyboard.press("Tab")
        assert page.evaluate(_RING), page.evaluate("document.activeElement.outerHTML")


def test_a_choice_takes_effect_at_once_and_its_address_names_only_what_is_chosen(admin: Opened) -> None:
    admin.go("/log?period=month")

    admin.page.get_by_label("Status").select_option("error")
    admin.page.wait_for_url("**status=error*")

    assert query(admin.page) == {"period": ["month"], "status": ["error"]}
    admin.page.get_by_role("link", name="Clear filters").click()
    admin.page.wait_for_url(lambda url: "status" not in url)
    assert query(admin.page)["period"] == ["month"]


def test_a_choice_by_keyboard_takes_effect_when_it_is_left(admin: Opened) -> None:
    admin.go("/log")
    page = admin.page
    page.get_by_label("Status").focus()

    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Status")).to_have_value("ok")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Status")).not_to_have_value("ok")
    assert "status" not in query(page)
    page.keyboard.press("Tab")

    page.wait_for_url("**status=*")
    assert query(page)["status"] != ["ok"]


def test_dates_are_chosen_with_their_last_day_in_them(admin: Opened) -> None:
    admin.go("/log?status=ok")
    page = admin.page
    page.locator("details.dates summary").click()
    page.get_by_label("First day").fill("2026-01-05")
    page.get_by_label("Last day").fill("2026-01-06")

    page.locator("details.dates").get_by_role("button", name="Show").click()
    page.wait_for_url("**since=2026-01-05*")

    assert query(page) == {"status": ["ok"], "since": ["2026-01-05"], "until": ["2026-01-06"]}
    expect(page.get_by_label("Last day")).to_have_value("2026-01-06")


def test_a_table_is_sorted_by_the_head_of_a_column(admin: Opened) -> None:
    admin.go("/log")
    head = admin.page.locator("table thead a").get_by_text("Requests", exact=True).first

    head.click()

    expect(admin.page.locator("th[aria-sort]").filter(has_text="Requests").first).to_be_visible()
    assert "sort" in query(admin.page)


@pytest.mark.parametrize(
    ("locale", "grouped"), [("en-GB", r"\d,\d{3}"), ("de-DE", r"\d\.\d{3}"), ("fr-FR", r"\d\u202f\d{3}")]
)
def test_numbers_are_written_in_the_readers_locale(browser: Browser, site: DemoSite, locale: str, grouped: str) -> None:
    with opened(browser, site.root, key=site.keys["admin"], locale=locale) as reader:
        reader.go("/log?period=12m")

        tokens = reader.page.locator(".tiles div", has_text="Input tokens").locator("data")

        expect(tokens).to_have_text(re.compile(grouped))
        assert re.sub(r"\D", "", tokens.inner_text()) == tokens.get_attribute("value")


def test_the_browsers_time_zone_is_offered_once(browser: Browser, site: DemoSite) -> None:
    with opened(browser, site.root, key=site.keys["admin"], zone="America/New_York") as reader:
        reader.go("/log/requests")
        page = reader.page
        time = page.locator("table.requests time").first
        before = time.get_attribute("datetime") or ""
        assert before.endswith("+00:00")

        page.get_by_role("button", name="Use America/New York").click()

        expect(page.get_by_label("Times are in")).to_have_value("America/New_York")
        reader.go("/log/requests")
        assert (time.get_attribute("datetime") or "").endswith(("-05:00", "-04:00"))
        expect(page.locator("button.offer")).to_be_hidden()
        assert reader.complaints == []


def test_new_requests_show_up_by_themselves_until_they_are_paused(admin: Opened, site: DemoSite) -> None:
    admin.go("/log/requests")
    page = admin.page
    newest = page.locator("table.requests tbody a").first
    before = newest.get_attribute("href") or ""

    call(site)
    expect(newest).not_to_have_attribute("href", before, timeout=30_000)
    expect(page.locator(".live [role=status]")).to_have_text(re.compile(r"^\d+ new requests?$"))

    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".live")).to_contain_text("Paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".live")).to_contain_text("Live")


def test_the_list_says_when_it_is_not_reached_and_goes_on_after(admin: Opened) -> None:
    admin.go("/log/requests")
    page = admin.page

    page.context.set_offline(True)
    expect(page.locator(".live")).to_contain_text("Not reached; trying again in", timeout=30_000)
    page.context.set_offline(False)
    expect(page.locator(".live")).to_contain_text("Live", timeout=30_000)

    admin.complaints.clear()  # Chromium's own words for what was not reached


def test_an_unchanged_list_is_not_sent_again(admin: Opened) -> None:
    admin.go("/log/requests")

    with admin.page.expect_response(lambda answer: answer.status == 304) as answered:
        pass

    assert answered.value.url.endswith("/log/requests")


def test_without_scripts_every_number_link_and_form_is_there(browser: Browser, site: DemoSite) -> None:
    with opened(browser, site.root, key=site.keys["admin"], scripts=False) as reader:
        page = reader.page
        reader.go("/log?by=model")
        assert page.locator("details.numbers tbody data").count() > 0
        expect(page.locator("details.numbers table")).to_be_visible()

        page.locator(".filters select[name=status]").select_option("error")
        page.locator(".filters").get_by_role("button", name="Show").click()
        assert query(page)["status"] == ["error"]

        page.get_by_label("Times are in").select_option("Europe/Berlin")
        page.locator(".zone").get_by_role("button", name="Set").click()
        expect(page.get_by_label("Times are in")).to_have_value("Europe/Berlin")

        reader.go("/log/requests")
        page.get_by_role("link", name="Next").click()
        page.locator("table.requests tbody a").first.click()
        page.get_by_role("link", name="All requests").click()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Key")).to_be_visible()


def test_a_first_visit_shows_what_to_set_and_copies_it(browser: Browser, site: DemoSite) -> None:
    key = json.loads(site.serving.cli("user", "add", "newcomer", "--json"))["key"]
    wait_for("the page to know the new key", lambda: site.serving.shows_page(key))
    with opened(browser, site.root, key=key) as newcomer:
        page = newcomer.page
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        newcomer.go("/log")

        page.get_by_role("button", name="Copy").first.click()

        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith(f"export OPENAI_BASE_URL={site.root}/v1\nexport OPENAI_API_KEY=")
        assert newcomer.complaints == []
