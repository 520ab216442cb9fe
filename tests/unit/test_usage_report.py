from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from made_ledger import MadeLedger
from made_usage import month, usage_record
from openai_proxy.page.usage_report import UsageReport
from openai_proxy.period import Period
from openai_proxy.ports import Selection

NOW = datetime(2026, 11, 23, 20, tzinfo=UTC)
ALL = Selection(period=Period(NOW - timedelta(days=40), NOW + timedelta(days=1)))


def report(ledger: MadeLedger, selection: Selection = ALL) -> UsageReport:
    return UsageReport(
        selection=selection,
        by_day_and_model=ledger.totals(selection, by=("day", "model")),
        tables={"user": ledger.totals(selection, by=("user",)), "key": ledger.totals(selection, by=("user", "key"))},
        latest=list(ledger.records(selection, limit=50)),
    )


def test_json_has_the_ledgers_words_and_amounts_as_text() -> None:
    found = report(MadeLedger([usage_record("e1", NOW, "ada")])).to_json()

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
        "period": {"since": "2026-10-14T20:00:00.000Z", "until": "2026-11-24T20:00:00.000Z"},
        **dict.fromkeys(("user_id", "team_id", "key_id", "model", "operation_name", "status", "tag")),
        "totals": sums,
        "by_day_and_model": [{"day": "2026-11-23", "model": "gpt-4.1", **sums}],
        "by_user": [{"user_id": "ada", **sums}],
        "by_key": [{"user_id": "ada", "key_id": "key_ada", **sums}],
    }
    assert latest["event_time"] == "2026-11-23T20:00:00.000Z"
    assert latest["list_cost"] == "0.0028"
    assert latest["usage"] == {"prompt_tokens": 1000, "completion_tokens": 100}


def test_totals_equal_the_records_they_are_made_of() -> None:
    records = list(month(NOW))

    totals = report(MadeLedger(records)).totals

    assert totals.requests == len(records)
    assert Decimal(totals.list_cost) == sum(record.cost.list_cost or 0 for record in records)


def test_no_usage_is_a_zero_sum() -> None:
    totals = report(MadeLedger()).totals

    assert (totals.requests, totals.list_cost) == (0, "0")
