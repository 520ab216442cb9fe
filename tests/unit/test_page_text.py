from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from openai_proxy.page import text as page_text
from openai_proxy.period import Period

DASH = "\N{EN DASH}"


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("0.000", "$0.00"),
        ("0.0000004", "<$0.000001"),
        ("0.0000042", "$0.0000042"),
        ("0.0042", "$0.0042"),
        ("0.0996", "$0.100"),
        ("0.42", "$0.42"),
        ("12.3", "$12.30"),
        (Decimal("1204.499"), "$1,204.50"),
    ],
)
def test_an_amount_has_cents_or_two_significant_digits(amount: str | Decimal, text: str) -> None:
    assert page_text.cost(amount) == text


def test_counts_are_grouped_and_an_unknown_one_is_a_dash() -> None:
    assert [page_text.count(number) for number in (None, 0, 1_234_567)] == [DASH, "0", "1,234,567"]


def test_one_is_singular() -> None:
    assert [page_text.plural(number, "error", "errors") for number in (0, 1, 2000)] == [
        "0 errors",
        "1 error",
        "2,000 errors",
    ]


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, DASH),
        (0, "0 ms"),
        (999, "999 ms"),
        (2440, "2.4 s"),
        (60_000, "1 min 0 s"),
        (600_000_000, "10,000 min 0 s"),
    ],
)
def test_a_duration_has_the_unit_that_a_person_would_say(ms: int | None, text: str) -> None:
    assert page_text.duration(ms) == text


def utc(year: int, month: int, day: int, hour: int = 0) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "until", "text"),
    [
        (utc(2026, 11, 1), utc(2026, 12, 1), "1 Nov 2026 to 30 Nov 2026"),
        (utc(2026, 11, 1), utc(2026, 11, 2), "1 Nov 2026"),
        (utc(2026, 11, 1, 8), utc(2026, 11, 2), "2026-11-01 08:00 to 2026-11-02 00:00"),
        (utc(1, 1, 1), utc(1, 1, 2), "1 Jan 1"),
    ],
)
def test_a_period_of_whole_days_names_its_first_and_last(since: datetime, until: datetime, text: str) -> None:
    assert page_text.period(Period(since, until)) == text


def test_times_are_written_in_utc() -> None:
    time = datetime(2026, 11, 23, 5, 7, 9, tzinfo=timezone(timedelta(hours=9)))

    assert page_text.iso(time) == "2026-11-22T20:07:09Z"
