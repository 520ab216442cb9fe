"""Prices that come later, on the ledger in BigQuery: the commands as an owner gives them."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from emulators import PROJECT, CloudLedger
from made_usage import usage_record
from openai_proxy.adapters.bigquery_store import BigQueryStore
from openai_proxy.cli import main
from openai_proxy.pricing.priced import priced
from openai_proxy.records import ListCost, UsageRecord

pytestmark = pytest.mark.cloud

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NO_PRICE = ListCost(list_cost=None, priced=False, unpriced_reason="no price is known for this model")


def record(event_id: str, cost: ListCost | None = None, **event: Any) -> UsageRecord:
    made = usage_record(event_id, NOON + timedelta(minutes=int(event_id)), "ada")
    asked = replace(made.event, **event)
    found = priced(asked)
    return replace(made, event=asked, tokens=found.tokens, units=found.units, cost=cost or found.cost)


def test_what_had_no_price_is_found_and_priced_again(
    empty_cloud_ledger: CloudLedger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.closing(BigQueryStore(PROJECT, empty_cloud_ledger.dataset, "usage_records")) as store:
        store.add([record("1", NO_PRICE), record("2"), record("3", NO_PRICE)])
        store.add([record("4", NO_PRICE, event_type="started", usage=None, usage_source="unknown")])
    monkeypatch.setenv("USAGE_STORE_URL", empty_cloud_ledger.url)

    def run(*arguments: str) -> tuple[int, Any]:
        status = main([*arguments, "--json"])
        return status, json.loads(capsys.readouterr().out)

    status, found = run("prices", "check")
    assert (status, [(one["model"], one["requests"], one["remedy"]) for one in found]) == (
        1,
        [("gpt-4.1", 2, "reprice")],
    )
    assert (found[0]["first_time"], found[0]["last_event_id"]) == ("2026-11-23T12:01:00.000Z", "3")

    for _ in range(2):  # a second run finds nothing more to do
        status, (model,) = run("reprice", "--since", "2026-11-23", "--until", "2026-11-24")
        assert (status, model["records"], model["new_list_cost"], model["unpriced"]) == (0, 3, "0.0084", 0)

    assert run("prices", "check") == (0, [])
    stored = [(row["event_id"], row["price_revision"], row["list_cost"]) for row in empty_cloud_ledger.stored()]
    cost = Decimal("0.0028")
    assert sorted(stored, key=str) == [
        ("1", 0, None),
        ("1", 1, cost),
        ("2", 0, cost),
        ("3", 0, None),
        ("3", 1, cost),
        ("4", 0, None),
    ]
