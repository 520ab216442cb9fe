"""The embedded ledger with made-up records in it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path

from openai_proxy.adapters.sqlite_ledger import SqliteLedger
from openai_proxy.adapters.sqlite_store import SqliteStore
from openai_proxy.records import UsageRecord


class MadeLedger(SqliteLedger):
    """A ledger in a file that goes with it; a broken one is no database."""

    def __init__(self, records: Sequence[UsageRecord] = (), *, broken: bool = False) -> None:
        folder = tempfile.mkdtemp(prefix="made-ledger-")
        weakref.finalize(self, shutil.rmtree, folder)
        self.path = Path(folder) / "ledger.sqlite3"
        super().__init__(self.path)
        if broken:
            self.path.write_bytes(b"this is no database" * 100)
        elif records:
            with contextlib.closing(SqliteStore(self.path)) as store:
                assert store.add(records) == {}
