"""Times /log over a ledger of 1 million records made for it: the real log_view process, the real SQLite file.

Below stand the questions that it asks of the ledger, alone. Beside each stands the same over a ledger of 1,000 records:
what costs time however little there is; and over the same million without the roll-up of days.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import requests

from openai_proxy.adapters.sqlite_ledger import SqliteLedger
from openai_proxy.adapters.sqlite_store import SqliteStore
from openai_proxy.keys import key_hash, new_key
from openai_proxy.period import Period
from openai_proxy.ports import NEWEST_FIRST, GroupBy, Order, Selection
from servers import free_port, function, running

_SOURCE = Path(__file__).resolve().parent.parent / "functions" / "log_view" / "main.py"
LEDGER = "ledger.sqlite3"
_RECORDS = 1_000_000
_DAYS = 365
_ROUNDS = 5
_WANTED_MS = 300
_MODELS = ("gpt-6-luna", "gpt-6.1-sol", "gpt-5-mini", "gpt-4o-mini", "text-embedding-3-small")
_INSERT = """
INSERT INTO usage_records (
  event_id, event_type, event_time, user_id, key_id, team_id, operation_name, http_method,
  url_path, request_model, response_model, stream, retry_count, usage_source, input_tokens, cache_read_input_tokens,
  output_tokens, reasoning_output_tokens, usage,
  list_cost, billing_currency, priced, http_status_code, client_disconnected, duration_ms, message_id, publish_time,
  stored_time
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_WANTED = "page, 30 days"
_PATHS = {_WANTED: "/log", "page, today": "/log?period=today", "page, a year": "/log?period=all"}


def main() -> int:
    """Print the table; 1 when the usual page is slower than wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=_RECORDS)
    records = parser.parse_args().records
    with tempfile.TemporaryDirectory(prefix="openai-proxy-bench-") as name:
        small, large = Path(name) / "small", Path(name) / "large"
        fill(small, 1_000)
        fill(large, records)
        columns = [measure(large), measure(small)]
        forget_days(large)
        columns.append(measure(large))
    print(f"| median of {_ROUNDS}, ms | {records:,} records | 1,000 records | {records:,}, no usage_days | wanted |")
    print("| --- | ---: | ---: | ---: | --- |")
    for name in columns[0]:
        wanted = f"< {_WANTED_MS}" if name == _WANTED else ""
        print(f"| {name} | {' | '.join(f'{column[name]:.1f}' for column in columns)} | {wanted} |")
    return int(columns[0][_WANTED] >= _WANTED_MS)


def measure(folder: Path) -> dict[str, float]:
    """Milliseconds of each page and each question over the ledger there, by its name."""
    return pages(folder) | questions(SqliteLedger(folder / LEDGER))


def forget_days(folder: Path) -> None:
    """Leave the ledger as it was before it had a roll-up."""
    with closing(sqlite3.connect(folder / LEDGER)) as connection, connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DROP TABLE usage_days")
        connection.execute("DROP INDEX usage_records_open")


def pages(folder: Path) -> dict[str, float]:
    """What an admin waits for."""
    key = new_key()
    (folder / "access.toml").write_text(
        f'version = 1\n[users.ada]\nrole = "admin"\n[[users.ada.keys]]\nid = "key_1"\n'
        f'sha256 = "{key_hash(key)}"\ncreated_time = 2026-01-01T00:00:00Z\n'
    )
    port = free_port()
    environ = {
        "ACCESS_FILE": str(folder / "access.toml"),
        "USAGE_STORE_URL": f"sqlite:///{folder}/{LEDGER}",
        "SESSION_SECRET": "made up",
    }
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/html"}

    def get(path: str) -> None:
        requests.get(f"http://127.0.0.1:{port}{path}", headers=headers, timeout=120).raise_for_status()

    with running(function(_SOURCE, "log_view", port=port), port=port, core=None, environ=environ):
        return {name: _median_ms(partial(get, path)) for name, path in _PATHS.items()}


def questions(ledger: SqliteLedger) -> dict[str, float]:
    """What the ledger alone takes, for 30 days and for a year."""
    tomorrow = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    took: dict[str, float] = {}
    for period, span in (("30 days", timedelta(days=30)), ("a year", timedelta(days=_DAYS))):
        everybody = Selection(period=Period(tomorrow - span, tomorrow))
        before = Selection(period=Period(tomorrow - 2 * span, tomorrow - span))
        one = replace(everybody, user_id="user3")
        asked: dict[str, Callable[[], object]] = {
            "totals by day and model": partial(ledger.totals, everybody, by=("day", "model")),
            "totals of the period before": partial(ledger.totals, before, by=()),
            "totals by each of the others": partial(_each, ledger, everybody),
            "the same of one user": partial(_each, ledger, one),
            "totals by hour": partial(ledger.totals, everybody, by=("hour",)),
            "latencies by day": partial(ledger.latencies, everybody, by=("day",)),
            "latencies by day of one user": partial(ledger.latencies, one, by=("day",)),
            "the newest 10": partial(_listed, ledger, everybody, NEWEST_FIRST),
            "the newest 10 of one user": partial(_listed, ledger, one, NEWEST_FIRST),
            "the 10 that cost most": partial(_listed, ledger, everybody, Order("list_cost")),
        }
        took |= {f"{name}, {period}": _median_ms(ask) for name, ask in asked.items()}
    return took


def _each(ledger: SqliteLedger, selection: Selection) -> None:
    groups: tuple[GroupBy, ...] = ("user", "team", "key", "model", "operation")
    for group in groups:
        ledger.totals(selection, by=(group,))


def _listed(ledger: SqliteLedger, selection: Selection, order: Order) -> list[object]:
    return list(ledger.records(selection, limit=10, order=order))


def fill(folder: Path, records: int) -> None:
    """Make a year of records, the newest a minute old."""
    path = folder / LEDGER
    with closing(SqliteStore(path)) as store:
        store.check()  # makes the table
    chance = random.Random(1)  # noqa: S311 - no secret; seeded: the same usage each time
    now = datetime.now(UTC) - timedelta(minutes=1)
    step = timedelta(days=_DAYS) / records
    rows = (_row(number, now - number * step, chance) for number in range(records))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(_INSERT, rows)


def _row(number: int, moment: datetime, chance: random.Random) -> tuple[object, ...]:
    at = int(moment.timestamp() * 1e6)
    model = chance.choice(_MODELS)
    given, made = chance.randrange(50, 20_000), chance.randrange(1, 2_000)
    usage = json.dumps({"input_tokens": given, "output_tokens": made, "input_tokens_details": {"cached_tokens": 0}})
    user = chance.randrange(20)
    return (
        f"{number:032x}", "finished", at, f"user{user}", f"key_{user}", f"team{user % 4}", "responses", "POST",
        "/v1/responses", model, model, 0, 0, "reported", given, given // 3, made, made // 4, usage,
        given * 1250 + made * 10_000, "USD", 1, 500 if number % 50 == 0 else 200, 0, int(chance.lognormvariate(7, 1)),
        str(number), at, at,
    )  # fmt: skip


def _median_ms(ask: Callable[[], object]) -> float:
    times = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        ask()
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


if __name__ == "__main__":
    sys.exit(main())
