"""Without a login to Google Cloud each engine says so, in the words of its port."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from made_usage import usage_record
from openai_proxy.adapters.bigquery_ledger import BigQueryLedger
from openai_proxy.adapters.bigquery_store import BigQueryStore
from openai_proxy.adapters.pubsub import PubsubDeadLetterBox, PubsubDeadLetters, PubsubQueue
from openai_proxy.period import Period
from openai_proxy.ports import QueueError, Selection, StoreError

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
RECORD = usage_record("e1", NOON, "ada")
PERIOD = Period(NOON, NOON + timedelta(days=1))
ALL = Selection(period=PERIOD)


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "no-such-file"))
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)
    monkeypatch.delenv("BIGQUERY_EMULATOR_HOST", raising=False)


def test_the_queue_accepts_nothing() -> None:
    async def scene() -> None:
        queue = PubsubQueue("project", "topic", 10)
        with pytest.raises(QueueError, match="DefaultCredentialsError"):
            await queue.publish(RECORD.event)
        with pytest.raises(QueueError, match="DefaultCredentialsError"):
            await queue.check()
        await queue.close()

    asyncio.run(scene())


def test_dead_letters_are_neither_kept_nor_read() -> None:
    with pytest.raises(QueueError, match="DefaultCredentialsError"):
        PubsubDeadLetters("project", "topic").add(b"x", "why")
    with contextlib.closing(PubsubDeadLetterBox("project", "letters", topic_project="project", topic="topic")) as box:
        for call in (box.dead_letters, lambda: box.replay(NOON)):
            with pytest.raises(QueueError, match="DefaultCredentialsError"):
                call()


def test_the_ledger_is_neither_written_nor_read() -> None:
    store, ledger = BigQueryStore("project", "dataset", "table"), BigQueryLedger("project", "dataset", "table")
    calls: list[Callable[[], object]] = [
        lambda: store.add([RECORD]),
        store.check,
        lambda: list(ledger.records(ALL, limit=1)),
        lambda: ledger.totals(ALL, by=["day"]),
        lambda: ledger.unpriced(PERIOD),
        lambda: ledger.revisions("e1", PERIOD),
        ledger.check,
    ]

    for call in calls:
        with pytest.raises(StoreError, match="DefaultCredentialsError"):
            call()
    store.close()
    ledger.close()
