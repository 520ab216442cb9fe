"""Signing in to log_view as it is deployed: its own process, HTTP, cookies, and a server of Google's public keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from iap import AUDIENCE, PublicKeys, Signer, public_keys
from openai_proxy.keys import new_key
from openai_proxy.page.sessions import COOKIE
from openai_proxy.page.wrong_keys import FROM_ONE
from page_forms import sign_in, sign_out, token_of
from page_serving import PageServing, page_serving
from serving import wait_for

BROWSER = {"Accept": "text/html"}
ASSERTION = "X-Goog-IAP-JWT-Assertion"
GOOGLE = Signer("google-1")


@pytest.fixture(scope="module")
def keys() -> Iterator[PublicKeys]:
    with public_keys(GOOGLE) as served:
        yield served


@pytest.fixture(scope="module")
def page(keys: PublicKeys) -> Iterator[PageServing]:
    users = ["boss", "ada", "linus"]
    with page_serving([], users, IAP_AUDIENCE=AUDIENCE, IAP_KEYS_URL=keys.url) as one:
        yield one


def get(page: PageServing, path: str = "/log", **headers: str) -> requests.Response:
    return requests.get(page.root + path, headers={**BROWSER, **headers}, timeout=30, allow_redirects=False)


def code(answer: requests.Response) -> str:
    return str(answer.json()["error"]["code"])


def by_google(page: PageServing, assertion: str, **headers: str) -> requests.Response:
    named = {ASSERTION: assertion, "Accept": "application/json", **headers}
    return requests.get(f"{page.root}/log", headers=named, timeout=30)


def test_a_form_is_sent_with_the_cookie_and_the_token_of_its_page(page: PageServing) -> None:
    with requests.Session() as browser:
        seen = sign_in(browser, page.root, page.keys["ada"])
        assert (seen.status_code, "Your usage" in seen.text) == (200, True)

        (cookie,) = iter(browser.cookies)
        assert (cookie.name, cookie.path, cookie.has_nonstandard_attr("HttpOnly")) == (COOKIE, "/log", True)
        stale = browser.post(f"{page.root}/log/sign-out", headers=BROWSER, timeout=30)
        assert (stale.status_code, "Open /log and try again." in stale.text) == (403, True)
        assert browser.get(f"{page.root}/log", headers=BROWSER, timeout=30).status_code == 200

        assert sign_out(browser, page.root, seen.text).status_code == 401


def test_a_client_with_neither_header_nor_token_is_refused_with_words(page: PageServing) -> None:
    for path in ("/log/sign-in", "/log/sign-out"):
        answer = requests.post(page.root + path, {"key": page.keys["ada"]}, timeout=30, allow_redirects=False)

        assert (answer.status_code, code(answer)) == (403, "csrf")
        assert "Authorization: Bearer YOUR_KEY" in answer.text


def test_behind_tls_only_the_cookie_that_no_neighbour_can_plant_counts(page: PageServing) -> None:
    with requests.Session() as browser:
        sign_in(browser, page.root, page.keys["ada"])
        session = browser.cookies[COOKIE]
    forwarded = {"X-Forwarded-Host": "usage.example.com", "X-Forwarded-Proto": "https"}

    assert get(page, Cookie=f"__Host-{COOKIE}={session}", **forwarded).status_code == 200
    assert get(page, Cookie=f"{COOKIE}={session}", **forwarded).status_code == 401


def test_guessing_ends_in_words_with_a_time_to_wait_and_only_for_who_guesses(page: PageServing) -> None:
    def tried(key: str, address: str) -> requests.Response:
        with requests.Session() as browser:
            return sign_in(browser, page.root, key, **{"X-Forwarded-For": f"{key}, {address}"})

    answers = [tried(f"sk-op-wrong-{number}", "203.0.113.7") for number in range(FROM_ONE + 1)]

    assert [answer.status_code for answer in answers] == [401] * FROM_ONE + [429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert "Too many wrong keys" in answers[-1].text
    assert 'type="password"' in answers[-1].text
    assert tried(page.keys["linus"], "203.0.113.7").status_code == 429
    assert tried(page.keys["linus"], "203.0.113.8").status_code == 200


@pytest.mark.parametrize("path", ["/log", "/log/", "/log/sign-in", "/log/sign-out", "/log/nowhere"])
@pytest.mark.parametrize("name", ["key", "user", "q"])
def test_a_key_in_an_address_is_refused_with_words_and_never_logged(page: PageServing, path: str, name: str) -> None:
    key = new_key()
    answer = get(page, f"{path}?{name}={key}")

    assert answer.status_code == 400
    assert "make a new one now" in answer.text
    assert key not in answer.text + str(answer.headers) + page.log


def test_googles_word_opens_the_page_of_who_has_that_address(page: PageServing, keys: PublicKeys) -> None:
    answers = [by_google(page, GOOGLE.assertion(email)) for email in ("ada@example.com", "ADA@Example.Com")]

    assert [(answer.status_code, answer.json()["user_id"]) for answer in answers] == [(200, "ada")] * 2
    assert keys.asked == 1
    seen = get(page, **{ASSERTION: GOOGLE.assertion("boss@example.com")})
    assert ("Everybody" in seen.text, "admin" in seen.text) == (True, True)
    gone = requests.post(
        f"{page.root}/log/sign-out",
        {"token": token_of(seen.text)},
        headers={**BROWSER, ASSERTION: GOOGLE.assertion("boss@example.com")},
        timeout=30,
        allow_redirects=False,
    )
    assert (gone.status_code, gone.headers["Refresh"]) == (200, "0; url=/log?gcp-iap-mode=CLEAR_LOGIN_COOKIE")


@pytest.mark.parametrize(
    ("assertion", "said"),
    [
        (GOOGLE.assertion(aud="/projects/1/global/backendServices/2"), "invalid_assertion"),
        (GOOGLE.assertion(iss="https://accounts.google.com"), "invalid_assertion"),
        (GOOGLE.assertion(exp=1_700_000_000), "invalid_assertion"),
        (GOOGLE.assertion(alg="none"), "invalid_assertion"),
        (GOOGLE.assertion(alg="HS256"), "invalid_assertion"),
        (Signer("google-1").assertion(), "invalid_assertion"),
        (Signer("google-2").assertion(), "invalid_assertion"),
        ("ada@example.com", "invalid_assertion"),
        (GOOGLE.assertion("nobody@example.com"), "unknown_email"),
    ],
)
def test_anything_else_opens_nothing_but_a_key_still_does(page: PageServing, assertion: str, said: str) -> None:
    answer = by_google(page, assertion)

    assert (answer.status_code, code(answer)) == (401, said)
    assert assertion not in page.log
    with requests.Session() as browser:
        browser.headers[ASSERTION] = assertion
        assert sign_in(browser, page.root, page.keys["ada"]).status_code == 200


def test_a_revoked_member_is_not_let_in_by_googles_word(page: PageServing) -> None:
    page.write_access(without="linus")
    try:
        wait_for(
            "the address to be nobody's",
            lambda: by_google(page, GOOGLE.assertion("linus@example.com")).status_code == 401,
        )
    finally:
        page.write_access()
        wait_for("the address to be linus's", lambda: by_google(page, GOOGLE.assertion("linus@example.com")).ok)


def test_without_the_setting_googles_word_counts_nothing() -> None:
    with page_serving([], ["ada"]) as page:
        answer = by_google(page, GOOGLE.assertion("ada@example.com"))

        assert (answer.status_code, code(answer)) == (401, "missing_api_key")


def test_while_googles_keys_cannot_be_had_the_page_says_so_and_a_key_signs_in() -> None:
    with page_serving([], ["ada"], IAP_AUDIENCE=AUDIENCE, IAP_KEYS_URL="http://127.0.0.1:1/keys") as page:
        answer = get(page, **{ASSERTION: GOOGLE.assertion("ada@example.com")})
        assert (answer.status_code, "public keys cannot be had" in answer.text) == (503, True)
        assert answer.headers["Retry-After"] == "30"

        with requests.Session() as browser:
            browser.headers[ASSERTION] = GOOGLE.assertion("ada@example.com")
            assert sign_in(browser, page.root, page.keys["ada"]).status_code == 200


def test_another_secret_signs_everybody_out() -> None:
    with requests.Session() as browser:
        with page_serving([], ["ada"]) as page:
            sign_in(browser, page.root, page.keys["ada"])
            session = browser.cookies[COOKIE]
            assert get(page, Cookie=f"{COOKIE}={session}").status_code == 200
        with page_serving([], ["ada"], SESSION_SECRET="another made-up secret") as page:
            answer = get(page, Cookie=f"{COOKIE}={session}")
            assert (answer.status_code, "You were signed out." in answer.text) == (401, True)
