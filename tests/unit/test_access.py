from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_proxy.access.budget import Budget, Scope
from openai_proxy.access.callers import GOOGLE_KEY_ID, Access, Caller
from openai_proxy.access.policy import Policy
from openai_proxy.keys import key_hash, new_key

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
KEY, OLD_KEY, REVOKED_KEY = new_key(), new_key(), new_key()
TEXT = f"""
version = 1

[users.ada]
team = "research"
role = "admin"
allow = ["background_responses"]

[[users.ada.keys]]
id = "key_new"
sha256 = "{key_hash(KEY)}"
created_time = 2026-04-01T00:00:00Z

[[users.ada.keys]]
id = "key_old"
sha256 = "{key_hash(OLD_KEY)}"
created_time = 2026-01-01T00:00:00Z
expires_time = 2026-05-01T12:00:00Z

[users.demo]
allow_user_name = true

[users.gone]
revoked = true
allow_user_name = true

[[users.gone.keys]]
id = "key_gone"
sha256 = "{key_hash(REVOKED_KEY)}"
created_time = 2026-01-01T00:00:00Z
"""
ACCESS = Access.parse(TEXT)
ADA = Caller(
    user_id="ada", key_id="key_new", team_id="research", role="admin", allow=frozenset({"background_responses"})
)


@pytest.mark.parametrize(
    "header", [f"Bearer {KEY}", f"bearer {KEY}", f"UserName {KEY}", f"USERNAME  {KEY} ", f" Bearer {KEY}"]
)
def test_a_key_names_its_holder(header: str) -> None:
    assert ACCESS.authenticate(header, NOW) == ADA


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        KEY,
        f"Basic {KEY}",
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        "Bearer demo",
        "Bearer ada",
        "UserName ada",
        "UserName gone",
        "UserName nobody",
        f"Bearer {REVOKED_KEY}",
        f"Bearer {OLD_KEY}",
        f"Bearer {key_hash(KEY)}",
        "Bearer \ud800",
        "Bearer " + "x" * 10_000,
    ],
)
def test_anything_else_names_nobody(header: str | None) -> None:
    assert ACCESS.authenticate(header, NOW) is None


def test_a_plain_name_is_a_credential_only_where_the_owner_said_so() -> None:
    assert ACCESS.authenticate("UserName demo", NOW) == Caller(
        user_id="demo", key_id="user_name", team_id=None, role="member", allow=frozenset()
    )


def test_a_key_is_valid_until_it_expires_and_two_keys_may_overlap() -> None:
    before = NOW - timedelta(seconds=1)

    assert {ACCESS.authenticate(f"Bearer {key}", before) for key in (KEY, OLD_KEY)} == {
        ADA,
        Caller(user_id="ada", key_id="key_old", team_id="research", role="admin", allow=ADA.allow),
    }


def test_an_address_names_its_user_in_whatever_capitals() -> None:
    access = Access.parse("""
        version = 1
        [users.ada]
        email = "Ada.L@Example.com"
        role = "lead"
        [users.gone]
        email = "gone@example.com"
        revoked = true
    """)
    ada = Caller(user_id="ada", key_id=GOOGLE_KEY_ID, team_id=None, role="lead", allow=frozenset())

    assert [access.addressee(email) for email in ("ada.l@example.com", "ADA.L@EXAMPLE.COM")] == [ada, ada]
    assert [access.addressee(email) for email in ("gone@example.com", "x@example.com", "", "ada")] == [None] * 4


TEAMS = """
version = 1

[defaults]
allow = ["files"]
models = ["gpt-*"]
denied_models = ["*-pro"]
budgets = [{ amount = "20.00", period = "month" }]
requests_per_minute = 60
concurrent_requests = 8
required_tags = ["project"]

[organization]
budgets = [{ amount = 1000, period = "month" }]

[teams.research]
allow = ["batches", "files"]
store = false
budgets = [{ amount = "300", period = "week" }]
user_budgets = [{ amount = "50", period = "month" }, { amount = "5.5", period = "day" }]
tokens_per_minute = 1000
concurrent_requests = 2
upstream_key = "research"

[teams.support]
allow = ["evals"]
required_tags = []

[users.ada]
team = "research"
allow = ["realtime"]
allow_user_name = true
models = []
budgets = []
requests_per_minute = 5

[users.bob]
team = "not-in-the-file"
allow_user_name = true

[users.eve]
allow_user_name = true
may_name_users = true

[users.kim]
team = "support"
allow_user_name = true
denied_models = []
budgets = [{ amount = "0", period = "total" }]

[users.mary]
team = "research"
allow_user_name = true
"""
ORGANIZATION = Budget(Scope("organization", ""), Decimal(1000), "month")


def caller(user_id: str, text: str = TEAMS) -> Caller:
    found = Access.parse(text).authenticate(f"UserName {user_id}", NOW)
    assert found
    return found


@pytest.mark.parametrize(
    ("user_id", "allow", "store"),
    [
        ("ada", {"files", "batches", "realtime"}, False),
        ("bob", {"files"}, True),
        ("eve", {"files"}, True),
        ("kim", {"files", "evals"}, True),
    ],
)
def test_a_caller_is_allowed_what_they_their_team_or_everybody_is(user_id: str, allow: set[str], store: bool) -> None:  # noqa: FBT001 - a case
    found = caller(user_id)

    assert found.allow == allow
    assert found.store is store


def test_of_each_rule_the_nearest_table_that_says_anything_holds() -> None:
    everybody = Policy(
        models=("gpt-*",),
        denied_models=("*-pro",),
        budgets=(Budget(Scope("user", "bob"), Decimal("20.00"), "month"), ORGANIZATION),
        requests_per_minute=60,
        concurrent_requests=8,
        required_tags=("project",),
    )
    team = Budget(Scope("team", "research"), Decimal(300), "week")

    assert caller("bob").policy == everybody
    assert caller("eve").policy == replace(
        everybody, budgets=(Budget(Scope("user", "eve"), Decimal(20), "month"), ORGANIZATION), may_name_users=True
    )
    assert caller("kim").policy == replace(
        everybody,
        budgets=(Budget(Scope("user", "kim"), Decimal(0), "total"), ORGANIZATION),
        denied_models=(),
        required_tags=(),
    )
    assert caller("mary").policy == replace(
        everybody,
        budgets=(
            Budget(Scope("user", "mary"), Decimal(50), "month"),
            Budget(Scope("user", "mary"), Decimal("5.5"), "day"),
            team,
            ORGANIZATION,
        ),
        tokens_per_minute=1000,
        concurrent_requests=2,
        upstream_key="research",
    )
    assert caller("ada").policy == replace(
        caller("mary").policy, models=(), budgets=(team, ORGANIZATION), requests_per_minute=5
    )


def test_a_file_of_before_there_were_policies_limits_nothing() -> None:
    assert ACCESS.authenticate(f"Bearer {KEY}", NOW) == ADA
    assert ADA.policy == Policy()


def test_the_same_key_opens_as_long_as_it_is_valid_to_the_second() -> None:
    end = datetime(2026, 5, 1, 12, tzinfo=UTC)

    assert ACCESS.holder(OLD_KEY, end - timedelta(microseconds=1))
    assert not ACCESS.holder(OLD_KEY, end)


@given(st.text() | st.none())
def test_whatever_the_header_it_names_nobody_by_accident(header: str | None) -> None:
    assert ACCESS.authenticate(header, NOW) is None or "demo" in str(header)
