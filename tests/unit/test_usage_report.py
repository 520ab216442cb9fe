from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from made_ledger import MadeLedger
from made_usage import month, usage_record
from openai_proxy.page.usage_report import Day, UsageReport
from openai_proxy.period import Period
from openai_proxy.ports import Selection, UsageTotal

NOW = datetime(2026, 11, 23, 20, tzinfo=UTC)
PERIOD = Period(NOW - timedelta(days=40), NOW + timedelta(days=1))
ALL = Selection(period=PERIOD)


def total(day: str | None, model: str | None, cost: str, requests: int = 1) -> UsageTotal:
    return UsageTotal(
        group=(day, model) if model else (day,),
        requests=requests,
        input_tokens=10 * requests,
        cache_read_input_tokens=0,
        output_tokens=requests,
        reasoning_output_tokens=0,
        list_cost=cost,
        unpriced=0,
        estimated=0,
        open=0,
        errors=0,
    )


def report(*totals: UsageTotal) -> UsageReport:
    return UsageReport(period=PERIOD, user_id="ada", by_day_and_model=totals, by_user=None, latest=[])


def test_days_come_newest_first_with_the_dearest_model_first() -> None:
    old, cheap, dear = (
        total("2026-11-21", "a", "0.5"),
        total("2026-11-22", "a", "0.25"),
        total("2026-11-22", "b", "0.75"),
    )

    assert report(old, cheap, dear).days == [
        Day(day="2026-11-22", total=total("2026-11-22", None, "1.00", 2), models=[dear, cheap], share=100.0),
        Day(day="2026-11-21", total=total("2026-11-21", None, "0.5"), models=[old], share=50.0),
    ]


def test_days_without_cost_compare_by_requests() -> None:
    days = report(total("2026-11-21", "a", "0", 3), total("2026-11-22", "a", "0", 12)).days

    assert [day.share for day in days] == [100.0, 25.0]


def test_no_usage_is_no_day_and_a_zero_sum() -> None:
    assert report().days == []
    assert report().totals.requests == 0
    assert report().totals.list_cost == "0"


def test_json_has_the_ledgers_words_and_amounts_as_text() -> None:
    record = usage_record("e1", NOW, "ada")
    ledger = MadeLedger([record])
    found = UsageReport(
        period=Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)),
        user_id=None,
        by_day_and_model=ledger.totals(ALL, by=("day", "model")),
        by_user=ledger.totals(ALL, by=("user",)),
        latest=list(ledger.records(ALL, limit=50)),
    ).to_json()

    sums = {
        "requests": 1,
        "input_tokens": 1000,
        "cache_read_input_tokens": 200,
        "output_tokens": 100,
        "reasoning_output_tokens": 40,
        "list_cost": "0.0028",
        "unpriced": 0,
        "estimated": 0,
        "open": 0,
        "errors": 0,
    }
    (latest,) = found.pop("latest")
    assert found == {
        "period": {"since": "2026-11-01T00:00:00.000Z", "until": "2026-12-01T00:00:00.000Z"},
        "user_id": None,
        "tag": None,
        "totals": sums,
        "by_day_and_model": [{"day": "2026-11-23", "model": "gpt-4.1", **sums}],
        "by_user": [{"user_id": "ada", **sums}],
    }
    assert latest["event_time"] == "2026-11-23T20:00:00.000Z"
    assert latest["list_cost"] == "0.0028"
    assert latest["usage"] == {"prompt_tokens": 1000, "completion_tokens": 100}


def test_totals_equal_the_records_they_are_made_of() -> None:
    records = list(month(NOW))
    ledger = MadeLedger(records)

    totals = report(*ledger.totals(ALL, by=("day", "model"))).totals

    assert totals.requests == len(records)
    assert Decimal(totals.list_cost) == sum(record.cost.list_cost or 0 for record in records)
    assert "by_user" not in report().to_json()
