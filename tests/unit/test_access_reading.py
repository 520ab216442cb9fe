from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_proxy.access.mistakes import AccessFileError, Mistake
from openai_proxy.access.reading import mistakes, parse
from openai_proxy.keys import key_hash, new_key

KEY = new_key()
HASH = key_hash(KEY)
GOOD = f"""\
version = 1 # ours

[defaults]
allow = ["files"]
models = [
  "gpt-*",
  "text-*",
]
budgets = [{{ amount = "20.00", period = "month" }}]

[organization]
budgets = [{{ amount = 1000, period = "month" }}]

[teams.research]
denied_models = ["*-pro"]
user_budgets = [{{ amount = "5", period = "day" }}]
store = false
upstream_key = "research"

[users.ada]
team = "research"
role = "lead"
required_tags = ["project"]
requests_per_minute = 60

[[users.ada.keys]]
id = "key_1"
sha256 = "{HASH}"
created_time = 2026-04-01T00:00:00Z
expires_time = 2027-04-01T00:00:00Z
note = "laptop"

[[users.ada.keys]]
id = "key_2"
sha256 = "{"0" * 64}"
created_time = 2026-05-01T00:00:00+02:00

[users."bob@example.com"]
allow_user_name = true
may_name_users = true
"""


def broken(text: str) -> str:
    """What one reads of the first mistake."""
    with pytest.raises(AccessFileError) as caught:
        parse(text)
    assert caught.value.mistakes == mistakes(text)
    return str(caught.value).removeprefix("the access file, ")


def test_a_good_file_has_no_mistakes() -> None:
    assert mistakes(GOOD) == ()
    assert list(parse(GOOD).users) == ["ada", "bob@example.com"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1, column 1: version: the file must begin with version = 1"),
        ("# x\nversion = 2", "line 2, column 1: version: the file must begin with version = 1"),
        ("version = true", "line 1, column 1: version: the file must begin with version = 1"),
        ("version = 1.0", "line 1, column 1: version: the file must begin with version = 1"),
        ("version = 1\nversion = 1", "line 2, column 12: not TOML: cannot overwrite a value"),
        ("version = 1\n= 1", "line 2, column 1: not TOML: invalid statement"),
        ("version = 1\n[users.ada", "line 2, column 11: not TOML: "),
        ('version = 1\nx = "a', "line 2, column 7: not TOML: "),
        ("version = 1\n[users.ada]\n[users.ada]", "line 3, column 11: not TOML: a wrong value or a name twice"),
        ("version = 1\nx = " + "[" * 10_000, "line 1, column 1: not TOML: nested too deeply"),
        ("version = 1\nx = " + "9" * 5_000, "line 1, column 1: not TOML: a wrong value or a name twice"),
        ("version = 1\ncolour = 1", "line 2, column 1: colour: not known here; known: defaults, organization, teams, "),
        ("version = 1\nuser = {}", "line 2, column 1: user: not known here; did you mean users?"),
        ("version = 1\nusers = 1", "line 2, column 1: users: expected a table, not 1"),
        ("version = 1\n[users]\nada = true", "line 3, column 1: users.ada: expected a table, not true"),
        ('version = 1\n[users."a b"]', "line 2, column 8: users.('a b'): a user's name has 1 to 64 letters, digits or"),
        ('version = 1\n[teams."a b"]', "line 2, column 8: teams.('a b'): a team's name has 1 to 64 letters, digits or"),
        ("version = 1\n[users.ada]\ncolour = 1", "line 3, column 1: users.ada.colour: not known here; known: allow, "),
        ("version = 1\n[users.ada]\nteam = 1", "line 3, column 1: users.ada.team: expected 1 to 64 letters, digits or"),
        (
            'version = 1\n[users.ada]\nrole = "boss"',
            "line 3, column 1: users.ada.role: expected one of member, lead, admin, not 'boss'",
        ),
        (
            "version = 1\n[users.ada]\nrole = ['lead']",
            "line 3, column 1: users.ada.role: expected one of member, lead, admin, not a list",
        ),
        ("version = 1\n[users.ada]\nrevoked = 1", "line 3, column 1: users.ada.revoked: expected true or false, not 1"),
        ("version = 1\n[users.ada]\nstore = false", "line 3, column 1: users.ada.store: not known here; "),
        (
            'version = 1\n[users.ada]\nallow = ["files", \n  "all"]',
            "line 4, column 3: users.ada.allow[1]: 'all' is not known; known: background_responses, ",
        ),
        (
            'version = 1\n[users.ada]\nallow = "all"',
            "line 3, column 1: users.ada.allow: expected a list, as [\"background_responses\"], not 'all'",
        ),
        ("version = 1\n[users.ada]\nallow = [[]]", "line 3, column 10: users.ada.allow[0]: a list is not known; "),
        (
            "version = 1\n[users.ada]\nmodels = [1]",
            "line 3, column 11: users.ada.models[0]: expected a pattern of 1 to",
        ),
        (
            'version = 1\n[users.ada]\nmodels = ["gpt 4"]',
            "line 3, column 11: users.ada.models[0]: expected a pattern of 1 to 128 characters without spaces, not ",
        ),
        (
            "version = 1\n[users.ada]\nrequests_per_minute = 0",
            "line 3, column 1: users.ada.requests_per_minute: expected a whole number from 1 to 1000000000, not 0",
        ),
        (
            "version = 1\n[users.ada]\ntokens_per_minute = 1.5",
            "line 3, column 1: users.ada.tokens_per_minute: expected a whole number from 1 to 1000000000, not 1.5",
        ),
        (
            "version = 1\n[users.ada]\nconcurrent_requests = true",
            "line 3, column 1: users.ada.concurrent_requests: expected a whole number from 1 to 1000000000, not true",
        ),
        (
            'version = 1\n[users.ada]\nrequired_tags = ["a", "b", "c", "d", "e", "f"]',
            "line 3, column 1: users.ada.required_tags: expected 5 tags at most, as many as a request may carry, not 6",
        ),
        (
            "version = 1\n[users.ada]\nbudgets = [{ amount = 20.5, period = 'month' }]",
            'line 3, column 14: users.ada.budgets[0].amount: expected an amount of USD in quotes, as "20.50": a float',
        ),
        (
            "version = 1\n[users.ada]\nbudgets = [{ amount = '1e3', period = 'month' }]",
            "line 3, column 14: users.ada.budgets[0].amount: expected an amount of USD, as \"20.00\", not '1e3'",
        ),
        (
            "version = 1\n[users.ada]\nbudgets = [{ amount = -1, period = 'month' }]",
            'line 3, column 14: users.ada.budgets[0].amount: expected an amount of USD, as "20.00", not -1',
        ),
        (
            "version = 1\n[users.ada]\nbudgets = [{ amount = 1, period = 'year' }]",
            "line 3, column 26: users.ada.budgets[0].period: expected one of day, week, month, total, not 'year'",
        ),
        (
            "version = 1\n[users.ada]\nbudgets = [{ amount = 1 }]",
            "line 3, column 12: users.ada.budgets[0]: period is missing",
        ),
        (
            "version = 1\n[users.ada]\nbudgets = [{ amount = 1, period = 'day', x = 1 }]",
            "line 3, column 42: users.ada.budgets[0].x: not known here; known: amount, period",
        ),
        (
            "version = 1\n[users.ada]\nbudgets = [{ amount = 1, period = 'day' }, { amount = 2, period = 'day' }]",
            "line 3, column 58: users.ada.budgets[1].period: there is a budget with the period day already",
        ),
        ("version = 1\n[users.ada]\nbudgets = [3]", "line 3, column 12: users.ada.budgets[0]: expected { amount = "),
        ('version = 1\n[defaults]\nallow = ["batch"]', "line 3, column 10: defaults.allow[0]: 'batch' is not known; "),
        ("version = 1\n[defaults]\nstore = false", "line 3, column 1: defaults.store: not known here; known: allow, "),
        ("version = 1\ndefaults = []", "line 2, column 1: defaults: expected a table, not a list"),
        (
            "version = 1\n[organization]\nallow = []",
            "line 3, column 1: organization.allow: not known here; known: budg",
        ),
        ('version = 1\n[teams.x]\nstore = "no"', "line 3, column 1: teams.x.store: expected true or false, not 'no'"),
        ("version = 1\n[teams.x]\nkeys = []", "line 3, column 1: teams.x.keys: not known here; "),
        (
            'version = 1\n[teams.x]\nupstream_key = "../x"',
            "line 3, column 1: teams.x.upstream_key: expected 1 to 64 sma",
        ),
        ("version = 1\n[teams]\nx = 1", "line 3, column 1: teams.x: expected a table, not 1"),
        ("version = 1\nteams = 2026-01-01T00:00:00Z", "line 2, column 1: teams: expected a table, not a time"),
        (
            "version = 1\n[users.ada]\nkeys = 1",
            "line 3, column 1: users.ada.keys: expected [[users.ada.keys]] tables, not 1",
        ),
        ("version = 1\n[users.ada]\nkeys = [1]", "line 3, column 9: users.ada.keys[0]: expected a table, not 1"),
        (
            "version = 1\n[users.ada]\nkeys = [{}]",
            "line 3, column 9: users.ada.keys[0].created_time: missing (and 2 more: ",
        ),
        ("version = 1\n[users.ada]\nkeys = [{x = 1}]", "line 3, column 10: users.ada.keys[0].x: not known here; "),
        ("version = 1\n[[users.ada.keys]]\nid = 1", "line 3, column 1: users.ada.keys[0].id: expected 1 to 64 letters"),
        (
            'version = 1\n[[users.ada.keys]]\nid = "k"\nsha256 = "abc"',
            (
                "line 4, column 1: users.ada.keys[0].sha256: expected 64 hexadecimal digits in small letters,"
                " not a text of 3 characters"
            ),
        ),
        (
            'version = 1\n[[users.ada.keys]]\nnote = "a\\nb"',
            "line 3, column 1: users.ada.keys[0].note: expected 1 to 200 characters without line breaks, not ",
        ),
    ],
)
def test_a_mistake_says_where_it_stands_what_is_wrong_and_what_was_expected(text: str, says: str) -> None:
    assert broken(text)[: len(says)] == says


@pytest.mark.parametrize(
    ("times", "says"),
    [
        ("", "line 2, column 13: users.ada.keys[0].created_time: missing"),
        (
            "created_time = 2026-01-01",
            "line 5, column 1: users.ada.keys[0].created_time: expected a time with its zone",
        ),
        (
            "created_time = 2026-01-01T00:00:00",
            "line 5, column 1: users.ada.keys[0].created_time: expected a time with",
        ),
        ("created_time = 0001-01-01T00:00:00+10:00", "line 5, column 1: users.ada.keys[0].created_time: out of range"),
        (
            "created_time = 2026-01-01T00:00:00Z\nexpires_time = 'never'",
            "line 6, column 1: users.ada.keys[0].expires_time: expected a time with its zone and without quotes",
        ),
    ],
)
def test_a_key_has_times_with_their_zones(times: str, says: str) -> None:
    assert broken(f"version = 1\n[[users.ada.keys]]\nid = 'k'\nsha256 = '{HASH}'\n{times}").startswith(says)


def test_one_address_has_one_user_whatever_its_capitals() -> None:
    said = broken('version = 1\n[users.a]\nemail = "Ada@Example.com"\n[users.b]\n  email = "ada@example.COM"')

    assert (
        said == "line 5, column 3: users.b.email: another user has this address; who signs in with it would be either"
    )


def test_an_address_is_one() -> None:
    said = broken('version = 1\n[users.a]\nemail = "ada"')

    assert said == "line 3, column 1: users.a.email: expected an e-mail address, as alice@example.com, not 'ada'"


def test_one_key_has_one_holder() -> None:
    key = f'keys = [{{id = "k", sha256 = "{HASH}", created_time = 2026-01-01T00:00:00Z}}]'

    said = broken(f"version = 1\n[users.a]\n{key}\n[users.b]\n{key}")

    assert said == "line 5, column 20: users.b.keys[0].sha256: key 'k' is already held by another entry"


def test_all_mistakes_are_found_in_the_order_of_the_text() -> None:
    text = GOOD.replace('"lead"', '"boss"').replace("[organization]", "[organisation]").replace("= 60", '= "60"')
    text = text.replace("2026-04-01T00:00:00Z", "2026-04-01").replace('id = "key_2"\n', "")

    assert [(one.line, one.column, one.place) for one in mistakes(text)] == [
        (11, 2, "organisation"),
        (22, 1, "users.ada.role"),
        (24, 1, "users.ada.requests_per_minute"),
        (29, 1, "users.ada.keys[0].created_time"),
        (33, 13, "users.ada.keys[1].id"),
    ]
    assert broken(text).endswith("did you mean organization? (and 4 more: openai-proxy access check)")


@pytest.mark.parametrize(
    "text",
    [
        GOOD + f'\nx = "{HASH}"\nx = "{HASH}"',
        GOOD + f"\n{HASH} = 1",
        GOOD + f"\n[users.{HASH}]\nrole = 1",
        GOOD + f"\n[users.x]\nrole = '{HASH}'",
        GOOD + f"\n[users.x]\nrole = '{KEY}'",
        GOOD + f"\n[users.x]\n{KEY} = 1",
        GOOD + f"\n[users.x]\nmodels = ['{KEY} ']",
        GOOD + f"\n[users.x]\nallow = ['{KEY}']",
        GOOD + f"\n[users.x]\nkeys = '{KEY}'",
        GOOD + f"\n[[users.x.keys]]\nsha256 = '{KEY}'",
        GOOD + f"\n[[users.x.keys]]\nsha256 = '{HASH.upper()}'",
        GOOD + f"\n[[users.x.keys]]\nsha256 = '{HASH[:30]}?{HASH[31:]}'",
        GOOD + f"\n[[users.x.keys]]\nid = '{HASH[:30]}?{HASH[31:]}'",
        GOOD + f"\n[[users.x.keys]]\nnote = 'it is {KEY}'",
        GOOD + f"\n[[users.x.keys]]\nid = '{HASH}'\nsha256 = '{HASH}'\ncreated_time = 2026-01-01T00:00:00Z",
        GOOD + f"\n[teams.x]\nbudgets = [{{ amount = '{KEY}', period = '{HASH}' }}]",
        GOOD + f"\n[teams.x]\nbudgets = [{{ {HASH} = 1 }}]",
        GOOD + f"\n[teams.'{KEY}']\nx = 1",
        f"{KEY}",
        f"version = 1\n[{HASH}",
        f"version = 1\n{HASH} = {KEY}",
        f"version = 1\na = {{ '{KEY}' = 1, '{KEY}' = 2 }}",
    ],
    ids=range(22),
)
def test_what_is_said_of_a_mistake_shows_no_hash_and_no_key(text: str) -> None:
    said = "".join(map(str, mistakes(text)))

    assert said
    assert HASH[:20] not in said.lower()
    assert KEY[6:20] not in said


def test_a_file_of_windows_is_read_and_its_mistakes_have_the_same_places() -> None:
    assert mistakes(GOOD.replace("\n", "\r\n")) == ()
    (found,) = mistakes(GOOD.replace('"lead"', '"boss"').replace("\n", "\r\n"))
    assert (found.line, found.column) == (22, 1)


@settings(max_examples=300)
@given(st.text() | st.text().map("version = 1\n{}".format))
def test_whatever_the_text_it_is_read_or_refused_with_its_mistakes(text: str) -> None:
    for found in mistakes(text):
        assert isinstance(found, Mistake)


WORDS = re.findall(r"[\w.-]+|\S", GOOD)
MUTATIONS: list[Callable[[random.Random, str], str]] = [
    lambda dice, text: text[: (at := dice.randrange(len(text)))] + text[at + dice.randrange(1, 9) :],
    lambda dice, text: text[: dice.randrange(len(text))],
    lambda dice, text: text[: (at := dice.randrange(len(text)))] + chr(dice.randrange(1, 0x3000)) + text[at:],
    lambda dice, text: text[: (at := dice.randrange(len(text)))] + dice.choice("[]{}=\"',.#\n\x00\\") + text[at + 1 :],
    lambda dice, text: text.replace(dice.choice(WORDS), dice.choice(WORDS), dice.choice([1, -1])),
    lambda dice, text: "\n".join(dice.sample(lines := text.split("\n"), len(lines))),
    lambda dice, text: text + "\n".join(dice.choices(text.split("\n"), k=3)),
    lambda dice, text: text.replace(dice.choice(text.split("\n")), "", 1),
    lambda dice, text: re.sub(
        r"= .*", lambda found: f"= {dice.choice(WORDS)}" if dice.random() < 0.1 else found[0], text
    ),
]


@pytest.mark.parametrize("seeds", [range(first, first + 100) for first in range(0, 1_000, 100)], ids=str)
def test_of_a_thousand_mutations_each_is_read_or_refused_with_the_places_of_its_mistakes(seeds: range) -> None:
    refused = 0
    for seed in seeds:
        dice = random.Random(seed)  # noqa: S311 - a test that can be repeated
        text = GOOD
        for mutation in dice.choices(MUTATIONS, k=dice.randrange(1, 4)):
            text = mutation(dice, text or GOOD)
        found = mistakes(text)
        refused += bool(found)
        lines = text.replace("\r\n", "\n").split("\n")
        for one in found:
            assert 1 <= one.line <= len(lines), seed
            assert 1 <= one.column <= len(lines[one.line - 1]) + 1, seed
            assert HASH not in str(one), seed

    assert 40 < refused < 100  # most, and not all
