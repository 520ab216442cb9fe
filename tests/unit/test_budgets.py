from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from openai_proxy.access.budget import Budget, BudgetPeriod, Scope
from openai_proxy.period import Period

EVENING = datetime(2026, 2, 28, 23, 30, tzinfo=timezone(timedelta(hours=-2)))  # already Sunday, 1 March, in UTC


def utc(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "window", "resets"),
    [
        ("day", Period(utc(2026, 3, 1), utc(2026, 3, 2)), utc(2026, 3, 2)),
        ("week", Period(utc(2026, 2, 23), utc(2026, 3, 2)), utc(2026, 3, 2)),
        ("month", Period(utc(2026, 3, 1), utc(2026, 4, 1)), utc(2026, 4, 1)),
        ("total", Period(utc(1970, 1, 1), utc(9999, 1, 1)), None),
    ],
)
def test_periods_are_of_utc_and_weeks_begin_on_monday(
    period: BudgetPeriod, window: Period, resets: datetime | None
) -> None:
    budget = Budget(Scope("user", "ada"), Decimal(20), period)

    assert budget.window(EVENING) == window
    assert budget.resets(EVENING) == resets


def test_a_december_ends_with_its_year() -> None:
    budget = Budget(Scope("user", "ada"), Decimal(20), "month")

    assert budget.window(utc(2026, 12, 31)) == Period(utc(2026, 12, 1), utc(2027, 1, 1))


def test_a_day_and_a_month_that_begin_together_are_two_accounts() -> None:
    ada = Scope("user", "ada")
    day, month = Budget(ada, Decimal(20), "day"), Budget(ada, Decimal(20), "month")

    assert day.account(utc(2026, 6, 1)) != month.account(utc(2026, 6, 1))
