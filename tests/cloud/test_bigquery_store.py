"""What is BigQuery's own about its ledger, beside the contract of all ledgers."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, cast

import pytest
from google.cloud import bigquery as google_bigquery

from emulators import PROJECT, BigQueryEmulator, CloudLedger
from made_usage import LATER_COLUMNS, usage_record
from openai_proxy.adapters.bigquery_cells import to_json_row
from openai_proxy.adapters.bigquery_ledger import BigQueryLedger
from openai_proxy.adapters.bigquery_store import BigQueryStore
from openai_proxy.period import Period
from openai_proxy.ports import Selection, StoreError
from openai_proxy.records import UsageRecord, schema

pytestmark = pytest.mark.cloud  # the emulator remembers insert ids, so no two tests add the same event

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = Period(NOON - timedelta(hours=12), NOON + timedelta(hours=12))
ALL = Selection(period=DAY)


def record(event_id: str, **event: Any) -> UsageRecord:
    made = usage_record(event_id, NOON, "ada")
    return replace(made, event=replace(made.event, **event))


@pytest.fixture
def store(empty_cloud_ledger: CloudLedger) -> Iterator[BigQueryStore]:
    with contextlib.closing(BigQueryStore(PROJECT, empty_cloud_ledger.dataset, "usage_records")) as made:
        yield made


def test_what_is_added_twice_within_a_moment_is_stored_once_thanks_to_insert_ids(
    store: BigQueryStore, empty_cloud_ledger: CloudLedger
) -> None:
    for _ in range(2):
        store.add([record("twice"), record("twice", event_type="started")])

    assert sorted(row["event_type"] for row in empty_cloud_ledger.stored()) == ["finished", "started"]


def test_an_event_id_that_is_too_long_for_an_insert_id_is_stored_all_the_same(
    store: BigQueryStore, empty_cloud_ledger: CloudLedger
) -> None:
    ids = ["x" * 127 + "1", "x" * 127 + "2"]

    assert store.add([record(event_id) for event_id in ids]) == {}

    assert sorted(row["event_id"] for row in empty_cloud_ledger.stored()) == ids


def test_a_bad_row_is_refused_with_its_reason_and_harms_none_of_those_written_with_it(
    store: BigQueryStore, empty_cloud_ledger: CloudLedger
) -> None:
    bad = record("bad", key_id=cast("str", None))
    records = [bad, *(record(f"good-{number}") for number in range(40))]

    with ThreadPoolExecutor(41) as threads:
        refused = list(threads.map(lambda one: store.add([one]), records))

    assert refused[1:] == [{}] * 40
    assert list(refused[0]) == ["bad"]
    assert "key_id: Missing required field" in refused[0]["bad"]
    assert len(empty_cloud_ledger.stored()) == 40


def test_more_rows_than_one_call_takes_go_in_several(store: BigQueryStore, empty_cloud_ledger: CloudLedger) -> None:
    records = [record(f"e{number}") for number in range(1_100)]
    records[700] = record("bad", key_id=cast("str", None))

    assert list(store.add(records)) == ["bad"]

    assert len(empty_cloud_ledger.stored()) == 1_099


def test_a_record_that_is_priced_again_within_a_moment_is_not_taken_for_a_redelivery(
    store: BigQueryStore, empty_cloud_ledger: CloudLedger
) -> None:
    store.add([record("again"), replace(record("again"), price_revision=1)])

    assert sorted(row["price_revision"] for row in empty_cloud_ledger.stored()) == [0, 1]


def test_a_row_from_before_the_later_columns_is_read_and_priced_again(
    store: BigQueryStore, empty_cloud_ledger: CloudLedger
) -> None:
    row = to_json_row(record("older").row())
    old = {name: value for name, value in row.items() if name not in LATER_COLUMNS}
    assert empty_cloud_ledger.client.insert_rows_json(empty_cloud_ledger.table, [old]) == []

    with contextlib.closing(BigQueryLedger(PROJECT, empty_cloud_ledger.dataset, "usage_records")) as ledger:
        (before,) = ledger.records(ALL, limit=None)
        assert (before["units"], before["price_revision"]) == ([], None)

        again = replace(UsageRecord.from_row(before), price_revision=1)
        store.add([again])
        assert list(ledger.records(ALL, limit=None)) == [again.row()]
        assert ledger.revisions("older", DAY) == [before, again.row()]


class CountingTable(BaseHTTPRequestHandler):
    """An insertAll that takes 100 kB a call, as BigQuery takes 10 MB; the emulators take any size."""

    calls: ClassVar[list[int]] = []
    status: ClassVar[int] = 413

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        rows = json.loads(gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)["rows"]
        too_large = len(body) > 100_000
        self.calls.append(0 if too_large else len(rows))
        answer = json.dumps({"error": {"message": "Request payload size exceeds the limit"}} if too_large else {})
        self.send_response(self.status if too_large else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(params=[400, 413])
def counting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQueryStore]:
    monkeypatch.setattr(CountingTable, "calls", [])
    monkeypatch.setattr(CountingTable, "status", request.param)
    with ThreadingHTTPServer(("127.0.0.1", 0), CountingTable) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        with contextlib.closing(BigQueryStore(PROJECT, "dataset", "usage_records")) as store:
            yield store
        server.shutdown()


def test_rows_that_are_too_large_together_go_in_halves(counting: BigQueryStore) -> None:
    assert counting.add([record(f"e{number}", usage={"x": "y" * 30_000}) for number in range(8)]) == {}

    assert CountingTable.calls == [0, 0, 2, 2, 0, 2, 2]


def test_a_row_that_is_too_large_alone_is_refused(counting: BigQueryStore) -> None:
    records = [record("fine"), record("huge", usage={"x": "y" * 110_000}), record("as fine")]

    refused = counting.add(records)

    assert list(refused) == ["huge"]
    assert "exceeds the limit" in refused["huge"]


def test_a_table_without_one_of_the_columns_is_told_as_such_and_refuses_no_record_for_good(
    bigquery: BigQueryEmulator, empty_cloud_ledger: CloudLedger
) -> None:
    columns = [google_bigquery.SchemaField.from_api_repr(dict(column)) for column in schema()]
    older = [column for column in columns if column.name != "duration_ms"]
    with contextlib.closing(bigquery.client()) as client:
        client.create_table(google_bigquery.Table(f"{PROJECT}.{empty_cloud_ledger.dataset}.older", schema=older))

    with contextlib.closing(BigQueryStore(PROJECT, empty_cloud_ledger.dataset, "older")) as store:
        with pytest.raises(StoreError, match=r"no such field: duration_ms.*terraform apply"):
            store.add([record("e1")])
        with pytest.raises(StoreError, match="lacks duration_ms; terraform apply"):
            store.check()


@pytest.mark.usefixtures("empty_cloud_ledger")
def test_a_dataset_that_is_not_there_is_named() -> None:
    with contextlib.closing(BigQueryStore(PROJECT, "no_such_dataset", "usage_records")) as store:
        for call in (lambda: store.add([record("e1")]), store.check):
            with pytest.raises(StoreError, match=r"no_such_dataset\.usage_records cannot be written now"):
                call()
    with contextlib.closing(BigQueryLedger(PROJECT, "no_such_dataset", "usage_records")) as ledger:
        for read in (
            lambda: list(ledger.records(ALL, limit=None)),
            lambda: ledger.totals(ALL, by=[]),
            ledger.check,
        ):
            with pytest.raises(StoreError, match=r"the ledger demo\.no_such_dataset\.usage cannot be read now"):
                read()


def test_a_service_that_cannot_be_reached_is_an_error_and_not_ten_minutes_of_trying(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:1")

    with (
        contextlib.closing(BigQueryStore(PROJECT, "dataset", "usage_records")) as store,
        pytest.raises(StoreError, match="cannot be written now"),
    ):
        store.add([record("e1")])


def test_a_limit_of_bytes_goes_with_each_question(store: BigQueryStore, empty_cloud_ledger: CloudLedger) -> None:
    store.add([record("limited")])

    with contextlib.closing(
        BigQueryLedger(PROJECT, empty_cloud_ledger.dataset, "usage_records", max_query_bytes=10_000_000)
    ) as ledger:
        ledger.check()
        assert ledger.totals(ALL, by=[])[0].requests == 1  # the emulator reads it, and holds to no limit
