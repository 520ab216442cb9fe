"""What every engine of the ledger must do with the changes of the access file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from openai_proxy.access.events import AccessEvent
from openai_proxy.adapters.sqlite_access_log import SqliteAccessLog
from openai_proxy.period import Period
from openai_proxy.ports import AccessLog, Selection, StoreError

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = Period(datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC))
ALL = Selection(period=DAY)
ADDED = AccessEvent(
    event_id="c1-001",
    event_time=NOON,
    operator="grace",
    action="user add",
    user_id="ada",
    team_id=None,
    description="ada: added: role member; key key_1: does not expire, 'für Ada'",
)
BUDGET = AccessEvent(
    event_id="c2-001",
    event_time=NOON + timedelta(microseconds=1),
    operator="root",
    action="team set",
    user_id=None,
    team_id="research",
    description="team research: budgets none -> 20.00 USD a month",
)


def sqlite(request: pytest.FixtureRequest) -> Iterator[AccessLog]:
    yield SqliteAccessLog(request.getfixturevalue("tmp_path") / "data" / "ledger.db")


def bigquery(request: pytest.FixtureRequest) -> Iterator[AccessLog]:
    """Without insert ids: the emulator drops every row that comes twice, which the real service does only mostly."""
    ledger = request.getfixturevalue("empty_cloud_ledger")
    from emulators import PROJECT
    from openai_proxy.adapters.bigquery_access_log import BigQueryAccessLog

    log = BigQueryAccessLog(PROJECT, ledger.dataset, insert_ids=False)
    yield log
    log.close()


ENGINES: Mapping[str, Callable[[pytest.FixtureRequest], Iterator[AccessLog]]] = {"sqlite": sqlite, "bigquery": bigquery}


@pytest.fixture(params=ENGINES)
def log(request: pytest.FixtureRequest) -> Iterator[AccessLog]:
    yield from ENGINES[request.param](request)


def test_events_come_back_as_they_were_added_newest_first(log: AccessLog) -> None:
    log.add([ADDED, BUDGET])

    assert log.events(DAY) == [BUDGET, ADDED]


def test_an_empty_ledger_has_none(log: AccessLog) -> None:
    assert log.events(DAY) == []


def test_what_is_added_twice_counts_once(log: AccessLog) -> None:
    log.add([ADDED])
    log.add([ADDED, BUDGET])

    assert log.events(DAY) == [BUDGET, ADDED]


def test_a_period_has_its_beginning_and_not_its_end(log: AccessLog) -> None:
    first = replace(ADDED, event_id="first", event_time=DAY.since)
    log.add([first, replace(ADDED, event_id="next", event_time=DAY.until)])

    assert log.events(DAY) == [first]


def test_changes_of_one_command_keep_their_order(log: AccessLog) -> None:
    events = [replace(ADDED, event_id=f"c1-{number:03}") for number in range(1, 13)]
    log.add(events)

    assert log.events(DAY) == events[::-1]


def test_it_can_be_used_again_after_it_was_closed(log: AccessLog) -> None:
    log.add([ADDED])
    log.close()

    assert log.events(DAY) == [ADDED]


def test_a_broken_ledger_says_so(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"this is no database, and long enough to be none" * 100)
    log = SqliteAccessLog(tmp_path / "ledger.db")

    with pytest.raises(StoreError, match="cannot be written now"):
        log.add([ADDED])
    with pytest.raises(StoreError, match="cannot be read now"):
        log.events(DAY)


def test_usage_records_in_the_same_file_are_no_obstacle(tmp_path: Path) -> None:
    from ledger_engines import finished
    from openai_proxy.adapters.sqlite_ledger import SqliteLedger
    from openai_proxy.adapters.sqlite_store import SqliteStore

    path = tmp_path / "ledger.db"
    log, store = SqliteAccessLog(path), SqliteStore(path)
    log.add([ADDED])
    store.add([finished()])
    log.add([BUDGET])
    store.close()

    assert len(list(SqliteLedger(path).records(ALL, limit=None))) == 1
    assert log.events(DAY) == [BUDGET, ADDED]
