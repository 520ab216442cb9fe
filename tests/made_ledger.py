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
from openai_proxy.period import Period
from openai_proxy.ports import GroupBy, Tag, UsageTotal
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
        self, period: Period, *, user_id: str | None, limit: int | None, tag: Tag | None = None
    ) -> Iterator[Mapping[str, Any]]:
        self.asked_user_ids.append(user_id)
        return super().records(period, user_id=user_id, limit=limit, tag=tag)

    def totals(
        self, period: Period, *, user_id: str | None, by: Sequence[GroupBy], tag: Tag | None = None
    ) -> Sequence[UsageTotal]:
        self.asked_user_ids.append(user_id)
        return super().totals(period, user_id=user_id, by=by, tag=tag)
