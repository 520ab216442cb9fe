from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from openai_proxy.access.toml_edits import EditError, add_listed, add_table, remove, set_values
from toml_texts import TEXTS

TEXT = """\
# ours
version = 1

# the boss
[users.ada] # since 1843
role = "admin"   # sees all
models = [
  "gpt-*", # cheap ones
]

# laptop
[[users.ada.keys]]
id = "a"

# phone
[[users.ada.keys]]
id = "b"   # new

# everybody
[defaults]
allow = ["files"]

# the end
"""


def test_a_value_is_changed_where_it_stands_and_a_new_one_comes_after_the_last() -> None:
    text = set_values(TEXT, ("users", "ada"), {"role": "member", "revoked": True})
    text = set_values(text, ("users", "ada", "keys", 0), {"note": "old"})

    assert text == TEXT.replace('role = "admin" ', 'role = "member" ').replace(
        '  "gpt-*", # cheap ones\n]\n', '  "gpt-*", # cheap ones\n]\nrevoked = true\n'
    ).replace('id = "a"\n', 'id = "a"\nnote = "old"\n')


def test_a_value_is_taken_away_with_its_line() -> None:
    text = set_values(TEXT, ("users", "ada"), {"role": None, "team": None})

    assert text == TEXT.replace('role = "admin"   # sees all\n', "")


def test_a_table_is_added_at_the_end_and_one_of_a_list_after_the_last_of_it() -> None:
    values = {"id": "c", "at": datetime(2026, 5, 1, 12, tzinfo=UTC), "budgets": [{"amount": "1", "period": "day"}]}
    text = add_listed(TEXT, ("users", "ada", "keys"), values)
    text = add_table(text, ("users", "b@c"), {"allow": ["files"]})

    added = (
        'id = "b"   # new\n\n[[users.ada.keys]]\nid = "c"\nat = 2026-05-01T12:00:00Z\n'
        'budgets = [{amount = "1", period = "day"}]\n'
    )
    assert text == TEXT.replace('id = "b"   # new\n', added) + '\n[users."b@c"]\nallow = ["files"]\n'


def test_a_table_goes_with_all_its_lists_and_the_comments_stay() -> None:
    text = remove(TEXT, ("users", "ada"))

    assert text == (
        "# ours\nversion = 1\n\n# the boss\n# laptop\n# phone\n# everybody\n"
        '[defaults]\nallow = ["files"]\n\n# the end\n'
    )
    assert "keys" not in tomllib.loads(remove(remove(TEXT, ("users", "ada", "keys", 0)), ("users", "ada", "keys", 0)))


def test_what_stands_in_one_value_is_changed_there() -> None:
    text = 'users = {ada = {role = "admin", keys = [{id = "a"}, {id = "b"}]}} # all\n[defaults]\n'
    text = set_values(text, ("users", "ada"), {"role": "member"})
    text = add_listed(text, ("users", "ada", "keys"), {"id": "c"})
    text = remove(text, ("users", "ada", "keys", 0))
    text = set_values(text, ("users", "ada", "keys", 0), {"note": "n"})
    text = add_table(text, ("users", "bob"), {})
    text = add_listed(text, ("users", "bob", "keys"), {"id": "d"})

    assert text.splitlines()[0].endswith(" # all")
    assert tomllib.loads(text) == {
        "users": {
            "ada": {"role": "member", "keys": [{"id": "b", "note": "n"}, {"id": "c"}]},
            "bob": {"keys": [{"id": "d"}]},
        },
        "defaults": {},
    }


def test_values_under_dotted_names_are_set_and_taken_away() -> None:
    text = 'users.ada.role = "lead" # c\nusers.ada.team = "x"\nusers.ada.models = []\n'

    edited = set_values(text, ("users", "ada"), {"role": None, "team": None, "revoked": True})
    assert tomllib.loads(edited) == {"users": {"ada": {"models": [], "revoked": True}}}


def test_a_table_that_is_only_a_list_gets_a_header_of_its_own() -> None:
    text = set_values('[[users.ada.keys]]\nid = "a"\n', ("users", "ada"), {"revoked": True, "team": None})

    assert tomllib.loads(text) == {"users": {"ada": {"keys": [{"id": "a"}], "revoked": True}}}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: set_values(text, ("users", "bob"), {"role": "member"}),
        lambda text: set_values(text, ("users", "ada", "keys", 2), {"id": "x"}),
        lambda text: add_listed(text, ("users", "bob", "keys"), {"id": "x"}),
        lambda text: remove(text, ("users", "bob")),
        lambda text: remove(text, ("teams", "x")),
    ],
)
def test_what_is_not_there_is_not_changed(change: Any) -> None:
    with pytest.raises(KeyError):
        change(TEXT)


def test_a_value_that_looks_like_a_header_is_left_to_the_owner() -> None:
    with pytest.raises(EditError, match="change it by hand"):
        set_values('[users.ada]\nnote = """\n[users.ada]\n"""\n', ("users", "ada"), {"role": "x"})


def test_a_text_whose_last_line_looks_like_a_comment_stays_whole() -> None:
    text = set_values('[users.ada]\nnote = """\n# x"""\n', ("users", "ada"), {"role": "x"})

    assert tomllib.loads(text) == {"users": {"ada": {"note": "# x", "role": "x"}}}


@given(
    st.builds("{}{}".format, st.sampled_from(["", "[users.ada]\n"]), TEXTS),
    st.sampled_from(["set", "unset", "add", "list", "remove"]),
)
def test_an_edit_changes_what_it_is_told_to_and_nothing_else(text: str, kind: str) -> None:
    try:
        document: Any = tomllib.loads(text)
        assume(isinstance(document["users"]["ada"], dict))
    except (ValueError, KeyError, TypeError):
        assume(False)  # noqa: FBT003 - hypothesis's own form
    assume(kind != "list" or isinstance(document["users"]["ada"].get("keys", []), list))
    try:
        edited = EDITS[kind](text)
    except EditError:
        assume(False)  # noqa: FBT003 - hypothesis's own form
    EXPECTED[kind](document["users"])

    found = tomllib.loads(edited)
    assert repr(sorted_deeply({"users": {}} | found)) == repr(sorted_deeply(document))


EDITS: dict[str, Callable[[str], str]] = {
    "set": lambda text: set_values(text, ("users", "ada"), {"role": "x", "new": [1]}),
    "unset": lambda text: set_values(text, ("users", "ada"), {"id": None}),
    "add": lambda text: add_table(text, ("users", "new"), {"role": "x"}),
    "list": lambda text: add_listed(text, ("users", "ada", "keys"), {"id": "x"}),
    "remove": lambda text: remove(text, ("users", "ada")),
}
EXPECTED: dict[str, Callable[[Any], object]] = {
    "set": lambda users: users["ada"].update(role="x", new=[1]),
    "unset": lambda users: users["ada"].pop("id", None),
    "add": lambda users: users.update(new={"role": "x"}),
    "list": lambda users: users["ada"].setdefault("keys", []).append({"id": "x"}),
    "remove": lambda users: users.pop("ada"),
}


def sorted_deeply(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: sorted_deeply(value[name]) for name in sorted(value)}
    return [sorted_deeply(member) for member in value] if isinstance(value, list) else value


def test_every_comment_stands_above_what_it_stood_above() -> None:
    text = set_values(TEXT, ("users", "ada"), {"revoked": True})
    text = set_values(text, ("users", "ada", "keys", 1), {"note": "x"})
    text = add_listed(add_table(text, ("teams", "x"), {}), ("users", "ada", "keys"), {"id": "c"})

    def above(found: str) -> dict[str, str]:
        return {one: other for one, other in pairwise(found.splitlines()) if one.startswith("#")}

    assert above(text) == above(TEXT) | {"# the end": ""}
    assert re.findall("#.*", text) == re.findall("#.*", TEXT)
