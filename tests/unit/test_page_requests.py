"""The list of requests, one request, and the time zone that their times are in."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from made_ledger import MadeLedger
from made_usage import month, usage_record
from openai_proxy.access.callers import Access
from openai_proxy.adapters.sqlite_store import SqliteStore
from openai_proxy.keys import key_hash
from openai_proxy.log_view import LogView
from openai_proxy.page.exchange import Answer, Question
from openai_proxy.page.views import RequestPage, RequestsPage
from openai_proxy.page.zones import zone_names
from openai_proxy.records import UsageRecord

NOW = datetime(2026, 11, 23, 20, tzinfo=UTC)
BASE = "https://proxy.example.com"
ACCESS = f"""
version = 1
[users.ada]
role = "admin"
[[users.ada.keys]]
id = "key_1"
sha256 = "{key_hash("sk-ada")}"
created_time = 2026-01-01T00:00:00Z
"""


class HeldAccess:
    def current(self) -> Access:
        return Access.parse(ACCESS)


def view(ledger: MadeLedger) -> LogView:
    return LogView(ledger, HeldAccess(), session_secret="made up")


def ask(ledger: MadeLedger, path: str = "/log/requests", *, accept: str = "text/html", **more: Any) -> Answer:
    asked: dict[str, Any] = {"method": "GET", "base_url": BASE, "authorization": "Bearer sk-ada"} | more
    return view(ledger).answer(Question(path=path, accept=accept, **asked), NOW)


def listed(answer: Answer) -> RequestsPage:
    page = answer.context["page"]
    assert isinstance(page, RequestsPage)
    return page


def ids(page: RequestsPage) -> list[str]:
    return [str(row[0].href).removeprefix("/log/requests/").partition("?")[0] for row in page.table.rows]


MONTH = MadeLedger(list(month(NOW)))


def test_requests_are_paged_newest_first_and_none_is_lost_between_pages() -> None:
    pages = [listed(ask(MONTH, query={"page": str(number)})) for number in range(1, 20)]
    seen = [event_id for page in pages for event_id in ids(page)]
    newest = [row["event_id"] for row in json.loads("".join(ask(MONTH, accept="").text or ()))]

    assert [len(page.table.rows) for page in pages[:3]] == [50, 50, 50]
    assert seen == newest
    assert len(set(seen)) == len(seen)
    assert pages[0].table.pages is not None
    assert pages[0].table.pages.shown == f"1 to 50 of {len(newest)}"
    assert pages[0].table.pages.next_href == "/log/requests?page=2"


@pytest.mark.parametrize("by", ["list_cost", "input_tokens", "output_tokens", "duration_ms", "event_time"])
@pytest.mark.parametrize("sign", ["-", ""])
def test_requests_are_sorted_by_what_is_asked_for_on_the_page_and_in_the_file(by: str, sign: str) -> None:
    answer = ask(MONTH, query={"sort": f"{sign}{by}"})
    rows = json.loads("".join(ask(MONTH, accept="", query={"sort": f"{sign}{by}"}).text or ()))
    values = [row[by] if by == "event_time" else Decimal(str(row[by])) for row in rows if row[by] is not None]

    assert values == sorted(values, reverse=sign == "-")
    assert ids(listed(answer)) == [row["event_id"] for row in rows[:50]]
    (sorted_by,) = (column for column in listed(answer).table.columns if column.order)
    assert sorted_by.order == ("descending" if sign else "ascending")


def test_a_file_has_the_same_requests_as_the_page_all_of_them() -> None:
    query = {"model": "gpt-5.1", "operation": "responses", "period": "7d"}
    page = listed(ask(MONTH, query=query))
    lines = list(csv.DictReader(io.StringIO("".join(ask(MONTH, query={**query, "format": "csv"}).text or ()))))

    assert page.table.rows
    assert {line["request_model"] for line in lines} == {"gpt-5.1"}
    assert [line["event_id"] for line in lines][:50] == ids(page)


def test_who_looks_on_is_told_in_few_bytes_that_nothing_is_new() -> None:
    ledger = MadeLedger([usage_record("a", NOW - timedelta(minutes=5), "ada")])
    first = ask(ledger)
    refresh = listed(first).refresh_href
    again = ask(ledger, if_none_match=first.headers["ETag"])
    other_choice = ask(ledger, if_none_match=first.headers["ETag"], query={"model": "gpt-9"})
    other_zone = ask(ledger, if_none_match=first.headers["ETag"], time_zone="Europe/Berlin")

    store = SqliteStore(ledger.path)
    store.add([usage_record("b", NOW - timedelta(minutes=1), "ada")])
    store.close()
    later = ask(ledger, if_none_match=first.headers["ETag"])

    assert refresh == "/log/requests"
    assert (again.status, again.template, again.headers["ETag"]) == (304, None, first.headers["ETag"])
    assert (other_choice.status, other_zone.status) == (200, 200)
    assert (later.status, ids(listed(later))) == (200, ["b", "a"])


@pytest.mark.parametrize("query", [{"page": "2"}, {"sort": "list_cost"}, {"period": "last_month"}])
def test_what_cannot_get_newer_is_not_refreshed(query: dict[str, str]) -> None:
    assert listed(ask(MONTH, query=query)).refresh_href is None


@pytest.mark.parametrize("page", ["0", "-1", "1.5", "\u0661", "1000000", "two"])
def test_a_page_that_is_none_is_refused(page: str) -> None:
    answer = ask(MONTH, query={"page": page})

    assert (answer.status, answer.context["code"]) == (400, "invalid_page")


def test_a_page_behind_the_last_one_says_so() -> None:
    page = listed(ask(MONTH, query={"page": "900"}))

    assert page.table.pages is not None
    assert page.table.pages.shown.startswith("none of ")
    assert page.table.pages.next_href is None


def shown(record: UsageRecord, **more: Any) -> dict[str, str]:
    answer = ask(MadeLedger([record]), f"/log/requests/{record.event.event_id}", **more)
    page = answer.context["page"]
    assert isinstance(page, RequestPage)
    return {label: cell.text for _, known in page.groups for label, cell in known}


def test_one_request_is_shown_with_the_source_of_each_number() -> None:
    made = usage_record("e1", NOW - timedelta(hours=1), "ada")
    event = replace(made.event, tags={"project": "apollo"}, end_user_id="7f3c", request_model="gpt-4.1-latest")
    units = tuple(replace(unit, sku_price_id="gpt-4.1@2025-04-14") for unit in made.units)
    record = replace(made, event=event, units=units)

    said = shown(record)
    page = ask(MadeLedger([record]), "/log/requests/e1").context["page"]

    assert (said["Model asked for"], said["Model that answered"]) == ("gpt-4.1-latest", "gpt-4.1")
    assert (said["Tag"], said["End user"], said["Key"]) == ("project=apollo", "7f3c", "key_ada")
    assert (said["Input"], said["of input, read from the cache"], said["Source"]) == ("1,000", "200", "reported")
    assert isinstance(page, RequestPage)
    assert page.units is not None
    assert [[cell.text for cell in row] for row in page.units.rows] == [
        ["input tokens", "1,000", "1,000", "$2.00", "$0.0020", "gpt-4.1", "reported"],
        ["cache read tokens", "200", "0", "–", "$0.00", "gpt-4.1", "reported"],  # noqa: RUF001 - a dash is meant
        ["output tokens", "100", "100", "$8.00", "$0.00080", "gpt-4.1", "reported"],
    ]
    assert (page.units.rows[0][3].note, page.units.rows[0][5].note) == ("for 1,000,000", "since 2025-04-14")
    assert page.units.foot[4].text == "$0.0028"
    assert page.revisions is None


def test_a_record_that_was_priced_again_shows_both_prices() -> None:
    first = usage_record("e1", NOW - timedelta(hours=1), "ada")
    unpriced = replace(first.cost, list_cost=None, priced=False, unpriced_reason="no price is known")
    ledger = MadeLedger([replace(first, cost=unpriced), replace(first, price_revision=1)])

    page = ask(ledger, "/log/requests/e1").context["page"]
    told = ask(ledger, "/log/requests/e1", accept="").json

    assert isinstance(page, RequestPage)
    assert page.revisions is not None
    assert [row[1].text for row in page.revisions.rows] == ["unpriced", "$0.0028"]
    assert isinstance(told, dict)
    assert [one["price_revision"] for one in told["revisions"]] == [0, 1]


def test_the_day_in_an_address_is_where_the_ledger_looks() -> None:
    ledger = MadeLedger([usage_record("e1", NOW - timedelta(hours=1), "ada")])
    (row,) = listed(ask(ledger)).table.rows

    assert row[0].href == "/log/requests/e1?day=2026-11-23"
    assert ask(ledger, "/log/requests/e1", query={"day": "2026-11-23"}).status == 200
    assert ask(ledger, "/log/requests/e1", query={"day": "2026-11-22"}).status == 404
    assert ask(ledger, "/log/requests/e1", query={"day": "soon"}).status == 400


def test_times_are_in_the_zone_that_the_reader_chose() -> None:
    record = usage_record("e1", NOW - timedelta(hours=1), "ada")

    assert shown(record)["Received"] == "23 Nov 2026 19:00:00"
    assert shown(record, time_zone="Asia/Kolkata")["Received"] == "24 Nov 2026 00:30:00"
    assert shown(record, time_zone="../../etc/passwd")["Received"] == "23 Nov 2026 19:00:00"


def test_a_zone_is_kept_by_a_cookie_and_an_unknown_one_is_refused() -> None:
    def choose(zone: str, **more: Any) -> Answer:
        form = {"zone": zone, "token": listed(ask(MONTH)).frame.form_token}
        return ask(MONTH, "/log/time-zone", method="POST", form=form, **more)

    chosen = choose("Europe/Berlin")

    assert (chosen.status, chosen.headers["Location"]) == (303, "/log")
    assert chosen.headers["Set-Cookie"] == (
        "openai_proxy_time_zone=Europe/Berlin; Path=/log; Max-Age=31536000; HttpOnly; SameSite=Lax; Secure"
    )
    assert choose("Mars/Olympus").status == 400
    assert choose("UTC; Path=/").status == 400
    assert choose("UTC", fetch_site="cross-site").status == 403
    assert ask(MONTH, "/log/time-zone", method="POST", form={"zone": "UTC"}).status == 403


@pytest.mark.parametrize(
    ("referer", "back"),
    [
        (f"{BASE}/log/requests?status=error", "/log/requests?status=error"),
        (f"{BASE}/log", "/log"),
        (f"{BASE}/logs", "/log"),
        (f"{BASE}.example/log/requests", "/log"),
        ("https://elsewhere.example/log/requests", "/log"),
        ("/log/requests", "/log"),
    ],
)
def test_who_chose_a_zone_goes_back_to_the_page_that_they_were_on(referer: str, back: str) -> None:
    form = {"zone": "UTC", "token": listed(ask(MONTH)).frame.form_token}

    assert ask(MONTH, "/log/time-zone", method="POST", form=form, referer=referer).headers["Location"] == back


def test_a_page_knows_whether_a_zone_was_chosen() -> None:
    assert listed(ask(MONTH)).frame.is_zone_chosen is False
    assert listed(ask(MONTH, time_zone="UTC")).frame.is_zone_chosen is True
    assert {"UTC", "Asia/Kolkata", "America/New_York"} <= set(zone_names())
