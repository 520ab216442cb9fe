from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import assume, given

from access_documents import DOCUMENTS, to_toml
from openai_proxy.access.callers import Access
from openai_proxy.access.reading import mistakes
from openai_proxy.access.warnings import warnings

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
TEXT = """\
version = 1

[defaults]
models = ["gpt-*", "gtp-5"]
budgets = [{ amount = "0.00", period = "day" }]

[teams.empty]
denied_models = ["claude-*"]
user_budgets = [{ amount = 1, period = "day" }, { amount = 0, period = "total" }]

[teams.full]
models = []

[users.ada]
team = "full"

[[users.ada.keys]]
id = "key_1"
sha256 = "1111111111111111111111111111111111111111111111111111111111111111"
created_time = 2026-04-01T00:00:00Z

[[users.ada.keys]]
id = "key_1"
sha256 = "2222222222222222222222222222222222222222222222222222222222222222"
created_time = 2026-04-01T00:00:00Z
expires_time = 2026-04-01T00:00:00Z

[users.bob]
team = "nowhere"

[users.carol]
keys = [{ id = "key_3", sha256 = "3333333333333333333333333333333333333333333333333333333333333333", \
created_time = 2027-04-01T00:00:00Z, expires_time = 2026-05-01T12:00:00Z }]

[users.demo]
allow_user_name = true

[users.finance]
email = "finance@example.com"

[users.gone]
team = "empty"
revoked = true
"""


def is_known(pattern: str) -> bool:
    return pattern.startswith("gpt")


def test_what_is_odd_in_a_good_file_has_its_place() -> None:
    found = warnings(Access.parse(TEXT), TEXT, now=NOW, is_known=is_known)

    assert [str(one) for one in found] == [
        "line 4, column 20: defaults.models[1]: no model with a known price has a name like this",
        "line 5, column 14: defaults.budgets[0].amount: 0 refuses every request that costs anything",
        "line 7, column 8: teams.empty: nobody who may call is in this team",
        "line 8, column 18: teams.empty.denied_models[0]: no model with a known price has a name like this",
        "line 9, column 51: teams.empty.user_budgets[1].amount: 0 refuses every request that costs anything",
        "line 12, column 1: teams.full.models: an empty list allows no model at all",
        "line 23, column 1: users.ada.keys[1].id: a key of ada has this id too, so the ledger does not tell them apart",
        "line 26, column 1: users.ada.keys[1].expires_time: not after created_time: one of them is wrong",
        "line 28, column 8: users.bob: there is no key; try: key add bob",
        "line 29, column 1: users.bob.team: there is no table [teams.nowhere], so nothing holds for this team",
        "line 32, column 1: users.carol.keys: all keys have expired; try: key add carol",
        "line 32, column 102: users.carol.keys[0].created_time: in the future, which has no effect",
        "line 32, column 139: users.carol.keys[0].expires_time: not after created_time: one of them is wrong",
    ]


FINE = """\
version = 1

[defaults]
models = ["gpt-*"]
budgets = [{ amount = "5", period = "day" }]

[teams.full]

[users.ada]
team = "full"

[[users.ada.keys]]
id = "key_1"
sha256 = "1111111111111111111111111111111111111111111111111111111111111111"
created_time = 2026-04-01T00:00:00Z
"""


def test_a_file_as_it_should_be_has_no_warnings() -> None:
    assert warnings(Access.parse(FINE), FINE, now=NOW, is_known=is_known) == []


@given(DOCUMENTS)
def test_warnings_of_any_good_file_have_places_in_it(document: object) -> None:
    text = to_toml(document)
    assume(not mistakes(text))
    lines = text.split("\n")

    for found in warnings(Access.parse(text), text, now=NOW, is_known=is_known):
        assert lines[found.line - 1][found.column - 1 :].strip()
