from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from command_line import Run, access
from made_ledger import MadeLedger
from made_usage import usage_record
from openai_proxy.access.callers import Access
from openai_proxy.access.edits import NEW_FILE
from openai_proxy.adapters.sqlite_store import SqliteStore
from openai_proxy.api.endpoints import ENDPOINTS
from openai_proxy.events import UsageEvent
from openai_proxy.local.demo_usage import events, records
from openai_proxy.local.demo_usage_access import Spent, access_file
from openai_proxy.local.demo_usage_people import MARK, PEOPLE, TEAM_BUDGETS, key_id
from openai_proxy.local.demo_usage_times import Story
from openai_proxy.page.periods import BEGINNING
from openai_proxy.period import Period
from openai_proxy.ports import Selection
from openai_proxy.pricing.priced import priced
from openai_proxy.records import UsageRecord

NOW = datetime(2026, 11, 24, 15, 30, tzinfo=UTC)  # a Tuesday
ALL = Period(BEGINNING, NOW + timedelta(days=1))
INCIDENT, SPIKE = date(2026, 11, 13), date(2026, 11, 6)  # Fridays: the 15th and the 7th are on a weekend
HOLIDAYS = date(2025, 12, 24), date(2025, 12, 31)


def story(*, now: datetime = NOW, made: int = 12_000, days: int = 365, seed: int = 1) -> Story:
    return Story(now=now, records=made, days=days, seed=seed)


@pytest.fixture(scope="module")
def year() -> list[UsageRecord]:
    return list(records(story()))


def cost(made: list[UsageRecord]) -> Decimal:
    return sum((one.cost.list_cost or Decimal(0) for one in made), Decimal(0))


def test_there_are_as_many_requests_as_are_asked_for_in_the_order_of_time(year: list[UsageRecord]) -> None:
    times = [one.event.event_time for one in year]

    assert len({one.event.event_id for one in year}) == len(year) == 12_000
    assert all(before <= after for before, after in pairwise(times))
    assert date(2025, 11, 25) <= times[0].date() <= date(2025, 11, 26)
    assert NOW - timedelta(hours=2) < times[-1] < NOW


def test_the_same_story_makes_the_same_rows_of_the_ledger_and_another_seed_others() -> None:
    ledgers = [MadeLedger(list(records(story(made=500, seed=seed)))) for seed in (7, 7, 8)]
    first, again, other = (list(one.records(Selection(period=ALL), limit=None)) for one in ledgers)

    assert len(first) == 500
    assert again == first
    assert {row["event_id"] for row in other}.isdisjoint({row["event_id"] for row in first})


def test_each_record_is_the_real_price_of_an_event_that_the_queue_could_carry(year: list[UsageRecord]) -> None:
    for one in year:
        assert UsageEvent.from_json(one.event.to_json()) == one.event
        bill = priced(one.event)
        assert (bill.tokens, bill.units, bill.cost) == (one.tokens, one.units, one.cost)
        assert sum((unit.list_cost or Decimal(0) for unit in one.units), Decimal(0)) == (one.cost.list_cost or 0)


def test_each_request_is_one_of_the_table_of_endpoints(year: list[UsageRecord]) -> None:
    known = {(one.operation_name, one.method, f"/v1{one.path}") for one in ENDPOINTS}

    made = {(one.event.operation_name, one.event.http_method, one.event.url_path) for one in year}

    assert made <= known
    assert {name for name, _, _ in made} >= {
        *("chat", "responses", "embeddings", "images.generate", "audio.speech", "audio.transcriptions"),
        *("moderations", "models.list"),
    }


def test_only_one_model_has_no_price_and_what_was_never_told(year: list[UsageRecord]) -> None:
    unpriced = [one for one in year if not one.cost.priced]
    models = {one.event.response_model for one in unpriced if one.event.usage_source == "reported"}

    assert models == {"ft:gpt-4.1-mini:demo:triage:C4x"}
    assert {one.event.usage_source for one in unpriced} <= {"reported", "estimated", "unknown"}
    assert {one.event.usage_source for one in year if one.cost.priced} == {"reported", "estimated", "none"}
    assert 0.005 < len(unpriced) / len(year) < 0.03


def test_people_rest_at_night_at_weekends_and_on_holidays(year: list[UsageRecord]) -> None:
    office = [one.event.event_time for one in year if one.event.user_id in {"ada", "bea", "jonas", "dana"}]
    days = Counter(time.date() for time in office)

    assert not [time for time in office if time.hour < 7]
    assert sum(time.weekday() >= 5 for time in office) < 0.05 * len(office)
    assert sum(count for day, count in days.items() if HOLIDAYS[0] <= day <= HOLIDAYS[1]) < 5


def test_usage_grows_and_applications_work_at_night(year: list[UsageRecord]) -> None:
    halves = Counter(one.event.event_time < NOW - timedelta(days=182) for one in year)
    nightly = {one.event.event_time.hour for one in year if one.event.user_id == "nightly-evals"}

    assert halves[False] > 1.5 * halves[True]
    assert nightly == {1, 2, 3, 4}


def test_a_newer_model_takes_over_in_spring(year: list[UsageRecord]) -> None:
    def share(since: date, until: date) -> float:
        models = Counter(
            one.event.request_model
            for one in year
            if one.event.request_model in {"gpt-5.1", "gpt-5.4"} and since <= one.event.event_time.date() < until
        )
        return models["gpt-5.4"] / models.total()

    assert share(date(2026, 1, 1), date(2026, 4, 1)) == 0
    assert 0.2 < share(date(2026, 4, 1), date(2026, 5, 1)) < 0.8
    assert share(date(2026, 6, 1), date(2026, 7, 1)) == 1


def test_one_afternoon_most_requests_fail_and_otherwise_few(year: list[UsageRecord]) -> None:
    def failed(one: UsageRecord) -> bool:
        return one.event.error_type is not None

    in_it = [one for one in year if one.event.event_time.date() == INCIDENT and 13 <= one.event.event_time.hour < 17]
    others = [one for one in year if one.event.event_time.date() != INCIDENT]

    assert sum(map(failed, in_it)) > 0.3 * len(in_it) > 3
    assert 0.01 < sum(map(failed, others)) / len(others) < 0.04


def test_one_day_costs_far_more_than_any_other_of_its_month(year: list[UsageRecord]) -> None:
    days = {
        day: cost([one for one in year if one.event.event_time.date() == date(2026, 11, day)]) for day in range(1, 25)
    }
    spike = days.pop(SPIKE.day)

    assert spike > Decimal("1.5") * max(days.values())


def test_everything_that_can_happen_to_a_request_happens(year: list[UsageRecord]) -> None:
    made = [one.event for one in year]

    assert {event.http_status_code for event in made} == {None, 200, 400, 429, 500, 502, 503, 504}
    assert {event.usage_source for event in made} == {"reported", "estimated", "unknown", "none"}
    assert {event.event_type for event in made} == {"started", "finished"}
    assert {event.service_tier for event in made} == {None, "default", "flex"}
    assert {event.budget_state for event in made} == {None, "checked"}
    assert any(event.client_disconnected for event in made)
    assert any(event.retry_count for event in made)
    assert any(one.tokens.cache_write_input_tokens for one in year)
    assert any(one.tokens.reasoning_output_tokens for one in year)
    assert {unit.unit for one in year for unit in one.units} >= {
        "web_searches",
        "input_characters",
        "input_audio_tokens",
    }


def test_what_is_streamed_has_a_first_chunk_before_its_end_and_what_failed_has_no_answer(
    year: list[UsageRecord],
) -> None:
    for event in (one.event for one in year):
        first, whole = event.time_to_first_chunk_ms, event.duration_ms
        assert first is None or (event.stream and whole is not None and 0 < first <= whole)
        assert whole is None or event.upstream_ms is not None
        if event.event_type == "started" or (event.http_status_code or 0) >= 400:
            assert (event.usage, event.response_model, event.response_id) == (None, None, None)


def test_only_the_application_that_may_names_its_users(year: list[UsageRecord]) -> None:
    named = Counter(one.event.end_user_id for one in year if one.event.end_user_id)

    assert {one.event.user_id for one in year if one.event.end_user_id} == {"chat-webui"}
    assert 20 < len(named) <= 42
    assert named["guest01@demo.example"] == max(named.values())


def test_a_request_that_has_not_ended_yet_is_open() -> None:
    made = list(events(story(made=20_000, days=1)))

    assert "started" in {event.event_type for event in made if event.event_time > NOW - timedelta(seconds=2)}
    assert all(event.event_time + timedelta(milliseconds=event.duration_ms or 0) <= NOW for event in made)


@pytest.mark.parametrize("now", [NOW, datetime(2027, 1, 1, 0, 5, tzinfo=UTC), datetime(2028, 2, 29, 23, tzinfo=UTC)])
@pytest.mark.parametrize("days", [1, 2, 40])
def test_any_day_may_be_the_last_and_the_only_one(now: datetime, days: int) -> None:
    made = list(records(story(now=now, made=50, days=days)))

    assert len(made) == 50
    assert all((now - timedelta(days=days)).date() < one.event.event_time.date() <= now.date() for one in made)


def test_the_folder_is_filled_and_three_keys_open_the_page(run: Run, folder: Path) -> None:
    done = run("demo-data", "--records", "3000", "--json")

    assert done.status == 0
    assert (done.json["made_up"], done.json["records"], done.json["teams"]) == (True, 3000, 4)
    now = datetime.now(UTC)
    callers = [access(folder).authenticate(f"Bearer {one['key']}", now) for one in done.json["keys"]]
    assert [caller and (caller.user_id, caller.role, caller.team_id) for caller in callers] == [
        ("vera", "admin", "demo-product"),
        ("ada", "lead", "demo-research"),
        ("ivo", "member", "demo-research"),
    ]
    assert access(folder).users.keys() == {person.user_id for person in PEOPLE}
    (total,) = run("usage", "--json", "--by", "team", "--tag", "project=evals").json
    assert (total["team_id"], total["requests"] > 100) == ("demo-research", True)


def test_the_keys_in_the_ledger_are_those_of_the_access_file(run: Run, folder: Path) -> None:
    run("demo-data", "--records", "2000")

    held = {(user.user_id, key.key_id) for user in access(folder).tables.users.values() for key in user.keys}
    used = {(row["user_id"], row["key_id"]) for row in run("usage", "--json").json}

    assert used <= held
    assert len(held) == sum(len(person.keys) for person in PEOPLE)
    assert key_id("ivo", 2) in {name for _, name in used}


def test_one_budget_is_nearly_used_and_one_is_exceeded() -> None:
    for amount in map(Decimal, ("0.61", "4.2", "31.7", "104.9", "998")):
        everybody = {person.user_id: amount for person in PEOPLE}
        text, _ = access_file(NEW_FILE, Spent(by_user=everybody, by_team=dict.fromkeys(TEAM_BUDGETS, amount)), NOW)
        tables = Access.parse(text).tables
        used = {
            user.user_id: amount / budget.amount
            for user in tables.users.values()
            for budget in user.rules.budgets or ()
        }

        assert used.keys() == {"ivo", "kim"}
        assert Decimal("0.85") < used["ivo"] < 1 < used["kim"] < Decimal("1.2")
        assert {name for name, team in tables.teams.items() if team.budgets} == {
            name for name, budget in TEAM_BUDGETS.items() if budget
        }


def test_budgets_are_of_what_was_spent_this_month(run: Run, folder: Path) -> None:
    run("demo-data", "--records", "3000")

    month = datetime.now(UTC).strftime("%Y-%m-01")
    totals = run("usage", "--json", "--since", month, "--by", "team").json
    spent = {total["team_id"]: Decimal(total["list_cost"]) for total in totals}
    for team_id, multiple in TEAM_BUDGETS.items():
        budgets, amount = access(folder).tables.teams[team_id].budgets, spent.get(team_id, Decimal(0))
        if multiple is None or not amount:  # as in the first hour of a month
            assert budgets == ()
        else:
            (budget,) = budgets
            assert abs(budget.amount - amount * multiple) <= max(Decimal("0.01"), Decimal("0.06") * amount * multiple)


def test_a_person_is_told_that_it_is_made_up_and_how_to_look(run: Run, folder: Path) -> None:
    out = run("demo-data", "--records", "300").out

    assert f"All of it is made up: each team's name and each request's id begin with {MARK}." in out
    assert f"openai-proxy serve --data-dir {folder}" in out
    assert out.count("sk-op-") == 3


def test_a_second_run_is_told_that_there_is_demo_data(run: Run, folder: Path) -> None:
    run("demo-data", "--records", "200")
    before = (folder / "access.toml").read_bytes(), run("usage", "--json").out

    done = run("demo-data", "--records", "200")

    assert done.status == 1
    assert f"the data folder {folder} has demo data already" in done.err
    assert ((folder / "access.toml").read_bytes(), run("usage", "--json").out) == before


def test_nothing_is_mixed_with_a_real_ledger(run: Run, folder: Path) -> None:
    folder.mkdir()
    store = SqliteStore(folder / "ledger.sqlite3")
    store.add([usage_record("event-1", datetime(2020, 1, 1, tzinfo=UTC), "ada")])
    store.close()

    done = run("demo-data")

    assert done.status == 1
    assert "has usage that is not made up" in done.err
    assert "name another folder: --data-dir or DATA_DIR" in done.err
    assert [row["event_id"] for row in run("usage", "--json").json] == ["event-1"]
    assert not (folder / "access.toml").exists()


def test_demo_data_that_was_used_for_real_is_a_real_ledger(run: Run, folder: Path) -> None:
    run("demo-data", "--records", "200")
    store = SqliteStore(folder / "ledger.sqlite3")
    store.add([usage_record("event-1", datetime.now(UTC), "demo")])
    store.close()

    assert "has usage that is not made up" in run("demo-data").err


def test_nobody_is_added_to_real_users(run: Run, folder: Path) -> None:
    run("user", "add", "alice")

    done = run("demo-data")

    assert (done.status, "has users, and no made-up ones are added" in done.err) == (1, True)
    assert access(folder).users.keys() == {"alice"}


def test_the_demo_user_of_serve_is_in_nobodys_way(run: Run, folder: Path) -> None:
    run("user", "add", "demo", "--team", "demo", "--role", "admin")

    assert run("demo-data", "--records", "100").status == 0
    assert "demo" in access(folder).users


def test_no_ledger_but_that_of_the_folder_is_written(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USAGE_STORE_URL", f"sqlite:///{tmp_path / 'another.sqlite3'}")

    assert run("demo-data", "--records", "100").status == 0
    assert not (tmp_path / "another.sqlite3").exists()
    assert (folder / "ledger.sqlite3").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--records", "0"), "expected a whole number from 1 to 10000000"),
        (("--records", "many"), "expected a whole number from 1 to 10000000"),
        (("--days", "-3"), "expected a whole number from 1 to 3660"),
        (("--days", "1e3"), "expected a whole number from 1 to 3660"),
        (("--seed", "x"), "expected a whole number from 0 to 2147483648"),
    ],
)
def test_what_cannot_be_made_is_said(run: Run, arguments: tuple[str, str], says: str) -> None:
    done = run("demo-data", *arguments)

    assert done.status == 2
    assert says in done.err
