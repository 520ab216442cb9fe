from __future__ import annotations

from typing import Any

from hypothesis import assume, given

from access_documents import DOCUMENTS, to_toml
from openai_proxy.access.callers import Access
from openai_proxy.access.changes import Change, changes
from openai_proxy.access.reading import mistakes

OLD = """\
version = 1

[defaults]
allow = ["files"]
budgets = [{ amount = "20.00", period = "month" }]

[teams.research]
user_budgets = [{ amount = "5", period = "day" }]
store = false

[teams.old]

[users.alice]
team = "research"
requests_per_minute = 60

[[users.alice.keys]]
id = "key_1"
sha256 = "1111111111111111111111111111111111111111111111111111111111111111"
created_time = 2026-04-01T00:00:00Z

[[users.alice.keys]]
id = "key_2"
sha256 = "2222222222222222222222222222222222222222222222222222222222222222"
created_time = 2026-04-01T00:00:00Z
expires_time = 2026-06-01T00:00:00Z

[users.bob]

[users.carol]
"""
NEW = """\
version = 1

[defaults]
allow = ["evals", "batches"]
budgets = [{ amount = "20.00", period = "month" }, { amount = 3, period = "week" }]
models = []

[organization]
budgets = [{ amount = 1000, period = "total" }]

[teams.research]
budgets = [{ amount = "300.50", period = "month" }]
store = true
upstream_key = "research"

[teams.new]
store = false

[users.alice]
role = "lead"
requests_per_minute = 120

[[users.alice.keys]]
id = "key_1"
sha256 = "1111111111111111111111111111111111111111111111111111111111111111"
created_time = 2026-04-01T00:00:00Z
expires_time = 2026-05-02T14:00:00+02:00
note = "laptop"

[[users.alice.keys]]
id = "key_2"
sha256 = "3333333333333333333333333333333333333333333333333333333333333333"
created_time = 2026-04-01T00:00:00Z

[users.bob]
revoked = true

[users.dave]
team = "new"
[[users.dave.keys]]
id = "key_4"
sha256 = "4444444444444444444444444444444444444444444444444444444444444444"
created_time = 2026-04-01T00:00:00Z
"""


def said(old: str, new: str) -> list[str]:
    return [str(change) for change in changes(Access.parse(old), Access.parse(new))]


def test_each_change_is_told_in_words() -> None:
    assert said(OLD, NEW) == [
        "defaults: allow files -> batches, evals",
        "defaults: models not set -> none",
        "defaults: budgets 20.00 USD a month -> 20.00 USD a month, 3 USD a week",
        "organization: budgets none -> 1000 USD in total",
        "team research: budgets none -> 300.50 USD a month",
        "team research: store no -> yes",
        "team research: upstream_key not set -> research",
        "team research: user_budgets 5 USD a day -> not set",
        "team old: removed",
        "team new: added: store no",
        "alice: team research -> not set",
        "alice: role member -> lead",
        "alice: requests_per_minute 60 -> 120",
        "alice: key key_1: does not expire -> key_1: expires 2026-05-02T12:00:00Z, 'laptop'",
        "alice: key key_2 removed",
        "alice: new key key_2: does not expire",
        "bob: revoked",
        "carol: removed",
        "dave: added: team new; key key_4: does not expire",
    ]


def test_a_change_names_its_table() -> None:
    found = changes(Access.parse(OLD), Access.parse(NEW))

    assert Change("user", "bob", "revoked") in found
    assert Change("team", "old", "removed") in found


def test_the_way_back_is_told_as_well() -> None:
    assert {"bob: no longer revoked", "team new: removed", "defaults: models none -> not set"} <= set(said(NEW, OLD))


def test_no_hash_is_told() -> None:
    text = "".join(said(OLD, NEW) + said(NEW, OLD) + said("version = 1", OLD) + said(OLD, "version = 1"))

    assert not any(digit * 12 in text for digit in "1234")


@given(DOCUMENTS, DOCUMENTS)
def test_there_is_a_change_wherever_the_tables_differ(old: Any, new: Any) -> None:
    texts = [to_toml(document) for document in (old, new)]
    assume(not any(map(mistakes, texts)))
    before, after = map(Access.parse, texts)

    assert changes(before, before) == ()
    assert bool(changes(before, after)) == (before.tables != after.tables)
