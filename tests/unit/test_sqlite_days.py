"""The roll-up of the embedded ledger comes to what its records come to, whoever writes them; and sums need no more."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_engines import finished, revised, started
from openai_proxy.adapters.sqlite_days import source
from openai_proxy.adapters.sqlite_ledger import SqliteLedger
from openai_proxy.adapters.sqlite_queries import query
from openai_proxy.adapters.sqlite_selection import conditions, group_values, groups, values
from openai_proxy.adapters.sqlite_store import SqliteStore
from openai_proxy.period import Period
from openai_proxy.ports import SUMS, GroupBy, Selection
from openai_proxy.records import UsageRecord

MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ALL = Selection(period=Period(MIDNIGHT - 9 * DAY, MIDNIGHT + 9 * DAY))
GROUPS: tuple[GroupBy, ...] = ("day", "user", "team", "key", "model", "operation", "status")


def rolled_up(path: Path, selection: Selection = ALL) -> Mapping[tuple[str | None, ...], Mapping[str, Any]]:
    """The sums by all that the roll-up tells apart, by group."""
    totals = SqliteLedger(path).totals(selection, by=GROUPS)
    return {one.group: {name: getattr(one, name) for name in SUMS} for one in totals}


def one_by_one(path: Path, selection: Selection = ALL) -> Mapping[tuple[str | None, ...], Mapping[str, Any]]:
    """The same, worked out here of each record."""
    sums: dict[tuple[str | None, ...], dict[str, Any]] = defaultdict(lambda: dict.fromkeys(SUMS, 0))
    for row in SqliteLedger(path).records(selection, limit=None):
        failed = row["error_type"] is not None or (row["http_status_code"] or 0) >= 400
        status = "open" if row["event_type"] == "started" else "error" if failed else "ok"
        model = row["request_model"] if row["response_model"] is None else row["response_model"]
        day = f"{row['event_time']:%Y-%m-%d}"
        group = sums[day, row["user_id"], row["team_id"], row["key_id"], model, row["operation_name"], status]
        counted = {
            "requests": 1,
            "unpriced": not row["priced"],
            "estimated": row["usage_source"] == "estimated",
            "open": status == "open",
            "errors": status == "error",
        }
        for name in SUMS:
            group[name] += counted.get(name, row.get(name)) or 0
    return {name: amounts | {"list_cost": _text(amounts["list_cost"])} for name, amounts in sums.items()}


def _text(amount: Decimal | int) -> str:
    return format(Decimal(amount).normalize(), "f")


REQUESTS = st.fixed_dictionaries(
    {
        "event_time": st.integers(-50, 50).map(lambda hours: MIDNIGHT + hours * HOUR),
        "user_id": st.sampled_from(["ada", "grace"]),
        "team_id": st.sampled_from([None, "", "research"]),
        "request_model": st.sampled_from([None, "", "gpt-5"]),
    }
)
ENDED = st.fixed_dictionaries(
    {
        "cost": st.sampled_from([None, "0", "0.000000001", "12.5"]),
        "response_model": st.sampled_from([None, "gpt-5-2026"]),
        "usage_source": st.sampled_from(["reported", "estimated"]),
        "http_status_code": st.sampled_from([None, 200, 429]),
        "error_type": st.sampled_from([None, "upstream_timeout"]),
    }
)
DELIVERIES = st.lists(st.tuples(st.integers(0, 5), st.none() | st.tuples(st.integers(0, 2), ENDED)), max_size=12)
SELECTIONS = st.builds(
    lambda since, hours, **chosen: Selection(period=Period(since, since + hours * HOUR), **chosen),
    st.integers(-60, 20).map(lambda hours: MIDNIGHT + hours * HOUR),
    st.integers(20, 120),
    user_id=st.sampled_from([None, "ada"]),
    team_id=st.sampled_from([None, "", "research"]),
    model=st.sampled_from([None, "", "gpt-5"]),
    status=st.sampled_from([None, "ok", "error", "open", "unpriced", "estimated"]),
)


def delivered(requests: Sequence[dict[str, Any]], number: int, ended: tuple[int, dict[str, Any]] | None) -> UsageRecord:
    """`ended` None is the started half, otherwise a finished one with its price revision."""
    request = {"event_id": f"e{number}", **requests[number]}
    if ended is None:
        return started(**request)
    revision, outcome = ended
    return revised(revision, **request, **outcome) if revision else finished(**request, **outcome)


@settings(deadline=None, max_examples=80)
@given(
    requests=st.lists(REQUESTS, min_size=6, max_size=6),
    calls=st.lists(DELIVERIES, max_size=5),
    deleted=st.sets(st.integers(0, 5), max_size=2),
    selections=st.lists(SELECTIONS, min_size=1, max_size=6),
)
def test_whatever_is_delivered_priced_again_or_deleted_the_roll_up_comes_to_what_is_there(
    requests: list[dict[str, Any]],
    calls: list[list[tuple[int, tuple[int, dict[str, Any]] | None]]],
    deleted: set[int],
    selections: list[Selection],
) -> None:
    with TemporaryDirectory() as folder, closing(SqliteStore(Path(folder) / "ledger.sqlite3")) as store:
        path = Path(folder) / "ledger.sqlite3"
        store.check()
        for call in calls:
            assert store.add([delivered(requests, number, ended) for number, ended in call]) == {}
        for selection in (ALL, *selections):
            assert rolled_up(path, selection) == one_by_one(path, selection)
        with closing(sqlite3.connect(path)) as other, other:
            other.executemany("DELETE FROM usage_records WHERE event_id = ?", [(f"e{number}",) for number in deleted])
        assert rolled_up(path) == one_by_one(path)


RECORDS = [
    *(finished(f"e{hours}", "0.1", event_time=MIDNIGHT + hours * HOUR) for hours in range(-48, 48)),
    *(started(f"open-{hours}", event_time=MIDNIGHT + hours * HOUR) for hours in (-47, 47)),
    finished("no-team", team_id=None, response_model=None, request_model=None, event_time=MIDNIGHT),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with records and without a roll-up, as an older version wrote it."""
    path = tmp_path / "ledger.sqlite3"
    with closing(SqliteStore(path)) as store:
        store.add(RECORDS)
    with closing(sqlite3.connect(path)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DROP TABLE usage_days")
        connection.execute("DROP INDEX usage_records_open")
    return path


def days(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM usage_days").fetchone()[0])


def test_a_file_without_a_roll_up_is_summed_up_all_the_same_and_gets_one_when_it_is_written(path: Path) -> None:
    before = rolled_up(path)

    assert before == one_by_one(path)
    with closing(SqliteStore(path)) as store:
        store.check()
    assert days(path) == 5
    assert rolled_up(path) == before


OPENER = """
import sys
sys.path[:0] = [sys.argv[1]]
from pathlib import Path
from ledger_engines import finished
from openai_proxy.adapters.sqlite_store import SqliteStore
print("ready", flush=True)
sys.stdin.readline()
SqliteStore(Path(sys.argv[2])).add([finished(sys.argv[3])])
"""


def test_several_that_open_such_a_file_at_once_fill_the_roll_up_once(path: Path) -> None:
    tests = str(Path(__file__).parents[1])
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, tests, str(path), f"new-{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for opener in openers:
        assert opener.stdout is not None
        assert opener.stdout.readline() == "ready\n"
    for opener in openers:
        opener.communicate("go\n", timeout=60)

    assert [opener.returncode for opener in openers] == [0, 0, 0]
    assert rolled_up(path) == one_by_one(path)
    assert sum(sums["requests"] for sums in rolled_up(path).values()) == len(RECORDS) + 3


def test_an_older_program_that_goes_on_writing_is_counted(path: Path) -> None:
    """It knows nothing of the roll-up: here, a row put in by hand."""
    with closing(SqliteStore(path)) as store:
        store.check()
    with closing(sqlite3.connect(path)) as older, older:
        older.execute("CREATE TEMP TABLE one AS SELECT * FROM usage_records LIMIT 1")
        older.execute("UPDATE one SET event_id = 'by hand'")
        older.execute("INSERT INTO usage_records SELECT * FROM one")
        older.execute("UPDATE usage_records SET user_id = 'grace' WHERE event_id = 'e3'")

    assert rolled_up(path) == one_by_one(path)
    assert sum(sums["requests"] for sums in rolled_up(path).values()) == len(RECORDS) + 1


def plan(path: Path, selection: Selection, by: Sequence[GroupBy]) -> list[str]:
    """How SQLite would sum up."""
    with closing(sqlite3.connect(path)) as connection:
        text, bound = source(connection, selection, by)
        chosen = conditions(selection, ())
        asked = query("totals", groups=groups(by, ()), source=text, of_selection=chosen, grouping="GROUP BY 1")
        given = values(selection) | group_values(by) | bound
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {asked}", given)]


@pytest.mark.parametrize("chosen", [{}, {"user_id": "ada"}, {"model": "gpt-5", "status": "ok"}])
def test_sums_of_whole_days_read_of_the_records_only_those_of_parts_of_days_and_those_that_are_open(
    path: Path, chosen: dict[str, Any]
) -> None:
    with closing(SqliteStore(path)) as store:
        store.check()

    read = [line for line in plan(path, replace(ALL, **chosen), ["day", "model"]) if "usage_" in line]

    assert read[0] == "SEARCH usage_days USING PRIMARY KEY (day>? AND day<?)"
    assert all("event_time>? AND event_time<?" in line for line in read[1:])
    assert "INDEX usage_records_open (" in read[3]


def test_sums_by_hours_read_an_index_alone(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        store.check()

    (read,) = [line for line in plan(path, ALL, ["hour", "model"]) if "usage_" in line]

    assert "COVERING INDEX usage_records_by_time" in read
