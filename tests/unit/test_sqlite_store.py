"""What only the SQLite ledger promises: its file, its locks, its schema, its failures."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from made_usage import usage_record
from openai_proxy.adapters.sqlite_store import SqliteLedger, SqliteStore
from openai_proxy.ports import Period, StoreError

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = Period(NOON - timedelta(hours=12), NOON + timedelta(hours=12))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "er" / "ledger ?#%41.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path)) as one:
        yield one


def test_folders_and_file_are_their_owners_alone(path: Path, store: SqliteStore) -> None:
    store.add([usage_record("e1", NOON, "ada")])

    def mode(of: Path) -> int:
        return stat.S_IMODE(of.stat().st_mode)

    assert [mode(folder) for folder in (path.parent, path.parent.parent)] == [0o700, 0o700]
    assert {mode(file) for file in path.parent.iterdir()} == {0o600}


def test_the_file_is_there_when_add_returns(path: Path, store: SqliteStore) -> None:
    store.add([usage_record("e1", NOON, "ada")])

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT event_id, list_cost, event_time FROM usage_records").fetchall() == [
            ("e1", 2_800_000, 1_795_435_200_000_000)
        ]


def test_many_threads_and_stores_lose_nothing_and_double_nothing(path: Path) -> None:
    stores = [SqliteStore(path) for _ in range(3)]

    def add(number: int) -> None:
        for count in range(20):
            stores[number % 3].add([usage_record(f"{number}-{count}", NOON, "ada")])
            stores[number % 3].add([usage_record(f"{number}-{count}", NOON, "ada"), usage_record("same", NOON, "ada")])

    threads = [threading.Thread(target=add, args=(number,)) for number in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in stores:
        one.close()

    assert SqliteLedger(path).totals(DAY, user_id=None, by=[])[0].requests == 9 * 20 + 1


WRITER = """
import sys
sys.path[:0] = [sys.argv[1]]
from datetime import datetime
from pathlib import Path
from made_usage import usage_record
from openai_proxy.adapters.sqlite_store import SqliteStore
store = SqliteStore(Path(sys.argv[2]))
for number in range(30):
    store.add([usage_record(f"{sys.argv[3]}-{number}", datetime.fromisoformat(sys.argv[4]), "ada")])
"""


def test_several_processes_make_and_write_one_file_at_once(path: Path) -> None:
    tests = str(Path(__file__).parents[1])
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, tests, str(path), str(number), NOON.isoformat()])
        for number in range(3)
    ]

    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert SqliteLedger(path).totals(DAY, user_id=None, by=[])[0].requests == 90


def test_a_ledger_of_an_older_version_gets_the_columns_it_lacks(path: Path, store: SqliteStore) -> None:
    store.add([usage_record("old", NOON, "ada")])
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE usage_records DROP COLUMN upstream_ms")
        connection.execute("ALTER TABLE usage_records DROP COLUMN stored_time")

    before = list(SqliteLedger(path).records(DAY, user_id=None, limit=None))
    store.add([usage_record("new", NOON, "ada")])
    after = list(SqliteLedger(path).records(DAY, user_id=None, limit=None))

    assert [(row["event_id"], row["stored_time"]) for row in before] == [("old", None)]
    assert [(row["event_id"], row["stored_time"]) for row in after] == [("old", None), ("new", NOON)]


def test_a_reader_sees_a_ledger_that_is_being_written(path: Path, store: SqliteStore) -> None:
    store.add([usage_record(f"e{number}", NOON, "ada") for number in range(3)])
    rows = SqliteLedger(path).records(DAY, user_id=None, limit=None)
    next(rows)

    store.add([usage_record("later", NOON, "ada")])

    assert len(list(rows)) == 2


def test_a_locked_file_says_what_to_do_and_writes_again_later(path: Path, store: SqliteStore) -> None:
    store.check()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreError, match=r"cannot be written now \(database is locked\)"):
            store.add([usage_record("e1", NOON, "ada")])

    assert store.add([usage_record("e1", NOON, "ada")]) == {}


def test_a_file_that_is_no_ledger_can_be_neither_written_nor_read(path: Path, store: SqliteStore) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("no database " * 100)

    with pytest.raises(StoreError, match="cannot be written now"):
        store.check()
    with pytest.raises(StoreError, match="cannot be read now"):
        SqliteLedger(path).check()
    with pytest.raises(StoreError, match="cannot be read now"):
        list(SqliteLedger(path).records(DAY, user_id=None, limit=None))


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="see that its folder is there"):
        SqliteStore(tmp_path / "file" / "ledger.db").check()


def test_closing_a_store_that_was_never_opened_does_nothing(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "ledger.db").close()

    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_middle_of_a_commit_keeps_nothing_of_it(path: Path, store: SqliteStore) -> None:
    store.check()
    with closing(sqlite3.connect(path)) as other:
        other.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON usage_records WHEN new.event_id = 'bad'"
            " BEGIN SELECT raise(ABORT, 'refused'); END"
        )

    with pytest.raises(StoreError, match="refused"):
        store.add([usage_record("good", NOON, "ada"), usage_record("bad", NOON, "ada")])

    assert SqliteLedger(path).totals(DAY, user_id=None, by=[])[0].requests == 0
