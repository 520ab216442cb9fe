from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given

from openai_proxy.access.toml_reading import loads
from toml_texts import TEXTS

PLAIN = """\
version = 1

[defaults]
models = [
  "gpt-*",
]

[users.ada] # since 1843
team = "research"
budgets = [{ amount = "20", period = "month" }]

[[users.ada.keys]]
id = "a"
created_time = 2026-05-01T12:00:00Z

# the second
[[users.ada.keys]]
id = 'b'
revoked = true

[users."b@c"]
budgets = [{ amount = "20", period = "month" }]

[teams.late]
store = false
"""


def said(read: Callable[[str], Any], text: str) -> str:
    """The document, with nan equal to itself and in the text's order; or the error."""
    try:
        return repr(read(text))
    except (ValueError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"


def test_tables_are_read_in_the_order_of_the_text() -> None:
    found = loads(PLAIN)

    assert found == tomllib.loads(PLAIN)
    assert list(found["users"]) == ["ada", "b@c"]
    assert [key["id"] for key in found["users"]["ada"]["keys"]] == ["a", "b"]


LIST = "[users.a]\n[[users.a.keys]]\n"


@pytest.mark.parametrize(
    "text",
    [
        LIST + "x = 1\nx = 2\n",
        LIST + "[users.a]\n",
        LIST + "[users.b]\n[users.b]\n",
        LIST + "[users]\n",
        LIST + "a.b = 1\na.c = 2\n",
        LIST + "a.b = 1\na = 2\n",
        LIST + "  [users.b]\nx = 1\n",
        LIST + "x = [\n[1],\n]\n",
        LIST + 'x = """\n[users.b]\ny = 1\n"""\n',
        LIST + "x = '''\n\n# y\n'''\n",
        LIST + "x = 1\r\n",
        LIST + "x = true # \x00\n",
        LIST + "created_time = 2026-02-30T00:00:00Z\n",
        LIST + "created_time = 2026-05-01T24:00:00Z\n",
        LIST + "x = " + "9" * 5_000,
        LIST + "x = " + "[" * 10_000,
        LIST + '[[users."a".keys]]\n',
        LIST + "[users.b]\nkeys = []\n[[users.b.keys]]\n",
        LIST + "[users.b.keys]\n[[users.b.keys]]\n",
        "[[users.a.keys]]\n[users.a]\n",
        "users = { a = {} }\n[[users.a.keys]]\n",
        "users.a.x = 1\n[[users.a.keys]]\n",
        "[users]\na = {}\n[[users.a.keys]]\n",
        "[users]\n[users.a]\n[[users.a.keys]]\n[users.b]\n",
        "x = '''\n[users.a]\n'''\nusers = { a = {} }\n[[users.a.keys]]\n",
        "teams = { x = {} }\n" + LIST + "[teams.y]\n",
        "\n[[x.y.z]]\n",
    ],
    ids=range(27),
)
def test_what_is_not_one_line_after_the_other_is_read_all_the_same(text: str) -> None:
    assert said(loads, text) == said(tomllib.loads, text)


@given(TEXTS)
@example("[users.a]\n[[users.a.keys]]\nx=[]\n\n[[users.a.keys]]\nx=[]")
def test_a_text_is_read_as_the_standard_library_reads_it(text: str) -> None:
    for begun in ("", "[users.ada]\n[[users.ada.keys]]\n"):
        assert said(loads, begun + text) == said(tomllib.loads, begun + text)
