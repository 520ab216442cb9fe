"""The published schema and the parser say the same of every document, but for what JSON cannot tell.

That is: a TOML time is a text in JSON, and 20.0 is a whole number there; and that no key has two holders.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings

from access_documents import BAD, DOCUMENTS, GOOD, to_toml
from openai_proxy.access.fields import PERIODS, ROLES
from openai_proxy.access.reading import KEY, ORGANIZATION, RULES, TEAM, USER, mistakes
from openai_proxy.api.permissions import PERMISSIONS

SCHEMA = json.loads(resources.files("openai_proxy").joinpath("access_file.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_knows_the_fields_the_roles_and_the_permissions() -> None:
    kinds = SCHEMA["$defs"]

    assert set(SCHEMA["properties"]["defaults"]["properties"]) == set(RULES)
    assert set(SCHEMA["properties"]["organization"]["properties"]) == set(ORGANIZATION)
    assert [set(kinds[kind]["properties"]) for kind in ("team", "user", "key")] == [set(TEAM), set(USER), set(KEY)]
    assert tuple(kinds["user"]["properties"]["role"]["enum"]) == ROLES
    assert tuple(kinds["allow"]["items"]["enum"]) == PERMISSIONS
    assert tuple(kinds["budget"]["properties"]["period"]["enum"]) == PERIODS


@settings(max_examples=1_000)
@given(DOCUMENTS)
def test_the_schema_accepts_what_the_parser_accepts_and_nothing_else(document: Any) -> None:
    text = to_toml(document)

    assert VALIDATOR.is_valid(document) == (not mistakes(text)), text


@pytest.mark.parametrize(
    ("field", "values", "accepted"),
    [(field, values, True) for field, values in GOOD.items()]
    + [(field, values, False) for field, values in BAD.items()],
)
def test_each_value_that_is_tried_is_accepted_or_refused_by_both(field: str, values: list[Any], accepted: bool) -> None:  # noqa: FBT001 - a case
    for number, one in enumerate(values):
        key = {"id": "k", "sha256": f"{number:064x}", "created_time": "2026-05-01T12:00:00Z"}
        if field in KEY:
            document = {"version": 1, "users": {"ada": {"keys": [key | {field: one}]}}}
        else:
            document = {"version": 1, "teams" if field in TEAM else "users": {"ada": {field: one}}}
        found = (VALIDATOR.is_valid(document), not mistakes(to_toml(document)))
        assert found == (accepted, accepted), one
