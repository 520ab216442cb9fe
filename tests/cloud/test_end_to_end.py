"""The whole pipeline on Google's emulators: nothing lost, nothing twice, whatever fails for a while."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cloud_serving import CloudServing, cloud_serving
from emulators import BigQueryEmulator, PubsubEmulator
from ledger_check import assert_ledger_equals, assert_nothing_is_open, by_event_id
from serving import CountingUpstream, wait_for

pytestmark = pytest.mark.cloud

_OUTAGE_SECONDS = 20


def assert_nothing_is_lost_or_twice(cloud: CloudServing) -> list[dict[str, Any]]:
    records = cloud.all_finished()
    assert_nothing_is_open(records)
    assert_ledger_equals(cloud.upstream.served(), records)
    return records


def test_the_ledger_and_the_page_equal_what_the_upstream_served(
    tmp_path: Path, upstream: CountingUpstream, pubsub: PubsubEmulator, bigquery: BigQueryEmulator
) -> None:
    with cloud_serving(tmp_path, upstream, pubsub, bigquery) as cloud:
        outcomes = cloud.calls(100)

        records = assert_nothing_is_lost_or_twice(cloud)
        report = cloud.log_json()
        dead_letters = cloud.dead_letters()

    assert any(one.get("aborted") for one in outcomes)
    assert {"reported", "estimated"} <= Counter(record["usage_source"] for record in records).keys()
    assert report["totals"]["requests"] == len(records)
    assert report["totals"]["output_tokens"] == sum(record["output_tokens"] or 0 for record in records)
    assert Decimal(report["totals"]["list_cost"]) == sum(Decimal(record["list_cost"] or 0) for record in records)
    assert dead_letters == []


def test_each_message_delivered_three_times_counts_once(
    tmp_path: Path, upstream: CountingUpstream, pubsub: PubsubEmulator, bigquery: BigQueryEmulator
) -> None:
    with cloud_serving(tmp_path, upstream, pubsub, bigquery, deliveries=3) as cloud:
        cloud.calls(30)

        assert_nothing_is_lost_or_twice(cloud)


def test_a_sink_that_fails_for_a_while_loses_nothing(
    tmp_path: Path, upstream: CountingUpstream, pubsub: PubsubEmulator, bigquery: BigQueryEmulator
) -> None:
    with cloud_serving(tmp_path, upstream, pubsub, bigquery, backoff=False) as cloud:
        cloud.stop("usage_sink")
        cloud.start("usage_sink", USAGE_STORE_URL="bigquery://demo/no_such_dataset/usage_records")
        cloud.calls(30)
        letters = wait_for("something to be given up", cloud.dead_letters)
        cloud.stop("usage_sink")
        cloud.start("usage_sink")

        assert {letter["reason"] for letter in letters} == {"not acknowledged in 5 deliveries; the sink's log says why"}
        assert "cannot be written now" in cloud.log("usage_sink").read_text()
        wait_for("what was given up to come back", lambda: not _replayed(cloud) and cloud.all_finished())
        assert_nothing_is_lost_or_twice(cloud)


def test_bigquery_down_for_a_while_loses_nothing(
    tmp_path: Path, upstream: CountingUpstream, pubsub: PubsubEmulator, bigquery: BigQueryEmulator
) -> None:
    with cloud_serving(tmp_path, upstream, pubsub, bigquery, backoff=False) as cloud:
        bigquery.stop()
        try:
            cloud.calls(30)
            time.sleep(_OUTAGE_SECONDS)
        finally:
            bigquery.start()

        wait_for("what was given up to come back", lambda: not _replayed(cloud) and cloud.all_finished())
        assert_nothing_is_lost_or_twice(cloud)


def test_pubsub_down_during_load_loses_nothing_since_replay_brings_the_logged_events_back(
    tmp_path: Path, upstream: CountingUpstream, pubsub: PubsubEmulator, bigquery: BigQueryEmulator
) -> None:
    with cloud_serving(tmp_path, upstream, pubsub, bigquery) as cloud:
        with cloud.calling(60) as process:
            wait_for("the load to begin", lambda: len(upstream.served()) > 5)
            pubsub.freeze()
            try:
                time.sleep(_OUTAGE_SECONDS)
            finally:
                pubsub.thaw()
            output, _ = process.communicate(timeout=120)
        outcomes = [json.loads(line) for line in output.splitlines()]
        assert len(outcomes) == 60
        assert [one for one in outcomes if "unexpected" in one] == []

        replayed = cloud.cli("replay", str(cloud.log("proxy")))

        assert int(replayed.split()[1]) > 0
        assert_nothing_is_lost_or_twice(cloud)


def test_a_poison_message_becomes_a_dead_letter_and_blocks_nobody(
    tmp_path: Path, upstream: CountingUpstream, pubsub: PubsubEmulator, bigquery: BigQueryEmulator
) -> None:
    with cloud_serving(tmp_path, upstream, pubsub, bigquery) as cloud:
        poison = base64.b64encode(b"this is no usage event").decode()
        pubsub.publish(cloud.topic, {"data": poison}, {"attributes": {"without": "data"}})
        cloud.calls(10)

        assert_nothing_is_lost_or_twice(cloud)
        letters = wait_for("both dead letters", lambda: found if len(found := cloud.dead_letters()) == 2 else None)

        reasons = {letter["data"]: (letter["attempts"], letter["reason"]) for letter in letters}
        assert reasons["this is no usage event"] == (1, "a usage event must be one JSON object; this is not JSON")
        assert reasons[""] == (1, "a usage event must be one JSON object; this is not JSON")


def test_an_event_that_only_the_log_has_comes_back_as_a_log_entry(
    tmp_path: Path, upstream: CountingUpstream, pubsub: PubsubEmulator, bigquery: BigQueryEmulator
) -> None:
    """What a Cloud Logging sink publishes: the whole LogEntry around the line that the proxy wrote."""
    with cloud_serving(tmp_path, upstream, pubsub, bigquery, PUBLISH_TIMEOUT_SECONDS="1") as cloud:
        pubsub.freeze()
        try:
            cloud.calls(3)
        finally:
            pubsub.thaw()
        lines = [json.loads(line) for line in cloud.log("proxy").read_text().splitlines() if '"usage_event"' in line]
        assert lines
        for number, line in enumerate(lines):
            severity = line.pop("severity")
            entry = {"insertId": str(number), "logName": "projects/demo/logs/run.googleapis.com%2Fstderr"}
            entry |= {"severity": severity, "jsonPayload": line, "timestamp": "2026-11-23T12:00:00Z"}
            pubsub.publish(cloud.topic, {"data": base64.b64encode(json.dumps(entry).encode()).decode()})

        records = assert_nothing_is_lost_or_twice(cloud)
        assert {line["usage_event"]["event_id"] for line in lines} <= by_event_id(records).keys()


def _replayed(cloud: CloudServing) -> int:
    """How many dead letters were sent on their way again."""
    count: int = json.loads(cloud.cli("dead-letters", "replay", "--json"))["replayed"]
    return count
