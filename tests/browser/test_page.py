"""The page in a real browser: what it shows, and what it must never do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import chromium
from made_usage import month, usage_record
from page_serving import PageServing, page_serving
from signed_in import signed_in

NOW = datetime.now(UTC)
HOSTILE = "</th><script>document.title='run'</script><img src=/x onerror=\"console.error('run')\">"
USERS = ["boss", "ada", "grace", "linus", "nightly-evals", "newcomer"]


@pytest.fixture(scope="module")
def browser() -> str:
    program = chromium.find()
    if program is None:
        pytest.skip(f"none of {', '.join(chromium.NAMES)} is on PATH")
    return program


@pytest.fixture(scope="module")
def page() -> Iterator[PageServing]:
    hostile = usage_record("hostile", NOW, "ada", HOSTILE)
    event = replace(hostile.event, error_type=HOSTILE, http_status_code=400, url_path=HOSTILE)
    cost = replace(hostile.cost, list_cost=None, priced=False, unpriced_reason=HOSTILE)
    with page_serving([*month(NOW), replace(hostile, event=event, cost=cost)], USERS, demo=True) as one:
        yield one


@pytest.mark.parametrize(
    ("user", "path", "text"),
    [
        ("boss", "/log", "Everybody"),
        ("ada", "/log?period=today", "Your usage"),
        ("newcomer", "/log", "OPENAI_BASE_URL=http://localhost:8080/v1"),
        (None, "/log", 'type="password"'),
        ("ada", "/log?since=soon", "since must be a date"),
    ],
)
def test_a_page_shows_what_it_should_and_runs_nothing(
    browser: str, page: PageServing, user: str | None, path: str, text: str
) -> None:
    with signed_in(page, user) as root:
        done = chromium.run(browser, root + path, "--dump-dom")

    assert text in done.stdout
    assert "<title>run</title>" not in done.stdout
    complaints = [line for line in chromium.console(done) if "the server responded with a status of 4" not in line]
    assert complaints == []  # a refused style, script or image would be one


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_is_painted_in_both_colour_schemes(
    browser: str, page: PageServing, tmp_path: Path, *, dark: bool
) -> None:
    out = tmp_path / "page.png"

    with signed_in(page, "boss") as root:
        chromium.screenshot(browser, f"{root}/log", out, width=800, height=600, dark=dark)

    assert out.read_bytes().startswith(b"\x89PNG")
    assert out.stat().st_size > 10_000  # an empty page takes less
