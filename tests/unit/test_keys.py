from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_proxy.keys import is_mistyped_key, key_hash, looks_like_key, new_key, new_key_id

KEY = new_key()


def test_a_key_has_a_prefix_that_secret_scanners_can_know_and_256_bits() -> None:
    assert re.fullmatch(r"sk-op-[0-9A-Za-z]{49}", KEY)
    assert len({new_key() for _ in range(1_000)}) == 1_000


def test_a_new_key_looks_like_one() -> None:
    assert all(looks_like_key(new_key()) for _ in range(100))


@given(st.integers(min_value=6, max_value=len(KEY) - 1), st.sampled_from("0123456789ABCxyz"))
def test_a_mistyped_key_does_not(place: int, letter: str) -> None:
    mistyped = KEY[:place] + letter + KEY[place + 1 :]

    assert looks_like_key(mistyped) == (mistyped == KEY)


@pytest.mark.parametrize(
    "text", ["", "sk-op-", KEY[6:], KEY + "0", KEY[:-1], "sk-" + KEY[6:], "sk-op-" + "\ud800" * 49]
)
def test_other_texts_do_not(text: str) -> None:
    assert not looks_like_key(text)


@pytest.mark.parametrize(
    ("text", "mistyped"),
    [
        (KEY, False),
        (KEY[:-1], True),
        ("sk-op-", True),
        (KEY[1:], False),
        ("", False),
        ("sk-proj-x", False),
        ("ada", False),
    ],
)
def test_a_mistyped_key_is_one_that_begins_like_ours_and_cannot_be_one(text: str, mistyped: bool) -> None:  # noqa: FBT001 - a case
    assert is_mistyped_key(text) is mistyped


def test_a_key_is_kept_as_its_sha256() -> None:
    assert key_hash(KEY) == hashlib.sha256(KEY.encode()).hexdigest()


def test_a_key_id_tells_nothing_of_the_key() -> None:
    assert re.fullmatch(r"key_[0-9a-f]{12}", new_key_id())
    assert len({new_key_id() for _ in range(1_000)}) == 1_000
