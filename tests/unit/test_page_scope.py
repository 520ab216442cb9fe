"""Nobody ever sees what is not theirs: every page, parameter and export, asked by every role over one full ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import count
from pathlib import Path

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_ledger import MadeLedger
from made_usage import usage_record
from openai_proxy.access.callers import Access
from openai_proxy.keys import key_hash
from openai_proxy.log_view import LogView
from openai_proxy.page.exchange import Answer, Question
from openai_proxy.page.scope import OutOfScopeError, Scope
from openai_proxy.period import Period
from openai_proxy.ports import Selection
from openai_proxy.records import UsageRecord

NOW = datetime(2026, 11, 23, 20, 15, tzinfo=UTC)
BROWSER = "text/html,*/*;q=0.8"
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parents[2] / "functions" / "log_view" / "templates"),
    autoescape=True,
)
TEAMS = {"ada": "red", "bob": "red", "lea": "red", "dan": "blue", "boss": None, "eve": None, "lou": None}
ROLES = {"lea": "lead", "lou": "lead", "boss": "admin"}
USERS = tuple(TEAMS)
FORMER = "fay"  # has left both the team and the access file
OPERATIONS = ("chat", "responses")


def access_text() -> str:
    text = 'version = 1\n[organization]\nbudgets = [{ amount = "9", period = "month" }]\n'
    for name in ("red", "blue"):
        text += f'[teams.{name}]\nbudgets = [{{ amount = "2", period = "month" }}]\n'
    for user, team in TEAMS.items():
        text += f'[users.{user}]\nrole = "{ROLES.get(user, "member")}"\n' + (f'team = "{team}"\n' if team else "")
        text += 'budgets = [{ amount = "0.5", period = "month" }, { amount = "0.1", period = "day" }]\n'
        text += f'[[users.{user}.keys]]\nid = "key_{user}"\nsha256 = "{key_hash(f"sk-{user}")}"\n'
        text += "created_time = 2026-01-01T00:00:00Z\n"
    return text


ACCESS = Access.parse(access_text())


class HeldAccess:
    def current(self) -> Access:
        return ACCESS


def secret_of(user: str) -> str:
    """What each record of a user bears, and no question ever holds."""
    return f"secret-of-{user}-"


def _record(user: str, team: str | None, number: int) -> UsageRecord:
    made = usage_record(f"e-{user}-{number}", NOW - timedelta(hours=7 * number, minutes=number), user, f"model-{user}")
    secret = f"{secret_of(user)}{number}"
    event = replace(
        made.event,
        team_id=team,
        operation_name=OPERATIONS[number % 2],
        request_model=None if number == 3 else f"model-{user}",
        response_model=None if number == 3 else f"model-{user}",
        tags={"project": user, f"only_{user}": user},
        end_user_id=secret,
        response_id=secret,
        upstream_request_id=secret,
        service_tier=secret,
        error_type=secret if number == 1 else None,
        instance_id=secret,
        upstream_key=secret,
        reserved_cost=Decimal("0.01"),
        usage_source="estimated" if number == 2 else "reported",
        duration_ms=1000 + 17 * USERS.index(user) if user in USERS else 5,
    )
    cost = replace(made.cost, list_cost=Decimal("0.06"), sku_price_id=secret, price_version=secret)
    return replace(made, event=event, cost=replace(cost, list_cost=None, priced=False) if number == 4 else cost)


RECORDS = [
    *(_record(user, team, number) for user, team in TEAMS.items() for number in range(6)),
    *(_record(FORMER, "red", number) for number in range(2)),
    *(_record("ada", "blue", number) for number in (90, 91)),  # last month, before she came to the other team
]


def may_see(user: str, record: UsageRecord) -> bool:
    """The rule again, in other words."""
    role, team = ROLES.get(user, "member"), TEAMS[user]
    if role == "admin" or record.event.user_id == user:
        return True
    return role == "lead" and team is not None and record.event.team_id == team


@cache
def _ledger(user: str | None) -> MadeLedger:
    return MadeLedger([record for record in RECORDS if user is None or may_see(user, record)])


def over(user: str | None) -> LogView:
    """The page over everything; or over that alone which a user may see. It remembers no wrong key of before."""
    return LogView(_ledger(user), HeldAccess(), session_secret="a made-up secret")


def shown(answer: Answer) -> str:
    """All that goes to the reader, rendered."""
    text = json.dumps(answer.json) + "".join(answer.text or ())
    if answer.template is not None:
        text += TEMPLATES.get_template(answer.template).render(**answer.context)
    return f"{answer.status} {dict(answer.headers)} {text}"


HOSTILE = [
    *("", " ", "0", "-1", "1e9", "999999", "null", "*", "%", "_", "'", "' OR 1=1 --", "ada' --", "ada,dan", "ada\x00"),
    *(
        "../dan",
        "dan/../ada",
        "\ud800",
        "\u202edan",
        "\uff21da",
        "ada ",
        "ADA",
        "{{7*7}}",
        "<script>",
        "a;=1+1",
        "x" * 600,
    ),
]
NAMES = [*USERS, FORMER, "nobody"]
IDS = [record.event.event_id for record in RECORDS]
GOOD: dict[str, Sequence[str]] = {
    "user": NAMES,
    "team": ["red", "blue", "none"],
    "key": [f"key_{name}" for name in NAMES],
    "model": [f"model-{name}" for name in NAMES],
    "operation": OPERATIONS,
    "status": ["ok", "error", "open", "unpriced", "estimated"],
    "tag": [f"project={name}" for name in NAMES],
    "period": ["today", "7d", "30d", "month", "last_month", "12m", "all"],
    "since": ["2026-11-01", "0001-01-01", "2026-11-23T00:00:00Z"],
    "until": ["2026-11-30", "9999-12-31", "2026-11-23T12:00:00Z"],
    "measure": ["cost", "tokens", "requests", "latency"],
    "by": ["kind", "model", "user", "team", "key", "operation", "tag:project", "tag:only_dan", "tag:only_ada"],
    "sort": ["name", "-name", "-errors", "requests", "-event_time", "list_cost", "-duration_ms"],
    "page": ["1", "2", "model.2", "user.1", "999999"],
    "table": ["model", "user", "team", "key", "operation", "chart", "near-limits", "tag:project", "tag:only_dan"],
    "format": ["json", "csv", "html"],
    "day": ["2026-11-23", "2026-11-21", "0001-01-01", "9999-12-31"],
    "user_id": NAMES,
    "role": ["admin"],
    "scope": ["all"],
}


@st.composite
def questions(draw: st.DrawFn) -> Question:
    """Any question to any address; most parameters make sense."""
    odd = st.sampled_from(HOSTILE) | st.text(max_size=20)
    names = draw(st.lists(st.sampled_from([*GOOD, "format", "table"]), max_size=4, unique=True))
    query = {name: draw(st.sampled_from(GOOD[name]) if draw(st.integers(0, 7)) else odd) for name in names}
    one = st.sampled_from([*IDS, "e-none-1"]).map(lambda event_id: f"/log/requests/{event_id}")
    pages = st.sampled_from(["/log", "/log", "/log/requests", "/log/", "/log/sign-in", "/log/time-zone", "/health"])
    path = draw(pages | one | odd.map(lambda text: f"/log/requests/{text}") if draw(st.integers(0, 9)) else odd)
    return Question(
        method=draw(st.sampled_from(["GET", "GET", "GET", "HEAD", "POST"])),
        path=path,
        base_url="https://proxy.example.com",
        query=query,
        form=query,
        accept=draw(st.sampled_from([BROWSER, BROWSER, "application/json"])),
        time_zone=draw(st.sampled_from([None, "Asia/Kolkata", "../etc/passwd"])),
    )


@pytest.mark.parametrize("user", [user for user in USERS if user != "boss"])
@settings(max_examples=150, deadline=None)
@given(question=questions())
def test_nobody_is_shown_anything_that_comes_of_what_they_may_not_see(user: str, question: Question) -> None:
    question = replace(question, authorization=f"Bearer sk-{user}")

    told = shown(over(None).answer(question, NOW))

    unseen = {record.event.user_id for record in RECORDS} - {
        record.event.user_id for record in RECORDS if may_see(user, record)
    }
    assert not [other for other in unseen if secret_of(other) in told]
    assert told == shown(over(user).answer(question, NOW))


@settings(max_examples=150, deadline=None)
@given(question=questions())
def test_an_admin_may_ask_for_everything_and_is_always_answered(question: Question) -> None:
    told = over(None).answer(replace(question, authorization="Bearer sk-boss"), NOW)

    assert told.status in {200, 303, 400, 401, 403, 404, 405}  # 401: a form to sign in needs a key of its own
    assert shown(told)


@settings(max_examples=150, deadline=None)
@given(question=questions(), authorization=st.sampled_from([None, "", "Bearer sk-nobody", "UserName dan"]))
def test_a_stranger_is_told_nothing(question: Question, authorization: str | None) -> None:
    answer = over(None).answer(replace(question, authorization=authorization), NOW)

    assert answer.status in {303, 400, 401, 403, 404, 405} or question.path == "/health"
    assert "secret-of-" not in shown(answer)


def get(reader: str, path: str = "/log", accept: str = "application/json", /, **query: str) -> Answer:
    question = Question(
        method="GET",
        path=path,
        base_url="https://proxy.example.com",
        query=query,
        accept=accept,
        authorization=f"Bearer sk-{reader}",
    )
    return over(None).answer(question, NOW)


def _ids(answer: Answer) -> Iterator[str]:
    assert answer.text is not None
    yield from (record["event_id"] for record in json.loads("".join(answer.text)))


@pytest.mark.parametrize("user", USERS)
def test_everybody_is_shown_all_that_they_may_see(user: str) -> None:
    own = {"user": user} if ROLES.get(user) == "lead" else {}
    seen = set(_ids(get(user, "/log/requests", period="all"))) | set(
        _ids(get(user, "/log/requests", period="all", **own))
    )

    assert seen == {record.event.event_id for record in RECORDS if may_see(user, record)}


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("accept", [BROWSER, "application/json"])
def test_a_request_of_somebody_else_is_answered_as_one_that_does_not_exist(user: str, accept: str) -> None:
    numbers = count(1)
    missing = shown(get(user, "/log/requests/e-none-1", accept))

    for record in RECORDS:
        answer = shown(get(user, f"/log/requests/{record.event.event_id}", accept))
        if may_see(user, record):
            assert (answer[:3], record.event.event_id in answer) == ("200", True)
        else:
            assert answer == missing
            next(numbers)
    assert missing.startswith("404")
    assert (user == "boss") == (next(numbers) == 1)


@pytest.mark.parametrize(
    ("user", "query", "text"),
    [
        ("ada", {"user": "bob"}, "user may only be ada"),
        ("ada", {"user": "nobody"}, "user may only be ada"),
        ("ada", {"team": "blue"}, "leave team out"),
        ("lou", {"user": "eve"}, "user may only be lou"),
        ("lea", {"team": "blue"}, "team may only be red"),
        ("lea", {"user": "dan"}, "it has nobody of that name"),
        ("lea", {"user": "nobody"}, "it has nobody of that name"),
    ],
)
@pytest.mark.parametrize("path", ["/log", "/log/requests", "/log/requests/e-ada-1"])
@pytest.mark.parametrize("form", ["html", "json", "csv"])
def test_to_ask_for_somebody_else_is_refused_in_words(
    user: str, query: dict[str, str], text: str, path: str, form: str
) -> None:
    answer = get(user, path, BROWSER, format=form, **query)

    assert answer.status == 403
    assert text in shown(answer)


@pytest.mark.parametrize("user", [FORMER, "ada", "lea"])
def test_a_lead_sees_each_member_and_who_has_been_one(user: str) -> None:
    report = get("lea", user=user, period="all").json

    assert isinstance(report, dict)
    assert (report["user_id"], report["totals"]["requests"]) == (user, 2 if user == FORMER else 6)


ANY = Selection(period=Period(NOW - timedelta(days=1), NOW))


def test_no_role_but_an_admins_leaves_a_choice_open() -> None:
    for user, role in (("ada", "member"), ("lea", "lead"), ("lou", "lead"), ("boss", "admin")):
        scope = Scope.of(ACCESS.caller(ACCESS.users[user], ""))
        narrowed = scope.narrow(ANY, lambda _: False)

        assert scope.is_all == (role == "admin")
        assert scope.is_all or narrowed.user_id == user or narrowed.team_id == TEAMS[user]


def test_a_lead_of_no_team_does_not_see_those_of_no_team() -> None:
    scope = Scope.of(ACCESS.caller(ACCESS.users["lou"], ""))

    assert not scope.covers(user_id="eve", team_id=None)
    with pytest.raises(OutOfScopeError):
        scope.narrow(replace(ANY, user_id="eve"), lambda _: True)
