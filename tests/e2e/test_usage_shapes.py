"""Whatever OpenAI tells of a usage, and however wrong: the ledger is right, or it says that it does not know."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from exchanges import ask, bearer
from json_patch import patched
from ledger_check import KINDS, by_event_id, units_of
from openai_proxy.api.permissions import PERMISSIONS
from recorded_exchanges import EXCHANGES, Exchange
from serving import CountingUpstream, Serving, serving
from usage_faults import Fault, faults
from usage_shapes import CIRCUMSTANCES, SHAPES, UNTOLD, Shape

pytestmark = pytest.mark.e2e

_AT_ONCE = 8
_MOST_TOKENS = 10**9
_UNMETERED = [
    one
    for one in EXCHANGES
    if one.name in {"background", "batch", "vector store", "container", "fine-tuning job"} and not one.made
]
_NAMES = [shape.name for shape in SHAPES]


@dataclass(frozen=True, slots=True)
class Ledger:
    """The records of every shape, as it should be and with each fault; and what the process left behind.

    `untold`: of answers that tell nothing; `unmetered`: of what cannot be estimated either.
    """

    as_told: Mapping[str, Mapping[str, Any]]
    untold: Mapping[str, Mapping[str, Any]]
    unmetered: Mapping[str, Mapping[str, Any]]
    faulty: Mapping[str, Sequence[tuple[Fault, Mapping[str, Any]]]]
    log: str
    dead_letters: int


@pytest.fixture(scope="module")
def ledger(upstream: CountingUpstream) -> Ledger:
    asked: list[tuple[Exchange, Fault | None]] = [
        (shape.exchange, None) for shape in (*SHAPES, *CIRCUMSTANCES, *UNTOLD)
    ]
    asked += [(exchange, None) for exchange in _UNMETERED]
    asked += [(shape.exchange, fault) for shape in SHAPES for fault in faults(shape)]
    with serving(upstream) as proxy:
        proxy.allow_team("research", *PERMISSIONS)
        key = proxy.add_user("alice", "--team", "research")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            ids = list(pool.map(lambda one: _asked(proxy, key, *one), asked))
        records = by_event_id(proxy.all_finished())
        log, dead_letters = proxy.stderr.read_text() + proxy.stdout.read_text(), proxy.dead_letters()
    found = [(exchange.name, fault, records[one]) for (exchange, fault), one in zip(asked, ids, strict=True)]
    right = {name: record for name, fault, record in found if fault is None}
    return Ledger(
        as_told={shape.name: right[shape.name] for shape in (*SHAPES, *CIRCUMSTANCES)},
        untold={shape.name: right[shape.name] for shape in UNTOLD},
        unmetered={exchange.name: right[exchange.name] for exchange in _UNMETERED},
        faulty={
            wanted: [(fault, record) for name, fault, record in found if fault and name == wanted] for wanted in _NAMES
        },
        log=log,
        dead_letters=dead_letters,
    )


def _asked(proxy: Serving, key: str, exchange: Exchange, fault: Fault | None) -> str:
    """Send it; the id of the request."""
    more = {"x_upstream_orders": exchange.orders} if exchange.orders else {}
    more |= {"x_upstream_usage": json.dumps(fault.patch)} if fault else {}
    headers = bearer(key, **more) | {"content-type": exchange.content_type}
    got = ask(proxy.base_url, exchange.method, exchange.path, headers=headers, body=exchange.body)
    event_id = got.header("x-openai-proxy-request-id")
    assert got.status == 200
    assert event_id
    return event_id


@pytest.mark.parametrize("shape", [*SHAPES, *CIRCUMSTANCES], ids=lambda shape: shape.name)
def test_what_is_told_is_in_the_ledger_to_the_unit_and_the_cent(ledger: Ledger, shape: Shape) -> None:
    record, usage = ledger.as_told[shape.name], shape.reply.usage

    assert record["usage_source"] == "reported"
    assert record["usage"] == shape.told["usage"]
    assert [record[column] or 0 for column in KINDS.values()] == list(usage.tokens().values())
    told = units_of(record)
    assert {unit: told.get(unit, 0) for unit in usage.units} == usage.units
    assert record["unpriced_reason"] is None
    assert Decimal(record["list_cost"]) == shape.cost


@pytest.mark.parametrize("shape", UNTOLD, ids=lambda shape: shape.name)
def test_what_no_answer_tells_is_estimated_from_the_request_and_the_sound(ledger: Ledger, shape: Shape) -> None:
    record, billed = ledger.untold[shape.name], shape.reply.usage

    assert record["usage_source"] == "estimated"
    counted = {column: record[column] or 0 for column in ("input_tokens", "output_tokens")}
    assert counted == pytest.approx({"input_tokens": billed.input, "output_tokens": billed.output}, rel=0.05, abs=3)
    told = units_of(record)
    assert {unit: float(told.get(unit, 0)) for unit in billed.units} == pytest.approx(billed.units, rel=0.01)
    assert float(record["list_cost"]) == pytest.approx(float(shape.cost), rel=0.05)


@pytest.mark.parametrize("name", [exchange.name for exchange in _UNMETERED])
def test_what_nothing_tells_is_recorded_as_not_known(ledger: Ledger, name: str) -> None:
    record = ledger.unmetered[name]

    assert (record["usage_source"], record["list_cost"], record["priced"]) == ("unknown", None, False)
    assert record["unpriced_reason"]


@pytest.mark.parametrize("shape", SHAPES, ids=_NAMES)
def test_a_usage_with_something_wrong_is_recorded_as_told_or_as_not_known(ledger: Ledger, shape: Shape) -> None:
    wrong = [
        f"{fault}: {problem}"
        for fault, record in ledger.faulty[shape.name]
        for problem in _problems(shape, fault, record)
    ]

    assert wrong == []


def _problems(shape: Shape, fault: Fault, record: Mapping[str, Any]) -> Iterator[str]:
    """What a record says that it should not."""
    told = patched(shape.told, fault.patch)
    source, usage = record["usage_source"], told.get("usage")
    if isinstance(usage, dict) and usage:
        if fault.is_json and (source != "reported" or record["usage"] != usage):
            yield f"the usage that was told is not in the record, which is {source}"
    elif source == "reported":
        yield "reported, and nothing was told"
    yield from _costs_amiss(shape, fault, record)
    if source == "reported":
        yield from _counts_amiss(shape, fault, record)


def _costs_amiss(shape: Shape, fault: Fault, record: Mapping[str, Any]) -> Iterator[str]:
    if record["list_cost"] is None:
        if record["priced"] or not record["unpriced_reason"]:
            yield "no cost, and no reason"
        return
    cost = Decimal(record["list_cost"])
    if cost < 0 or not record["priced"]:
        yield f"priced {record['priced']} at {cost}"
    if not fault.is_honest and cost < shape.cost:
        yield f"{cost} is less than {shape.cost}"


def _counts_amiss(shape: Shape, fault: Fault, record: Mapping[str, Any]) -> Iterator[str]:
    """A count is the one that was told, or none; what was told rightly of others is not lost."""
    right = dict(zip(KINDS.values(), shape.reply.usage.tokens().values(), strict=True))
    for column, count in right.items():
        had = record[column]
        if had is not None and not 0 <= had <= _MOST_TOKENS:
            yield f"{column} is {had}"
        if not fault.is_honest and had not in {None, count}:
            yield f"{column} is {had}, not {count}"
    for unit, quantity in units_of(record).items():
        if not 0 <= quantity <= _MOST_TOKENS:
            yield f"{quantity} {unit}"


def test_nothing_went_wrong_inside(ledger: Ledger) -> None:
    lines = [line for line in ledger.log.splitlines() if "Traceback" in line or '"ERROR"' in line or "Error" in line]

    assert lines == []
    assert ledger.dead_letters == 0


def test_every_fault_was_tried_in_json_and_in_a_stream(ledger: Ledger) -> None:
    tried = {(shape.exchange.path, "stream" in shape.name) for shape in SHAPES}

    assert tried >= {(path, stream) for path in _METERED for stream in (False, True)}
    assert sum(map(len, ledger.faulty.values())) > 2500


_METERED = {
    "/chat/completions",
    "/completions",
    "/responses",
    "/images/generations",
    "/images/edits",
    "/audio/transcriptions",
}
