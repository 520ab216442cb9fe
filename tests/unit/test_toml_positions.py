from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from hypothesis import assume, given

from openai_proxy.access.toml_positions import Path, positions
from toml_texts import TEXTS

TEXT = """\
version = 1
[users."b\\u0040c"]
team . "x" = [1, { z = 2 }, \"""
a # [x]
\""", [ 2026-01-01 12:00:00Z, 1.5 ],
] # c
[[users.a.keys]]
i = 1
  [[ users . a . keys ]]
j = "=] #"
"""


def test_every_name_and_member_has_its_line_and_column() -> None:
    assert positions(TEXT) == {
        ("version",): (1, 1),
        ("users",): (2, 2),
        ("users", "b@c"): (2, 8),
        ("users", "b@c", "team"): (3, 1),
        ("users", "b@c", "team", "x"): (3, 8),
        ("users", "b@c", "team", "x", 0): (3, 15),
        ("users", "b@c", "team", "x", 1): (3, 18),
        ("users", "b@c", "team", "x", 1, "z"): (3, 20),
        ("users", "b@c", "team", "x", 2): (3, 29),
        ("users", "b@c", "team", "x", 3): (5, 6),
        ("users", "b@c", "team", "x", 3, 0): (5, 8),
        ("users", "b@c", "team", "x", 3, 1): (5, 30),
        ("users", "a"): (7, 9),
        ("users", "a", "keys"): (7, 11),
        ("users", "a", "keys", 0): (7, 11),
        ("users", "a", "keys", 0, "i"): (8, 1),
        ("users", "a", "keys", 1): (9, 18),
        ("users", "a", "keys", 1, "j"): (10, 1),
    }


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    if isinstance(value, dict | list):
        for part, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(inner, (*path, part))


@given(TEXTS)
def test_all_that_a_text_holds_has_a_place_and_a_name_stands_there(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except ValueError:
        assume(False)  # noqa: FBT003 - hypothesis's own form
    places = positions(text)

    assert set(places) == set(paths(document))
    lines = text.split("\n")
    for path, (line, column) in places.items():
        name = re.match(r"[\w-]+|'[^']*'|\"[^\"]*\"", lines[line - 1][column - 1 :])
        if isinstance(path[-1], str):
            assert name
            assert next(iter(tomllib.loads(f"{name.group()} = 0"))) == path[-1]
