from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_proxy.page.periods import BEGINNING, PeriodError, before, parse_period
from openai_proxy.period import Period

NOW = datetime(2026, 11, 23, 20, 52, 23, tzinfo=UTC)
TOMORROW = datetime(2026, 11, 24, tzinfo=UTC)


def day(year: int, month: int, day_of_month: int) -> datetime:
    return datetime(year, month, day_of_month, tzinfo=UTC)


@pytest.mark.parametrize(
    ("parameters", "name", "since"),
    [
        ({}, "30d", day(2026, 10, 25)),
        ({"period": ""}, "30d", day(2026, 10, 25)),
        ({"period": "today"}, "today", day(2026, 11, 23)),
        ({"period": "7d"}, "7d", day(2026, 11, 17)),
        ({"period": "month"}, "month", day(2026, 11, 1)),
        ({"period": "12m"}, "12m", day(2025, 12, 1)),
        ({"period": "all"}, "all", BEGINNING),
        ({"period": "7d", "since": "2026-11-20"}, None, day(2026, 11, 20)),
    ],
)
def test_a_period_ends_with_the_present_day(parameters: dict[str, str], name: str | None, since: datetime) -> None:
    assert parse_period(parameters, NOW) == (name, Period(since, TOMORROW))


def test_the_day_is_the_utc_day_wherever_the_clock_stands() -> None:
    evening = NOW.astimezone(timezone(timedelta(hours=9)))

    assert parse_period({"period": "today"}, evening)[1] == Period(day(2026, 11, 23), TOMORROW)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-31", day(2026, 1, 31)),
        (" 2026-01-31 ", day(2026, 1, 31)),
        ("2026-01-31T12:30:00Z", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        ("2026-01-31t12:30z", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        ("2026-01-31T12:30:00.25+02:00", datetime(2026, 1, 31, 10, 30, 0, 250_000, tzinfo=UTC)),
        ("2026-01-31T12:30:00 02:00", datetime(2026, 1, 31, 10, 30, tzinfo=UTC)),
    ],
)
def test_a_bound_is_a_date_or_a_time_with_its_zone(text: str, time: datetime) -> None:
    assert parse_period({"since": text}, NOW) == (None, Period(time, TOMORROW))


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"period": "year"}, "period"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-02-30"}, "since"),
        ({"until": "2026-01-31T12:00:00"}, "until"),
        ({"until": "20260131"}, "until"),
        ({"until": "0001-01-01T00:00:00+10:00"}, "until"),
        ({"since": "٢٠٢٦-01-01"}, "since"),
        ({"since": "2026-02-02", "until": "2026-02-01"}, "after"),
        ({"since": "2026-02-01T12:00Z", "until": "2026-02-01T12:00Z"}, "not included"),
        ({"since": "2100-02-01"}, "after"),
    ],
)
def test_what_is_no_period_is_refused_with_the_parameter_named(parameters: dict[str, str], word: str) -> None:
    with pytest.raises(PeriodError, match=word):
        parse_period(parameters, NOW)


@given(st.dictionaries(st.sampled_from(["period", "since", "until"]), st.text() | st.datetimes().map(str)))
def test_any_parameters_give_a_period_or_a_reason(parameters: dict[str, str]) -> None:
    try:
        _, period = parse_period(parameters, NOW)
    except PeriodError:
        return
    assert period.since < period.until


def test_the_last_month_is_over() -> None:
    january = datetime(2026, 1, 31, 12, tzinfo=UTC)

    assert parse_period({"period": "last_month"}, january) == ("last_month", Period(day(2025, 12, 1), day(2026, 1, 1)))


def test_the_last_day_is_counted_and_a_time_is_not() -> None:
    def until(text: str) -> datetime:
        return parse_period({"until": text}, NOW)[1].until

    assert until("2026-01-31") == day(2026, 2, 1)
    assert until("2026-01-31T12:00:00Z") == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert until("9999-12-31") == datetime.max.replace(tzinfo=UTC)
    one_day = parse_period({"since": "2026-02-01", "until": "2026-02-01"}, NOW)[1]
    assert one_day == Period(day(2026, 2, 1), day(2026, 2, 2))


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"period": "today"}, Period(day(2026, 11, 22), NOW - timedelta(days=1))),
        ({"period": "7d"}, Period(day(2026, 11, 10), NOW - timedelta(days=7))),
        ({"period": "month"}, Period(day(2026, 10, 1), NOW.replace(month=10))),
        ({"period": "last_month"}, Period(day(2026, 9, 1), day(2026, 10, 1))),
        ({"period": "12m"}, Period(day(2024, 12, 1), NOW.replace(year=2025))),
        ({"period": "all"}, None),
        ({"since": "2026-11-01", "until": "2026-11-05"}, Period(day(2026, 10, 27), day(2026, 11, 1))),
        ({"since": "0001-01-01", "until": "0001-01-02"}, None),
        ({"since": "2100-01-01", "until": "2100-01-02"}, None),
    ],
)
def test_the_period_before_is_as_long_as_what_has_passed(parameters: dict[str, str], expected: Period | None) -> None:
    assert before(*parse_period(parameters, NOW), NOW) == expected


def test_a_short_month_before_a_long_one_is_counted_whole() -> None:
    now = datetime(2026, 3, 31, 12, tzinfo=UTC)

    assert before(*parse_period({"period": "month"}, now), now) == Period(day(2026, 2, 1), day(2026, 3, 1))
