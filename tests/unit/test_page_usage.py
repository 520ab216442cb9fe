"""What the usage page shows of a ledger: numbers, budgets, the chart, tables, and the same as files."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from made_ledger import MadeLedger
from made_usage import usage_record
from openai_proxy.access.callers import Access
from openai_proxy.keys import key_hash
from openai_proxy.log_view import LogView
from openai_proxy.page.exchange import Answer, Question
from openai_proxy.page.views import Cell, Chart, RequestsPage, Table, Tile, UsagePage
from openai_proxy.records import UsageRecord

NOW = datetime(2026, 11, 10, 12, tzinfo=UTC)
BASE = "https://proxy.example.com"
ACCESS = """
version = 1
[organization]
budgets = [{ amount = "10", period = "month" }]
[teams.red]
budgets = [{ amount = "1", period = "total" }]
"""
USERS = {"boss": 'role = "admin"', "lea": 'role = "lead"\nteam = "red"', "ada": 'team = "red"', "dan": ""}
BUDGETS = {"ada": '[{ amount = "0.01", period = "month" }]', "dan": '[{ amount = "0.003", period = "day" }]'}


class HeldAccess:
    def current(self) -> Access:
        text = ACCESS
        for user, role in USERS.items():
            text += f"[users.{user}]\n{role}\n" + (f"budgets = {BUDGETS[user]}\n" if user in BUDGETS else "")
            text += f'[[users.{user}.keys]]\nid = "key_1"\nsha256 = "{key_hash(f"sk-{user}")}"\n'
            text += "created_time = 2026-01-01T00:00:00Z\n"
        return Access.parse(text)


def record(
    event_id: str,
    user: str = "ada",
    *,
    ago: timedelta = timedelta(hours=1),
    model: str = "gpt-4.1",
    cost: str | None = "0.0028",
    **event: Any,
) -> UsageRecord:
    made = usage_record(event_id, NOW - ago, user, model)
    price = replace(made.cost, list_cost=None if cost is None else Decimal(cost), priced=cost is not None)
    team = "red" if user in {"ada", "lea"} else None
    return replace(made, event=replace(made.event, team_id=team, key_id="key_1", **event), cost=price)


def ask(
    *records: UsageRecord, reader: str = "boss", path: str = "/log", zone: str | None = None, **query: str
) -> Answer:
    question = Question(
        method="GET",
        path=path,
        base_url=BASE,
        query=query,
        accept="text/html",
        authorization=f"Bearer sk-{reader}",
        time_zone=zone,
    )
    return LogView(MadeLedger(records), HeldAccess(), session_secret="made up").answer(question, NOW)


def page(*records: UsageRecord, **asked: Any) -> UsagePage:
    answer = ask(*records, **asked)
    found = answer.context["page"]
    assert isinstance(found, UsagePage), answer
    return found


def tile(of: UsagePage, label: str) -> Tile:
    (found,) = (one for one in of.tiles if one.label == label)
    return found


def table(of: UsagePage, name: str) -> Table:
    (found,) = (one for one in of.tables if one.name == name)
    return found


def texts(rows: Any) -> list[list[str]]:
    return [[cell.text for cell in row] for row in rows]


def chart(of: UsagePage) -> Chart:
    assert of.chart is not None
    return of.chart


DAY = timedelta(days=1)


def test_tiles_compare_with_as_much_of_the_period_before() -> None:
    now = [record("a"), record("b", cost="0.0072")]
    before = [record("c", ago=7 * DAY + timedelta(hours=2), cost="0.005")]
    later_that_day = record("d", ago=7 * DAY - timedelta(hours=2), cost="100")  # is in neither: it is seven days ago

    found = page(*now, *before, record("e", ago=14 * DAY), period="7d")

    assert tile(found, "List cost").change == "+100 %"
    assert tile(found, "Requests").change == "+100 %"
    assert tile(found, "Errors").change is None
    assert tile(page(*now, *before, later_that_day, period="7d"), "List cost").change == "+100 %"


def test_a_month_to_date_is_held_against_the_same_days_of_the_last_one_and_goes_on_straight() -> None:
    first_days_of_last = record("b", ago=timedelta(days=35), cost="0.04")  # 6 October
    rest_of_last = record("c", ago=timedelta(days=15), cost="50")

    cost = tile(page(record("a", cost="0.02"), first_days_of_last, rest_of_last, period="month"), "List cost")

    assert cost.change == "−50 %"  # noqa: RUF001 - a minus sign is meant
    assert cost.parts[1].startswith("$0.063 by the end of the month")  # 9.5 of 30 days have passed


def test_all_time_has_nothing_before_it() -> None:
    assert {one.change for one in page(record("a"), period="all").tiles} == {None}


def test_what_is_not_known_is_a_fact_with_a_link_to_exactly_those_requests() -> None:
    records = [
        record("unpriced", cost=None),
        record("estimated", usage_source="estimated"),
        record("open", cost=None, event_type="started", http_status_code=None, usage_source="unknown"),
        record("error", http_status_code=500),
        record("fine"),
    ]
    facts = page(*records).facts

    assert [fact.badge for fact in facts] == ["unpriced", "estimated", "open", "error"]
    for fact in facts:
        assert fact.href is not None
        path, _, query = fact.href.partition("?")
        answer = ask(*records, path=path, **dict([query.split("=")]))
        listed = answer.context["page"]
        assert isinstance(listed, RequestsPage)
        ids = {str(row[0].href).split("/")[3].split("?")[0] for row in listed.table.rows}
        assert ids == {fact.badge} | ({"open"} if fact.badge == "unpriced" else set())


def test_budgets_are_those_of_whom_the_page_is_about() -> None:
    records = [record("a", cost="0.0085"), record("d", "dan", cost="0.004")]

    def left(reader: str, **query: str) -> list[tuple[str, str, str]]:
        return [(one.label, one.left.text, one.level) for one in page(*records, reader=reader, **query).budgets]

    assert left("ada") == [("your budget", "$0.0015", "near")]
    assert left("lea") == [("budget of team red", "$0.99", "ok")]
    assert left("lea", user="ada") == [("budget of ada", "$0.0015", "near")]
    assert left("boss") == [("budget of all users together", "$9.99", "ok")]
    assert left("boss", user="dan") == [("budget of dan", "$0.00", "over")]


def test_who_is_near_a_limit_is_told_to_admins_and_to_their_lead_dearest_first() -> None:
    records = [record("a", cost="0.0085"), record("d", "dan", cost="0.004")]

    assert [row[:2] for row in texts(table(page(*records), "near-limits").rows)] == [
        ["ada", "$0.0085"],
        ["dan", "$0.0040"],
    ]
    assert [row[0] for row in texts(table(page(*records, reader="lea"), "near-limits").rows)] == ["ada"]
    assert "near-limits" not in {one.name for one in page(*records, reader="ada").tables}


def test_a_short_period_has_hours_in_the_readers_zone_a_longer_one_days_and_a_year_months() -> None:
    def times(**query: str) -> list[Cell]:
        return [row[0] for row in chart(page(record("a"), zone="Asia/Kolkata", **query)).table.rows]

    hours, days, months = times(period="today"), times(period="30d"), times(period="12m")

    assert (hours[0].text, len(hours)) == ("Tue 10 Nov 05:30", 13)
    assert (hours[0].exact, hours[0].href) == (
        "2026-11-10T00:00:00Z",
        "/log/requests?since=2026-11-10T00%3A00%3A00Z&until=2026-11-10T01%3A00%3A00Z",
    )
    assert (days[-1].text, len(days)) == ("Tue 10 Nov 2026", 30)
    assert days[-1].href == "/log?since=2026-11-10&until=2026-11-10"
    assert [cell.text for cell in months] == ["Nov 2026"]


def test_months_are_all_drawn_from_the_first_one_with_usage() -> None:
    rows = chart(page(record("a"), record("b", ago=95 * DAY), period="all")).table.rows

    assert [row[:2] for row in texts(rows)] == [
        ["Aug 2026", "$0.0028"],
        ["Sep 2026", "$0.00"],
        ["Oct 2026", "$0.00"],
        ["Nov 2026", "$0.0028"],
    ]


def test_at_most_seven_series_stand_apart_and_the_rest_together() -> None:
    many = [record(f"e{number}", model=f"model-{number}", cost=f"0.{number:02}1") for number in range(10)]

    table = chart(page(*many)).table

    assert [column.label for column in table.columns] == [
        *("Time", "model-9", "model-8", "model-7", "model-6", "model-5", "model-4", "model-3"),
        "other (3)",
    ]
    assert texts([table.foot])[0][-1] == "$0.033"


@pytest.mark.parametrize(
    ("query", "series", "newest"),
    [
        ({"measure": "tokens"}, ["Input", "Cached input", "Output", "Reasoning"], ["1,600", "400", "120", "80"]),
        ({"measure": "requests"}, ["OK", "Errors"], ["1", "1"]),
        ({"measure": "latency"}, ["p50", "p95"], ["1.8 s", "1.8 s"]),
        ({"measure": "latency", "by": "user"}, ["ada"], ["1.8 s"]),
        ({"measure": "requests", "by": "key"}, ["key_1 (ada)", "key_1 (dan)"], ["1", "1"]),
        ({"measure": "cost", "by": "kind"}, ["List cost"], ["$0.0056"]),
        ({"measure": "cost", "by": "team"}, ["no team", "red"], ["$0.0028", "$0.0028"]),
        ({"measure": "requests", "by": "tag:project"}, ["apollo", "no tag project"], ["1", "1"]),
    ],
)
def test_each_measure_is_drawn_by_its_parts_or_by_group(
    query: dict[str, str], series: list[str], newest: list[str]
) -> None:
    records = [record("a", tags={"project": "apollo"}), record("b", "dan", http_status_code=500)]

    found = chart(page(*records, **query))

    assert [column.label for column in found.table.columns[1:]] == series
    assert texts(found.table.rows)[-1][1:] == newest
    assert found.summary.startswith(found.table.title)
    assert [link.label for link in found.measures if link.is_current] != []
    assert len([link for link in found.groups if link.is_current]) == 1


def test_a_duration_that_nobody_had_is_a_gap_and_no_zero() -> None:
    rows = chart(page(record("a"), measure="latency")).table.rows

    assert (rows[0][1].exact, rows[-1][1].exact) == (None, "1840")


def test_tables_are_sorted_and_paged_by_the_server_and_their_sum_is_of_all_rows() -> None:
    many = [record(f"e{number}", model=f"model-{number:02}") for number in range(12)]

    first, second = (table(page(*many, sort="-name", page=f"model.{number}"), "by-model") for number in (1, 2))

    assert [row[0] for row in texts(first.rows)][:2] == ["model-11", "model-10"]
    assert [row[0] for row in texts(second.rows)] == ["model-01", "model-00"]
    assert first.pages is not None
    assert (first.pages.shown, first.pages.previous_href) == ("1 to 10 of 12", None)
    assert first.pages.next_href == "/log?sort=-name&page=model.2#by-model"
    assert texts([second.foot])[0][:3] == ["Sum", "$0.034", "12"]
    assert (first.columns[0].order, first.columns[0].href) == ("descending", "/log?sort=name#by-model")


def test_each_reader_has_the_tables_that_say_something() -> None:
    records = [record("a"), record("d", "dan")]

    def names(reader: str, **query: str) -> list[str]:
        return [one.name for one in page(*records, reader=reader, **query).tables]

    assert names("ada") == ["by-model", "by-key", "by-operation"]
    assert names("lea") == ["by-model", "by-user", "by-key", "by-operation"]
    assert names("boss") == ["near-limits", "by-model", "by-user", "by-team", "by-key", "by-operation"]
    assert names("boss", user="ada", model="gpt-4.1") == ["by-key", "by-operation"]


def test_one_tag_has_a_table_and_the_chart_offers_all() -> None:
    tagged = record("a", tags={"project": "apollo", "stage": "test"})

    def tables(**query: str) -> list[str]:
        return [one.name for one in page(tagged, **query).tables if one.name.startswith("by-tag")]

    assert tables() == ["by-tag-project"]
    assert tables(tag="project=apollo") == ["by-tag-stage"]
    assert tables(by="tag:stage") == ["by-tag-stage"]
    assert {"Tag project", "Tag stage"} <= {link.label for link in chart(page(tagged)).groups}
    assert texts(table(page(tagged, record("b")), "by-tag-project").rows)[0][0] == "apollo"


def test_a_table_as_a_file_has_all_of_its_rows_to_the_last_digit() -> None:
    many = [record(f"e{number}", model=f"model-{number:02}", cost="0.000001234") for number in range(12)]

    answer = ask(*many, table="model", format="csv", sort="name")
    assert answer.text is not None
    lines = list(csv.DictReader(io.StringIO("".join(answer.text), newline="")))
    objects = ask(*many, table="model", format="json", sort="name").json

    assert [line["Model"] for line in lines] == [f"model-{number:02}" for number in range(12)]
    assert (lines[0]["List cost"], lines[0]["Input tokens"]) == ("0.000001234", "1000")
    assert isinstance(objects, list)
    assert objects[0]["List cost"] == "0.000001234"
    assert [{name: str(value) for name, value in one.items()} for one in objects] == lines


def test_a_table_of_nothing_is_a_file_of_nothing() -> None:
    assert ask(table="chart", format="json").json == []
    assert ask(table="near-limits", format="json").json == []


def test_who_has_no_usage_ever_is_shown_how_to_begin() -> None:
    assert ask(record("d", "dan"), reader="ada").template == "first_visit.html"
    assert page(record("d", "dan"), reader="ada").base_url == BASE
    assert ask(record("a", ago=50 * DAY), reader="ada").template == "usage.html"
    assert ask(reader="ada", model="gpt-9").template == "usage.html"


@pytest.mark.parametrize(
    ("query", "code", "text"),
    [
        ({"measure": "joules"}, "invalid_measure", "cost, tokens, requests, latency"),
        ({"by": "moon"}, "invalid_by", "kind, model, user, team, key, operation, or tag:"),
        ({"by": "tag:A"}, "invalid_by", "tag:project"),
        ({"sort": "size"}, "invalid_sort", "name, list_cost, requests"),
        ({"page": "model.0"}, "invalid_page", "1 to 999999"),
        ({"page": "2"}, "invalid_page", "as model.2"),
        ({"page": "moon.2"}, "invalid_page", "model, user, team, key, operation"),
        ({"table": "moon", "format": "csv"}, "invalid_table", "chart, near-limits, model"),
        ({"status": "fine"}, "invalid_status", "ok, error, open, unpriced, estimated"),
        ({"user": "a b"}, "invalid_user", "as ada"),
        ({"model": "\x00"}, "invalid_model", "as gpt-4.1"),
        ({"tag": "project"}, "invalid_tag", "NAME=VALUE"),
        ({"period": "year"}, "invalid_period", "last_month, 12m, all"),
        ({"since": "2026-11-02", "until": "2026-11-01"}, "invalid_period", "since must not be after until"),
    ],
)
def test_what_a_parameter_may_be_is_told(query: dict[str, str], code: str, text: str) -> None:
    answer = ask(record("a"), **query)

    said = str(answer.context or answer.json)
    assert answer.status == 400
    assert code in said
    assert text in said


def test_the_last_day_that_is_chosen_is_counted() -> None:
    found = page(record("a"), since="2026-11-10", until="2026-11-10")

    assert tile(found, "Requests").value.text == "1"
    assert (found.choice.since, found.choice.until, found.choice.period) == (
        "2026-11-10",
        "2026-11-10",
        "10 Nov 2026, UTC",
    )


def test_a_choice_keeps_all_that_it_does_not_change() -> None:
    found = page(record("a"), period="7d", model="gpt-4.1", measure="tokens")

    assert found.choice.reset_href == "/log?period=7d&measure=tokens"
    assert ("period", "7d") in found.choice.kept
    assert "/log?period=all&model=gpt-4.1&measure=tokens" in [link.href for link in found.choice.periods]
    assert found.frame.sections[1].href == "/log/requests?period=7d&model=gpt-4.1"
