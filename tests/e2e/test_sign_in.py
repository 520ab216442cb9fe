"""Signing in to /log through a whole `serve`: the proxy relays the forms, and says from where a reader calls."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from iap import AUDIENCE, Signer, public_keys
from openai_proxy.keys import new_key
from openai_proxy.page.wrong_keys import FROM_ONE
from page_forms import sign_in, sign_out
from serving import CountingUpstream, Serving, serving, wait_for

pytestmark = pytest.mark.e2e

GOOGLE = Signer("google-1")


@pytest.fixture(scope="module")
def serve(upstream: CountingUpstream) -> Iterator[Serving]:
    with public_keys(GOOGLE) as keys, serving(upstream, IAP_AUDIENCE=AUDIENCE, IAP_KEYS_URL=keys.url) as one:
        yield one


def tried(serve: Serving, key: str, address: str) -> requests.Response:
    """What somebody at this address is answered; they also say that they were elsewhere, which nobody believes."""
    with requests.Session() as browser:
        browser.headers["X-Forwarded-For"] = f"{key[-8:]}, {address}"
        return sign_in(browser, serve.root, key)


def test_a_member_signs_in_and_out_and_the_key_is_written_nowhere(serve: Serving) -> None:
    key = serve.add_user("alice")
    wait_for("the page to know the key", lambda: serve.shows_page(key))
    with requests.Session() as browser:
        seen = sign_in(browser, serve.root, key)
        assert (seen.status_code, "Your usage" in seen.text) == (200, True)
        assert sign_out(browser, serve.root, seen.text).status_code == 401

    lost = new_key()
    answer = requests.get(f"{serve.root}/log", params={"key": lost}, headers={"Accept": "text/html"}, timeout=30)
    assert (answer.status_code, "make a new one now" in answer.text) == (400, True)
    written = serve.everything_written()
    assert written
    assert not [one for one in (key, lost) if one.encode() in written]


def test_guessing_stops_the_address_that_guesses_and_no_other(serve: Serving) -> None:
    key = serve.add_user("bob")
    wait_for("the page to know the key", lambda: serve.shows_page(key))
    wrong = [tried(serve, new_key(), "203.0.113.7").status_code for _ in range(FROM_ONE + 1)]

    assert wrong == [401] * FROM_ONE + [429]
    assert tried(serve, key, "203.0.113.7").status_code == 429
    assert tried(serve, key, "203.0.113.8").status_code == 200


def test_googles_word_reaches_the_page_through_the_proxy(serve: Serving) -> None:
    serve.add_user("carol", "--email", "carol@example.com")

    def seen() -> requests.Response | None:
        named = {"X-Goog-IAP-JWT-Assertion": GOOGLE.assertion("Carol@example.com")}
        answer = requests.get(f"{serve.root}/log", headers=named, timeout=30)
        return answer if answer.ok else None

    assert wait_for("the address to be known", seen).json()["user_id"] == "carol"
    forged = {"X-Goog-IAP-JWT-Assertion": Signer("google-1").assertion("carol@example.com")}
    assert requests.get(f"{serve.root}/log", headers=forged, timeout=30).status_code == 401
