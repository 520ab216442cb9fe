from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_proxy.access.callers import USER_NAME_KEY_ID, Access, Caller
from openai_proxy.keys import key_hash
from openai_proxy.page.sessions import COOKIE, LIFETIME, Session, Sessions, cookie_name, set_cookie

NOW = datetime.now(UTC)
SESSIONS = Sessions("one secret of enough length")
SESSION = Session("ada", "key_1")


def access(*, key_id: str = "key_1", extra: str = "", expires: str = "2100-01-01T00:00:00Z") -> Access:
    return Access.parse(f"""
        version = 1
        [users.ada]
        role = "admin"
        {extra}
        [[users.ada.keys]]
        id = "{key_id}"
        sha256 = "{key_hash("secret")}"
        created_time = 2026-01-01T00:00:00Z
        expires_time = {expires}
    """)


def test_a_sealed_session_opens_again() -> None:
    assert SESSIONS.open(SESSIONS.seal(SESSION), NOW) == SESSION


def test_a_session_ends_after_its_lifetime() -> None:
    value = SESSIONS.seal(SESSION)

    assert SESSIONS.open(value, NOW + LIFETIME - timedelta(seconds=5)) == SESSION
    assert SESSIONS.open(value, datetime.now(UTC) + LIFETIME) is None


def test_another_secret_opens_nothing() -> None:
    assert Sessions("another secret").open(SESSIONS.seal(SESSION), NOW) is None


def test_no_changed_character_goes_unseen() -> None:
    value = SESSIONS.seal(SESSION)
    # the last one carries two bits that base64 does not use
    changed = [value[:at] + ("A" if value[at] != "A" else "B") + value[at + 1 :] for at in range(len(value) - 1)]

    assert [SESSIONS.open(one, NOW) for one in changed] == [None] * len(changed)


@given(st.text())
def test_any_text_is_no_session(value: str) -> None:
    assert SESSIONS.open(value, NOW) is None


def test_the_caller_is_who_the_access_file_names_now() -> None:
    expected = Caller(user_id="ada", key_id="key_1", team_id=None, role="admin", allow=frozenset())

    assert SESSION.caller(access(), NOW) == expected


@pytest.mark.parametrize(
    "now_in_force",
    [
        Access.parse("version = 1"),
        access(extra="revoked = true"),
        access(key_id="key_2"),
        access(expires="2026-01-02T00:00:00Z"),
        access(key_id="key_2", extra="allow_user_name = true"),
    ],
    ids=["user removed", "user revoked", "key revoked", "key expired", "key revoked, name allowed"],
)
def test_who_lost_the_key_lost_the_session(now_in_force: Access) -> None:
    assert SESSION.caller(now_in_force, NOW) is None


def test_who_came_by_plain_name_stays_while_that_is_allowed() -> None:
    named = Session("ada", USER_NAME_KEY_ID)
    allowed = access(extra="allow_user_name = true")
    by_name = allowed.authenticate("UserName ada", NOW)

    assert by_name is not None
    assert named.caller(allowed, NOW) == by_name
    assert named.caller(access(), NOW) is None


def test_the_cookie_is_kept_from_scripts_other_sites_and_plain_http() -> None:
    assert set_cookie("v", secure=True) == f"__Host-{COOKIE}=v; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax; Secure"


def test_behind_tls_browsers_take_the_cookie_from_this_very_host_only() -> None:
    kept = set_cookie("v", secure=True).split("; ")

    # https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#name-the-__host-prefix
    assert kept[0].startswith("__Host-")
    assert {"Secure", "Path=/"} <= set(kept)
    assert not any(attribute.startswith("Domain") for attribute in kept)
    assert cookie_name(secure=False) == COOKIE


def test_an_empty_value_ends_the_cookie() -> None:
    assert set_cookie("", secure=False) == f"{COOKIE}=; Path=/log; Max-Age=0; HttpOnly; SameSite=Lax"
