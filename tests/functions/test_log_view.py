"""log_view as it is deployed: its own process, HTTP, a SQLite ledger, an access file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import requests

from made_usage import month, usage_record
from openai_proxy.page.sessions import COOKIE
from page_forms import sign_in, sign_out, token_of
from page_serving import PageServing, page_serving
from serving import wait_for

NOW = datetime.now(UTC)
HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}"
FORMULA = '=HYPERLINK("https://evil.example","A1")'
BROWSER = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def page() -> Iterator[PageServing]:
    made = [record for record in month(NOW) if record.event.user_id != "linus"]
    odd = [
        usage_record("hostile", NOW, "ada", HOSTILE),
        usage_record("formula", NOW, "ada", FORMULA),
        usage_record("late", NOW, "linus"),
    ]
    app = usage_record("tagged", NOW, "ada")
    tags = {"project": "apollo", "stage": "test run"}
    odd.append(replace(app, event=replace(app.event, tags=tags, end_user_id="7f3c-ada")))
    with page_serving([*made, *odd], ["boss", "ada", "linus", "newcomer"]) as one:
        yield one


def get(page: PageServing, path: str, user: str | None = None, **headers: str) -> requests.Response:
    if user:
        headers["Authorization"] = f"Bearer {page.keys[user]}"
    return requests.get(page.root + path, headers=headers, timeout=30, allow_redirects=False)


def test_healthz_is_well(page: PageServing) -> None:
    answer = get(page, "/healthz")

    assert (answer.status_code, answer.json()) == (200, {"ledger": "ok"})


def test_a_browser_signs_in_looks_and_signs_out(page: PageServing) -> None:
    with requests.Session() as browser:
        browser.headers.update(BROWSER)
        stranger = browser.get(f"{page.root}/log", timeout=30)
        assert (stranger.status_code, 'type="password"' in stranger.text) == (401, True)

        wrong = sign_in(browser, page.root, "sk-op-wrong", Origin=page.root)
        assert wrong.status_code == 401
        assert "This key is not valid." in wrong.text
        assert "sk-op-wrong" not in wrong.text

        key = page.keys["linus"]
        seen = sign_in(browser, page.root, key, Origin=page.root)
        assert (seen.status_code, seen.url) == (200, f"{page.root}/log")
        assert "Your usage" in seen.text
        assert key not in seen.text
        assert {cookie.name for cookie in browser.cookies} == {COOKIE}

        gone = sign_out(browser, page.root, seen.text, Origin=page.root)
        assert gone.status_code == 401
        assert 'type="password"' in gone.text
    assert key not in page.log


def test_a_form_from_another_site_is_refused(page: PageServing) -> None:
    answer = requests.post(
        f"{page.root}/log/sign-in",
        {"key": page.keys["ada"]},
        headers={**BROWSER, "Origin": "https://evil.example"},
        timeout=30,
        allow_redirects=False,
    )

    assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)


def test_the_browsers_own_address_comes_from_the_proxy(page: PageServing) -> None:
    forwarded = {"X-Forwarded-Host": "usage.example.com", "X-Forwarded-Proto": "https"}
    stranger = get(page, "/log", **BROWSER, **forwarded)
    visitor = stranger.headers["Set-Cookie"].partition(";")[0]

    answer = requests.post(
        f"{page.root}/log/sign-in",
        {"key": page.keys["ada"], "token": token_of(stranger.text)},
        headers={**BROWSER, **forwarded, "Origin": "https://usage.example.com", "Cookie": visitor},
        timeout=30,
        allow_redirects=False,
    )
    first = get(page, "/log", "newcomer", **BROWSER, **forwarded)

    assert answer.status_code == 303
    assert answer.headers["Set-Cookie"].endswith("; HttpOnly; SameSite=Lax; Secure")
    assert "OPENAI_BASE_URL=https://usage.example.com/v1" in first.text


def test_a_member_gets_json_of_their_own_usage_alone(page: PageServing) -> None:
    answer = get(page, "/log?user_id=ada&period=all", "linus").json()
    refused = get(page, "/log?user=ada", "linus")

    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "out_of_scope")

    assert answer["user_id"] == "linus"
    assert [record["event_id"] for record in answer["latest"]] == ["late"]
    assert answer["totals"]["list_cost"] == "0.0028"


def test_an_admin_gets_everybody_as_page_json_and_csv(page: PageServing) -> None:
    html = get(page, "/log?period=all", "boss", **BROWSER)
    said = get(page, "/log?period=all&format=json", "boss").json()
    lines = list(csv.DictReader(io.StringIO(get(page, "/log?period=all&format=csv", "boss").text, newline="")))

    assert html.status_code == 200
    assert "Everybody’s usage" in html.text  # noqa: RUF001 - the page's own apostrophe
    assert f"{said['totals']['requests']:,}" in html.text
    assert said["totals"]["requests"] == len(lines)
    assert sum(total["requests"] for total in said["by_user"]) == len(lines)
    assert len({line["event_id"] for line in lines}) == len(lines)
    assert len(said["latest"]) == 50


def test_hostile_names_are_escaped_in_the_page_and_disarmed_in_csv(page: PageServing) -> None:
    html = get(page, "/log?period=today", "ada", **BROWSER)
    lines = csv.DictReader(io.StringIO(get(page, "/log?format=csv", "ada").text, newline=""))
    models = {line["response_model"] for line in lines}

    assert "<script>" not in html.text
    assert "<img src=x" not in html.text
    assert "{{7*7}}" in html.text
    assert "'" + FORMULA in models
    assert FORMULA not in models


def test_tags_are_links_that_choose_what_bears_them_and_end_users_stand_below_their_application(
    page: PageServing,
) -> None:
    everything = get(page, "/log?period=all&user=newcomer", "boss", **BROWSER).text
    chosen = get(page, "/log?period=all&tag=stage=test+run", "boss", **BROWSER).text
    one = get(page, "/log/requests/tagged", "boss", **BROWSER).text
    report = get(page, "/log?period=all&tag=stage=test+run&format=json", "boss").json()

    assert "By tag" not in everything
    assert 'href="/log?period=all&amp;tag=project%3Dapollo"' in chosen
    assert "By tag project" in chosen
    assert "project=apollo, stage=test run" in chosen
    assert ">for 7f3c-ada<" in chosen
    assert 'href="/log?tag=project%3Dapollo"' in one
    assert (report["totals"]["requests"], report["latest"][0]["end_user_id"]) == (1, "7f3c-ada")


def test_hostile_parameters_are_escaped(page: PageServing) -> None:
    answer = get(page, '/log?user="><script>alert(1)</script>&since=2026-01-01', "boss", **BROWSER)

    assert answer.status_code == 400
    assert "<script>" not in answer.text


@pytest.mark.parametrize(
    ("path", "user"),
    [
        ("/log", "boss"),
        ("/log", "newcomer"),
        ("/log", None),
        ("/log/nowhere", None),
        ("/log/requests", "boss"),
        ("/log/requests/tagged", "ada"),
    ],
)
def test_no_page_has_an_inline_script_or_style(page: PageServing, path: str, user: str | None) -> None:
    answer = get(page, path, user, **BROWSER)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "unsafe" not in policy
    assert all('src="/log/static/' in tag for tag in re.findall("<script[^>]*>", answer.text))
    assert "style=" not in answer.text
    assert " on" + "click=" not in answer.text


def test_a_bad_date_is_a_clear_sentence_on_page_and_in_json(page: PageServing) -> None:
    html = get(page, "/log?since=soon", "ada", **BROWSER)
    said = get(page, "/log?since=soon", "ada")

    assert (html.status_code, said.status_code) == (400, 400)
    assert "since must be a date, as 2026-01-31" in html.text
    assert said.json()["error"]["message"].startswith("since must be a date, as 2026-01-31")


@pytest.mark.parametrize("since", ["0001-01-01", "2026-11-01T00:00:00+01:00", "1969-12-31T23:59:59.999999Z"])
def test_far_dates_are_answered(page: PageServing, since: str) -> None:
    answer = get(page, f"/log?since={since}&until=9999-12-31", "linus", **BROWSER)

    assert answer.status_code == 200


def _opens(page: PageServing, session: dict[str, str]) -> bool:
    """Whether a session opens the page; unlike a key, it is tried as often as one likes."""
    return requests.get(f"{page.root}/log", headers=BROWSER, cookies=session, timeout=30).status_code == 200


def test_a_revoked_member_is_signed_out(page: PageServing) -> None:
    with requests.Session() as browser:
        browser.headers.update(BROWSER)
        sign_in(browser, page.root, page.keys["ada"])
        assert browser.get(f"{page.root}/log", timeout=30).status_code == 200
        session = {COOKIE: browser.cookies[COOKIE]}

        page.write_access(without="ada")
        try:
            wait_for("the page to sign out", lambda: browser.get(f"{page.root}/log", timeout=30).status_code == 401)
        finally:
            page.write_access()
            wait_for("the session to hold again", lambda: _opens(page, session))


def test_static_files_are_cached_by_their_content(page: PageServing) -> None:
    style = get(page, "/log/static/style.css")
    again = get(page, "/log/static/style.css", **{"If-None-Match": style.headers["ETag"]})

    assert style.headers["Content-Type"] == "text/css; charset=utf-8"
    assert "max-age" in style.headers["Cache-Control"]
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "name", ["", "..", "../main.py", "%2e%2e/main.py", "..%2fmain.py", "/etc/passwd", "style.css/"]
)
def test_no_path_leads_out_of_the_static_folder(page: PageServing, name: str) -> None:
    prepared = requests.Request("GET", page.root).prepare()
    prepared.url = f"{page.root}/log/static/{name}"

    with requests.Session() as session:
        answer = session.send(prepared, timeout=30)

    assert answer.status_code in {401, 404}  # a path that the client itself shortened is another page
    assert b"functions_framework" not in answer.content


def test_a_head_request_has_no_body(page: PageServing) -> None:
    answer = requests.head(f"{page.root}/log", headers={"Authorization": f"Bearer {page.keys['ada']}"}, timeout=30)

    assert (answer.status_code, answer.content) == (200, b"")


def test_an_unreadable_ledger_is_a_page_that_says_what_to_do() -> None:
    records = [usage_record("e1", NOW - timedelta(days=1), "ada")]
    with page_serving(records, ["ada"], demo=True) as page:
        assert "<strong>Demo.</strong>" in get(page, "/log", "ada", **BROWSER).text

        for file in page.folder.glob("ledger.db*"):
            file.write_bytes(b"this is no database" * 1000)
        answer = get(page, "/log", "ada", **BROWSER)

        assert answer.status_code == 503
        assert "Nothing is lost" in answer.text
        assert "database" not in answer.text
        assert get(page, "/healthz").status_code == 503


def test_who_looks_on_gets_no_body_while_nothing_is_new(page: PageServing) -> None:
    first = get(page, "/log/requests", "linus", **BROWSER)
    again = get(page, "/log/requests", "linus", **BROWSER, **{"If-None-Match": first.headers["ETag"]})
    others = get(page, "/log/requests", "ada", **BROWSER, **{"If-None-Match": first.headers["ETag"]})

    assert (first.status_code, "late" in first.text) == (200, True)
    assert (again.status_code, again.content) == (304, b"")
    assert others.status_code == 200


def test_one_request_is_a_page_for_whose_it_is_and_nothing_for_anybody_else(page: PageServing) -> None:
    own = get(page, "/log/requests/late", "linus", **BROWSER)
    others = get(page, "/log/requests/late", "ada", **BROWSER)
    missing = get(page, "/log/requests/never-was", "ada", **BROWSER)

    assert (own.status_code, "Cost line by line" in own.text) == (200, True)
    assert (others.status_code, others.text) == (missing.status_code, missing.text)
    assert others.status_code == 404


def test_requests_as_json_are_sent_piece_by_piece_and_are_one_list(page: PageServing) -> None:
    answer = get(page, "/log/requests?period=all&sort=list_cost&format=json", "boss")
    costs = [Decimal(record["list_cost"]) for record in answer.json() if record["list_cost"] is not None]

    assert "Content-Length" not in answer.headers
    assert len(costs) > 500
    assert costs == sorted(costs)


def test_a_zone_that_is_chosen_stays(page: PageServing) -> None:
    with requests.Session() as browser:
        browser.headers.update(BROWSER)
        seen = sign_in(browser, page.root, page.keys["linus"])
        utc = browser.get(f"{page.root}/log/requests/late", timeout=30).text
        form = {"zone": "Asia/Kolkata", "token": token_of(seen.text)}
        chosen = browser.post(f"{page.root}/log/time-zone", form, timeout=30)
        kolkata = browser.get(f"{page.root}/log/requests/late", timeout=30).text

    assert chosen.status_code == 200
    assert "+00:00" in utc
    assert "+05:30" in kolkata
    assert "+05:30" not in utc


@pytest.mark.parametrize("name", ["vendor/uPlot.iife.min.js", "page.js"])
def test_scripts_come_from_the_folder_of_the_function(page: PageServing, name: str) -> None:
    answer = get(page, f"/log/static/{name}")

    assert (answer.status_code, "javascript" in answer.headers["Content-Type"]) == (200, True)
