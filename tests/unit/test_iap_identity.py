from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iap import AUDIENCE, PublicKeys, Signer, public_keys
from openai_proxy.adapters.iap_identity import IapIdentity
from openai_proxy.page.google_sign_in import GoogleUnreachableError, WrongAssertionError

GOOGLE = Signer("google-1")
NOBODY = "http://127.0.0.1:1/keys"


@pytest.fixture(scope="module")
def keys() -> Iterator[PublicKeys]:
    with public_keys(GOOGLE) as served:
        yield served


@pytest.fixture(scope="module")
def identity(keys: PublicKeys) -> IapIdentity:
    return IapIdentity(AUDIENCE, keys.url)


def why(identity: IapIdentity, assertion: str) -> str:
    with pytest.raises(WrongAssertionError) as caught:
        identity.email(assertion)
    return str(caught.value)


def test_what_google_signed_for_us_names_an_address(identity: IapIdentity) -> None:
    assert identity.email(GOOGLE.assertion("Ada.L@example.com")) == "Ada.L@example.com"


def test_the_clocks_may_differ_by_half_a_minute(identity: IapIdentity) -> None:
    now = int(time.time())

    assert identity.email(GOOGLE.assertion(iat=now + 20, exp=now + 600))
    assert identity.email(GOOGLE.assertion(iat=now - 600, exp=now - 15))


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"aud": "/projects/1/global/backendServices/2"}, "it is for another service (IAP_AUDIENCE)"),
        ({"aud": [AUDIENCE]}, "it is for another service (IAP_AUDIENCE)"),
        ({"aud": None}, "it is for another service (IAP_AUDIENCE)"),
        ({"iss": "https://accounts.google.com"}, "it is not Identity-Aware Proxy's"),
        ({"iss": None}, "it is not Identity-Aware Proxy's"),
        ({"exp": 1_700_000_000}, "its time is over, or has not come"),
        ({"iat": 4_000_000_000}, "its time is over, or has not come"),
        ({"exp": None}, "its signature or its form is wrong"),
        ({"exp": "soon"}, "its signature or its form is wrong"),
        ({"email": None}, "it names no e-mail address"),
        ({"email": 1}, "it names no e-mail address"),
        ({"email": "ada"}, "it names no e-mail address"),
    ],
)
def test_what_is_not_for_us_by_google_now_is_not_believed(
    identity: IapIdentity, claims: dict[str, object], says: str
) -> None:
    email = claims.pop("email", "ada@example.com") if "email" in claims else "ada@example.com"

    assert why(identity, GOOGLE.assertion(email, **claims)) == says  # type: ignore[arg-type] # wrong on purpose


@pytest.mark.parametrize("alg", ["none", "HS256", "RS256", "ES384", "es256"])
def test_no_other_algorithm_is_believed(identity: IapIdentity, alg: str) -> None:
    assert why(identity, GOOGLE.assertion(alg=alg)) == "it is not signed with ES256 and a named key"


def test_another_key_by_the_name_of_googles_is_not_believed(identity: IapIdentity) -> None:
    assert why(identity, Signer("google-1").assertion()) == "its signature or its form is wrong"


def test_no_changed_part_goes_unseen(identity: IapIdentity) -> None:
    mine, yours = (GOOGLE.assertion(email).split(".") for email in ("ada@example.com", "boss@example.com"))

    assert why(identity, ".".join([mine[0], yours[1], mine[2]])) == "its signature or its form is wrong"


def test_an_unknown_key_makes_google_be_asked_again_but_not_each_time(keys: PublicKeys) -> None:
    clock = [0.0]
    identity = IapIdentity(AUDIENCE, keys.url, clock=lambda: clock[0])
    asked = keys.asked
    for _ in range(5):
        assert identity.email(GOOGLE.assertion())
    assert keys.asked == asked + 1

    late = Signer("google-2")
    assert why(identity, late.assertion()) == "it is signed with a key that is not Google's"
    keys.signers.append(late)
    assert why(identity, late.assertion()) == "it is signed with a key that is not Google's"
    clock[0] += 10
    assert identity.email(late.assertion())
    assert keys.asked == asked + 2


def test_a_key_that_google_took_back_is_not_believed_after_an_hour() -> None:
    clock = [0.0]
    with public_keys(GOOGLE) as keys:
        identity = IapIdentity(AUDIENCE, keys.url, clock=lambda: clock[0])
        assert identity.email(GOOGLE.assertion())
        keys.signers.clear()
        assert identity.email(GOOGLE.assertion())
        clock[0] += 3_600

        assert why(identity, GOOGLE.assertion()) == "it is signed with a key that is not Google's"


def test_while_google_cannot_be_reached_known_keys_hold_and_of_others_nothing_is_said() -> None:
    clock = [0.0]
    with public_keys(GOOGLE) as keys:
        identity = IapIdentity(AUDIENCE, keys.url, clock=lambda: clock[0])
        assert identity.email(GOOGLE.assertion())
        keys.fails = True
        clock[0] += 4_000

        assert identity.email(GOOGLE.assertion())
        with pytest.raises(GoogleUnreachableError):
            identity.email(Signer("google-2").assertion())
        assert keys.asked == 2

        keys.fails = False
        clock[0] += 10
        assert why(identity, Signer("google-2").assertion()) == "it is signed with a key that is not Google's"


def test_without_any_keys_nothing_is_said_of_an_assertion() -> None:
    with pytest.raises(GoogleUnreachableError):
        IapIdentity(AUDIENCE, NOBODY).email(GOOGLE.assertion())


@given(st.text() | st.lists(st.binary(max_size=40).map(lambda part: part.hex()), max_size=4).map(".".join))
def test_any_text_is_no_assertion(identity: IapIdentity, text: str) -> None:
    assert why(identity, text)


def test_an_endless_assertion_is_not_read(identity: IapIdentity) -> None:
    assert why(identity, GOOGLE.assertion() + "x" * 10_000) == "it is too long"
