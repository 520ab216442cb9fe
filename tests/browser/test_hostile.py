"""What clients put into names, models, tags and errors is shown as text, and never runs in anybody's browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser

from chromium import opened
from made_usage import usage_record
from page_serving import PageServing, page_serving

HOSTILE = "</th><script>document.title='run'</script><img src=/x onerror=\"document.title='run'\">"


@pytest.fixture(scope="module")
def page() -> Iterator[PageServing]:
    made = usage_record("hostile", datetime.now(UTC), "ada", HOSTILE)
    event = replace(
        made.event,
        error_type=HOSTILE,
        http_status_code=400,
        url_path=HOSTILE,
        end_user_id=HOSTILE,
        tags={"project": HOSTILE},
    )
    cost = replace(made.cost, list_cost=None, priced=False, unpriced_reason=HOSTILE)
    with page_serving([replace(made, event=event, cost=cost)], ["boss", "ada"]) as one:
        yield one


@pytest.mark.parametrize("path", ["/log", "/log?by=tag:project", "/log/requests", "/log/requests/hostile"])
def test_hostile_names_are_shown_and_do_not_run(browser: Browser, page: PageServing, path: str) -> None:
    with opened(browser, page.root, key=page.keys["boss"]) as boss:
        boss.go(path)

        assert HOSTILE in boss.page.locator("main").inner_text()
        assert boss.page.title() != "run"
        assert boss.page.locator("main img, main script").count() == 0
        assert boss.complaints == []
