"""What only the SQLite ledger promises: its file, its locks, its schema, its failures."""

from __future__ import annotations

import re
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from string import Template

import pytest

from made_usage import LATER_COLUMNS, usage_record
from openai_proxy.adapters.sqlite_ledger import SqliteLedger
from openai_proxy.adapters.sqlite_store import SqliteStore
from openai_proxy.period import Period
from openai_proxy.ports import GroupBy, Selection, Spend, SpendQuestion, StoreError, Tag, TagValues

ROOT = Path(__file__).parents[2]
QUERIES = ROOT / "src" / "openai_proxy" / "queries" / "sqlite"
REPORTING = (ROOT / "docs" / "reporting.md").read_text()
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = Period(NOON - timedelta(hours=12), NOON + timedelta(hours=12))
ALL = Selection(period=DAY)


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

    assert SqliteLedger(path).totals(ALL, by=[])[0].requests == 9 * 20 + 1


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
    assert SqliteLedger(path).totals(ALL, by=[])[0].requests == 90


@pytest.fixture
def older(path: Path, store: SqliteStore) -> Path:
    """A file as the first version wrote it, or one before, with one record."""
    store.add([usage_record("old", NOON, "ada")])
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        for name in ("insert", "replace", "replaced", "delete"):
            connection.execute(f"DROP TRIGGER usage_days_{name}")
        for table in ("usage_record_revisions", "usage_days"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DROP INDEX usage_records_open")
        for name in ("user", "team", "time"):
            connection.execute(f"DROP INDEX usage_records_spent_by_{name}")
        connection.execute("CREATE INDEX usage_records_by_user ON usage_records (user_id, event_time)")
        for column in (*LATER_COLUMNS, "upstream_ms", "stored_time"):
            connection.execute(f"ALTER TABLE usage_records DROP COLUMN {column}")
    return path


def test_a_ledger_of_an_older_version_is_read_as_it_is(older: Path) -> None:
    ledger = SqliteLedger(older)

    (row,) = ledger.records(ALL, limit=None)
    assert (row["event_id"], row["stored_time"], row["units"], row["price_revision"]) == ("old", None, [], None)
    assert ledger.revisions("old", DAY) == [row]
    assert ledger.unpriced(DAY) == []
    assert ledger.totals(ALL, by=[])[0].requests == 1
    question = SpendQuestion(scope_kind="user", scope_name="ada", since=DAY.since, own_since=NOON)
    spend = ledger.spend([question], instance_id="instance-1", active_since=DAY.since)
    assert spend == Spend(amounts=(Decimal("0.0028"),), other_instances=0)


def test_what_an_older_version_did_not_keep_is_no_group_and_nothing_to_choose_by(older: Path) -> None:
    ledger = SqliteLedger(older)

    unknown: tuple[GroupBy, ...] = ("end_user", TagValues("project"))
    for by in unknown:
        assert [total.group for total in ledger.totals(ALL, by=[by])] == [(None,)]
    assert list(ledger.records(Selection(period=DAY, tag=Tag("project", "apollo")), limit=None)) == []


def test_a_ledger_of_an_older_version_gets_what_it_lacks_and_goes_on(older: Path, store: SqliteStore) -> None:
    (before,) = SqliteLedger(older).records(ALL, limit=None)
    new, again = usage_record("new", NOON, "ada"), replace(usage_record("old", NOON, "ada"), price_revision=1)

    store.add([new, usage_record("old", NOON, "ada")])
    assert list(SqliteLedger(older).records(ALL, limit=None)) == [before, new.row()]

    store.add([again])
    assert list(SqliteLedger(older).records(ALL, limit=None)) == [again.row(), new.row()]
    assert SqliteLedger(older).revisions("old", DAY) == [before, again.row()]


@pytest.mark.parametrize("scope", ["AND user_id = :name", "AND team_id = :name", ""])
def test_what_was_spent_is_read_from_an_index_alone(older: Path, store: SqliteStore, scope: str) -> None:
    """Also in a file whose tables an older version made."""
    store.check()
    query = Template((QUERIES / "spend.sql").read_text()).substitute(
        of_scope=scope, reserved_cost="reserved_cost", instance_id="instance_id"
    )
    values = {"since": 0, "name": "ada", "instance_id": "instance-1", "own_since": 0}

    with closing(sqlite3.connect(older)) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]

    assert "COVERING INDEX usage_records_spent_by_" in plan[0]


def test_what_each_unit_cost_is_one_query(path: Path, store: SqliteStore) -> None:
    query = re.findall(r"```sql\n(SELECT[^`]*json_each[^`]*)```", REPORTING)
    store.add([usage_record(f"e{number}", NOON, "ada") for number in range(3)])

    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(query[0]).fetchall()

    assert rows == [
        ("2026-11-23", "gpt-4.1", "cache_read_tokens", 600, 0),
        ("2026-11-23", "gpt-4.1", "input_tokens", 3000, 0.006),
        ("2026-11-23", "gpt-4.1", "output_tokens", 300, 0.0024),
    ]


def test_a_reader_sees_a_ledger_that_is_being_written(path: Path, store: SqliteStore) -> None:
    store.add([usage_record(f"e{number}", NOON, "ada") for number in range(3)])
    rows = SqliteLedger(path).records(ALL, limit=None)
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
        list(SqliteLedger(path).records(ALL, limit=None))


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

    assert SqliteLedger(path).totals(ALL, by=[])[0].requests == 0


def test_a_revision_that_cannot_be_kept_leaves_the_record_as_it_is(path: Path, store: SqliteStore) -> None:
    record = usage_record("e1", NOON, "ada")
    store.add([record])
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TRIGGER refuse BEFORE UPDATE ON usage_records BEGIN SELECT raise(ABORT, 'refused'); END")

    with pytest.raises(StoreError, match="refused"):
        store.add([replace(record, price_revision=1)])

    assert SqliteLedger(path).revisions("e1", DAY) == [record.row()]
