from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from openai_proxy.page.wrong_keys import ADDRESSES, FROM_ALL, FROM_ONE, WrongKeys

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HERE, ELSEWHERE = "203.0.113.7", "198.51.100.1"


def tried(times: int, address: str = HERE) -> WrongKeys:
    wrong = WrongKeys()
    for _ in range(times):
        wrong.add(address, NOW)
    return wrong


def test_an_address_may_be_wrong_so_often_a_minute() -> None:
    assert tried(FROM_ONE - 1).wait_seconds(HERE, NOW) == 0
    assert tried(FROM_ONE).wait_seconds(HERE, NOW) == 60
    assert tried(FROM_ONE).wait_seconds(HERE, NOW + timedelta(seconds=59.5)) == 1
    assert tried(FROM_ONE).wait_seconds(HERE, NOW + timedelta(seconds=60)) == 0


def test_the_next_minute_begins_with_the_next_wrong_key() -> None:
    wrong = tried(FROM_ONE)
    later = NOW + timedelta(seconds=90)
    wrong.add(HERE, later)

    assert wrong.wait_seconds(HERE, later) == 0


def test_nobody_waits_for_what_was_wrong_elsewhere() -> None:
    assert tried(1_000, ELSEWHERE).wait_seconds(HERE, NOW) == 0


def test_where_too_many_are_wrong_altogether_only_who_was_wrong_waits() -> None:
    wrong = WrongKeys()
    for number in range(FROM_ALL):
        wrong.add(f"10.0.0.{number}", NOW)

    assert wrong.wait_seconds("10.0.0.1", NOW) == 60
    assert wrong.wait_seconds(HERE, NOW) == 0


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:203.0.113.7", "203.0.113.7", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("made up", "made up", True),
    ],
)
def test_who_has_a_network_of_ipv6_has_one_address(one: str, other: str, is_same: bool) -> None:  # noqa: FBT001 - a case
    assert (tried(FROM_ONE, one).wait_seconds(other, NOW) > 0) == is_same


def test_what_is_remembered_takes_constant_memory_and_errs_by_letting_in() -> None:
    wrong = tried(FROM_ONE)
    for number in range(ADDRESSES):
        wrong.add(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", NOW)

    assert len(wrong._addresses) == ADDRESSES  # noqa: SLF001 - what is bounded is inside
    assert wrong.wait_seconds(HERE, NOW) == 0
