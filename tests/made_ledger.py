"""The embedded ledger with made-up records in it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from openai_proxy.adapters.sqlite_ledger import SqliteLedger
from openai_proxy.adapters.sqlite_store import SqliteStore
from openai_proxy.ports import NEWEST_FIRST, GroupBy, Latency, Order, Selection, UsageTotal
from openai_proxy.records import UsageRecord


class MadeLedger(SqliteLedger):
    """A ledger in a file that goes with it, and notes whose records it was asked for; a broken one is no database."""

    def __init__(self, records: Sequence[UsageRecord] = (), *, broken: bool = False) -> None:
        folder = tempfile.mkdtemp(prefix="made-ledger-")
        weakref.finalize(self, shutil.rmtree, folder)
        self.path = Path(folder) / "ledger.sqlite3"
        self.asked_user_ids: list[str | None] = []
        super().__init__(self.path)
        if broken:
            self.path.write_bytes(b"this is no database" * 100)
        elif records:
            with contextlib.closing(SqliteStore(self.path)) as store:
                assert store.add(records) == {}

    def records(
        self, selection: Selection, *, limit: int | None, offset: int = 0, order: Order = NEWEST_FIRST
    ) -> Iterator[Mapping[str, Any]]:
        self.asked_user_ids.append(selection.user_id)
        return super().records(selection, limit=limit, offset=offset, order=order)

    def totals(self, selection: Selection, *, by: Sequence[GroupBy]) -> Sequence[UsageTotal]:
        self.asked_user_ids.append(selection.user_id)
        return super().totals(selection, by=by)

    def latencies(self, selection: Selection, *, by: Sequence[GroupBy]) -> Sequence[Latency]:
        self.asked_user_ids.append(selection.user_id)
        return super().latencies(selection, by=by)
