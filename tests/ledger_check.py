"""The promise, checked: the ledger equals the upstream's own count, for every user, model and kind of token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

KINDS = {
    "input": "input_tokens",
    "cached": "cache_read_input_tokens",
    "output": "output_tokens",
    "reasoning": "reasoning_output_tokens",
}
_CUT_SHORT = {"estimated", "unknown"}
Rows = Sequence[Mapping[str, Any]]
Totals = Counter[tuple[str, str, str]]


def by_event_id(records: Rows) -> dict[str, Mapping[str, Any]]:
    """The ledger's records; each request has one, and none is open."""
    doubled = [event_id for event_id, count in Counter(one["event_id"] for one in records).items() if count > 1]
    assert not doubled, f"requests with two records: {doubled}"
    return {record["event_id"]: record for record in records}


def assert_nothing_is_open(records: Rows) -> None:
    started = [record["event_id"] for record in records if record["event_type"] != "finished"]
    assert not started, f"requests whose end was never told: {started}"


def assert_ledger_equals(served: Rows, records: Rows) -> None:
    """Each request that the upstream saw has one record, and what is not an estimate is right to the token."""
    ledger = by_event_id(records)
    seen = Counter(one["event_id"] for one in served)
    assert not [event_id for event_id, count in seen.items() if count > 1], "the proxy tried a request twice"
    assert not seen.keys() - ledger.keys(), "requests that the upstream served and the ledger has not"
    for event_id in ledger.keys() - seen.keys():
        record = ledger[event_id]
        assert record["usage_source"] == "none", f"{event_id} never reached the upstream, and yet costs: {record}"
    for one in served:
        _assert_same(one, ledger[one["event_id"]])
    certain = {one["event_id"] for one in served if ledger[one["event_id"]]["usage_source"] not in _CUT_SHORT}
    assert of_upstream(one for one in served if one["event_id"] in certain) == of_ledger(
        ledger[event_id] for event_id in certain
    )


def _assert_same(one: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    label = f"{one['method']} {one['path']} {one['model']}: upstream {one}\nledger {record}"
    if one["user"] is not None:
        assert record["user_id"] == one["user"], label
    if not one["told"]:
        _assert_plausible(one, record, label)
        return
    if record["usage_source"] in _CUT_SHORT:
        assert not one["completed"] or record["client_disconnected"], f"served to its end, and not metered: {label}"
        return
    assert _counts(record, KINDS.values()) == list(one["billed"].values()), label
    told = units_of(record)
    assert {unit: told.get(unit, 0) for unit in one["units"]} == one["units"], label
    if any(one["billed"].values()) or one["units"]:
        assert record["usage_source"] == "reported", label
        assert record["response_model"] == one["response_model"], label
        assert record["priced"], label


def _assert_plausible(one: Mapping[str, Any], record: Mapping[str, Any], label: str) -> None:
    """An estimate of what no answer tells is near to what is billed, and exact in characters and seconds.

    A sound that cannot be measured is guessed from its text; `test_usage_shapes` holds the others more closely.
    """
    if not (any(one["billed"].values()) or one["units"]):
        assert record["usage_source"] in {"none", "unknown"}, label
        return
    assert record["usage_source"] in _CUT_SHORT, label
    if record["usage_source"] == "estimated":
        for kind in ("input", "output"):
            assert _near(record[KINDS[kind]] or 0, one["billed"][kind], rel=1 / 3, most=4), label
        told = units_of(record)
        for unit, quantity in one["units"].items():
            assert _near(float(told.get(unit, 0)), quantity, rel=0.0, most=1 if unit == "audio_seconds" else 0), label


def _near(counted: float, billed: float, *, rel: float, most: float) -> bool:
    return abs(counted - billed) <= max(rel * billed, most)


def units_of(record: Mapping[str, Any]) -> dict[str, Decimal]:
    """All units of a record, by name; `drawn.` are those of a model that another called."""
    return {
        f"drawn.{unit['unit']}" if unit["sku_price_id"] else unit["unit"]: Decimal(unit["quantity"])
        for unit in record["units"]
    }


def _counts(record: Mapping[str, Any], columns: Iterable[str]) -> list[int]:
    return [record[column] or 0 for column in columns]


def of_upstream(served: Iterable[Mapping[str, Any]]) -> Totals:
    """Tokens by user, model and kind, as the upstream billed them."""
    totals: Totals = Counter()
    for one in served:
        for kind, count in one["billed"].items():
            totals[one["user"] or "", one["response_model"] or "", kind] += count
    return +totals


def of_ledger(records: Iterable[Mapping[str, Any]]) -> Totals:
    """The same, as the ledger has it."""
    totals: Totals = Counter()
    for record in records:
        for kind, column in KINDS.items():
            totals[record["user_id"], record["response_model"] or "", kind] += record[column] or 0
    return +totals


def table(served: Rows, records: Rows) -> str:
    """A few lines to look at: both sides' totals, and how the usage was known."""
    sources = Counter(record["usage_source"] for record in records)
    upstream, ledger = of_upstream(served), of_ledger(records)
    lines = [
        f"{len(served)} requests served, {len(records)} records: {dict(sources)}",
        f"{'tokens':10} {'upstream':>10} {'ledger':>10} {'estimated':>10}",
    ]
    estimated = of_ledger(record for record in records if record["usage_source"] == "estimated")
    for kind in KINDS:
        sums = [sum(count for key, count in one.items() if key[2] == kind) for one in (upstream, ledger, estimated)]
        lines.append(f"{kind:10} {sums[0]:10} {sums[1]:10} {sums[2]:10}")
    return "\n".join(lines)
