from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from openai_proxy.access.callers import GOOGLE_KEY_ID, Access
from openai_proxy.keys import key_hash
from openai_proxy.page.exchange import Answer, Question, RefusedError
from openai_proxy.page.google_sign_in import SIGN_OUT_PATH, GoogleUnreachableError, WrongAssertionError
from openai_proxy.page.readers import Readers
from openai_proxy.page.wrong_keys import FROM_ONE

NOW = datetime.now(UTC)
SECRET = "a made-up secret"
KEYS = {"ada": "sk-op-made-up-ada", "boss": "sk-op-made-up-boss"}
BROWSER = "text/html"
HERE, ELSEWHERE = "203.0.113.7", "198.51.100.1"
USERS = "".join(
    f"""
    [users.{user}]
    email = "{user}@example.com"
    [[users.{user}.keys]]
    id = "key_{user}"
    sha256 = "{key_hash(key)}"
    created_time = 2026-01-01T00:00:00Z
    """
    for user, key in KEYS.items()
)
REVOKED = '[users.gone]\nemail = "gone@example.com"\nrevoked = true\n'


class HeldAccess:
    def current(self) -> Access:
        return Access.parse(f"version = 1\n{USERS}\n{REVOKED}")


@dataclass
class TrustingGoogle:
    """Takes the assertion itself for the address that Google verified; `error` is what it says instead."""

    error: Exception | None = None

    def email(self, assertion: str) -> str:
        if self.error is not None:
            raise self.error
        return assertion


def readers(google: TrustingGoogle | None = None, secret: str = SECRET) -> Readers:
    return Readers(HeldAccess(), secret, google)


def question(method: str = "GET", **fields: Any) -> Question:
    asked = Question(method=method, path="/log", base_url="https://proxy.example", accept=BROWSER, client_address=HERE)
    return replace(asked, **fields)


def form(of: Readers, *, key: str = "", session: str = "visitor.made-up", **fields: str) -> Question:
    """A form as our page sends it."""
    asked = question("POST", session=session, **fields)
    return replace(asked, form={"key": key, "token": of.form_token(asked)})


def cookie(answer: Answer | RefusedError) -> str:
    return answer.headers.get("Set-Cookie", "").partition(";")[0].partition("=")[2]


def refused(ask: object) -> RefusedError:
    assert isinstance(ask, RefusedError)
    return ask


def sign_in(of: Readers, asked: Question, now: datetime = NOW) -> Answer | RefusedError:
    try:
        return of.sign_in(asked, now)
    except RefusedError as error:
        return error


def read(of: Readers, asked: Question, now: datetime = NOW) -> str | RefusedError:
    try:
        return of.reader(asked, now).user_id
    except RefusedError as error:
        return error


def signed_in(of: Readers, user: str = "ada") -> str:
    return cookie(sign_in(of, form(of, key=KEYS[user])))


def test_another_secret_signs_everybody_out_and_voids_every_form() -> None:
    before, after = readers(), readers(secret="another")
    session = signed_in(before)

    assert read(before, question(session=session)) == "ada"
    assert refused(read(after, question(session=session))).code == "session_ended"
    with pytest.raises(RefusedError) as caught:
        after.check_form(form(before, session=session))
    assert caught.value.code == "csrf"


def test_a_first_visit_brings_a_cookie_and_the_token_that_goes_with_it() -> None:
    one = readers()
    first = refused(read(one, question()))
    visitor = cookie(first)

    assert (first.status, first.code) == (401, "missing_api_key")
    assert first.form_token == one.form_token(question(session=visitor))
    again = refused(read(one, question(session=visitor)))
    assert (again.code, again.form_token, cookie(again)) == ("missing_api_key", first.form_token, "")
    asked = replace(question("POST", session=visitor), form={"key": KEYS["ada"], "token": first.form_token})
    assert read(one, question(session=cookie(sign_in(one, asked)))) == "ada"


def test_a_session_that_ended_leaves_a_visitor_in_a_browser_and_nothing_in_a_program() -> None:
    one = readers()
    ended = refused(read(one, question(session="of yesterday")))

    assert (ended.code, cookie(ended).startswith("visitor.")) == ("session_ended", True)
    assert ended.form_token == one.form_token(question(session=cookie(ended)))
    program = refused(read(one, question(session="of yesterday", accept="application/json")))
    assert (cookie(program), "Max-Age=0" in program.headers["Set-Cookie"]) == ("", True)


def test_a_program_gets_no_cookie() -> None:
    answer = refused(read(readers(), question(accept="application/json")))

    assert (answer.status, answer.form_token, "Set-Cookie" in answer.headers) == (401, "", False)


def test_a_session_does_not_survive_signing_in_as_somebody_else() -> None:
    one = readers()
    ada = signed_in(one)

    boss = cookie(sign_in(one, form(one, key=KEYS["boss"], session=ada)))

    assert (read(one, question(session=boss)), boss == ada) == ("boss", False)


@pytest.mark.parametrize("origin", [None, "https://proxy.example"])
@pytest.mark.parametrize("token", ["", "x", "of another browser", "of nobody"])
def test_a_form_without_the_token_of_this_browser_is_refused_with_words(token: str, origin: str | None) -> None:
    one = readers()
    tokens = {
        "of another browser": one.form_token(question(session="visitor.other")),
        "of nobody": one.form_token(question()),
    }
    asked = question("POST", session="visitor.mine", **({} if origin is None else {"origin": origin}))
    asked = replace(asked, form={"key": KEYS["ada"], "token": tokens.get(token, token)})

    for ask in (lambda: one.sign_in(asked, NOW), lambda: one.sign_out(asked), lambda: one.check_form(asked)):
        with pytest.raises(RefusedError) as caught:
            ask()
        assert (caught.value.status, caught.value.code) == (403, "csrf")
        assert "Open /log and try again." in str(caught.value)


def test_a_token_of_nobody_is_good_for_nobody() -> None:
    one = readers()
    asked = replace(question("POST"), form={"key": KEYS["ada"], "token": one.form_token(question())})

    assert refused(sign_in(one, asked)).code == "csrf"


def test_a_good_token_does_not_help_another_site() -> None:
    one = readers()

    assert refused(sign_in(one, form(one, key=KEYS["ada"], fetch_site="cross-site"))).status == 403
    assert refused(sign_in(one, form(one, key=KEYS["ada"], origin="https://evil.example"))).status == 403


def test_guessing_is_stopped_with_words_and_a_time_to_wait() -> None:
    one = readers()
    tries = [refused(sign_in(one, form(one, key=f"sk-op-{number}"))) for number in range(FROM_ONE + 1)]

    assert [answer.status for answer in tries] == [401] * FROM_ONE + [429]
    assert tries[-1].headers["Retry-After"] == "60"
    assert tries[-1].form_token
    assert "Wait 60 seconds" in str(tries[-1])
    assert refused(sign_in(one, form(one, key=KEYS["ada"]))).status == 429
    assert read(one, question(session=signed_in(readers()))) == "ada"
    assert cookie(sign_in(one, form(one, key=KEYS["ada"], client_address=ELSEWHERE)))
    assert cookie(sign_in(one, form(one, key=KEYS["ada"]), NOW + timedelta(minutes=1)))


def test_guessing_by_a_header_is_stopped_as_well_but_stops_no_form() -> None:
    one = readers()
    wrong = question(authorization="Bearer sk-op-wrong", accept="application/json")
    tries = [refused(read(one, wrong)).status for _ in range(FROM_ONE + 1)]

    assert tries == [401] * FROM_ONE + [429]
    assert refused(read(one, question(authorization=f"Bearer {KEYS['ada']}"))).status == 429
    assert read(one, question(authorization=f"Bearer {KEYS['ada']}", client_address=ELSEWHERE)) == "ada"
    assert cookie(sign_in(one, form(one, key=KEYS["ada"])))


def test_good_keys_may_come_as_often_as_they_like() -> None:
    one = readers()

    assert {read(one, question(authorization=f"Bearer {KEYS['ada']}")) for _ in range(FROM_ONE * 3)} == {"ada"}


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@Example.COM"])
def test_googles_word_names_the_user_with_that_address(email: str) -> None:
    caller = readers(TrustingGoogle()).reader(question(assertion=email), NOW)

    assert (caller.user_id, caller.key_id) == ("ada", GOOGLE_KEY_ID)


def test_without_the_setting_googles_word_counts_nothing() -> None:
    assert refused(read(readers(), question(assertion="ada@example.com"))).code == "missing_api_key"


@pytest.mark.parametrize("email", ["nobody@example.com", "gone@example.com"])
def test_an_address_of_nobody_and_of_a_revoked_user_get_the_form_to_sign_in(email: str) -> None:
    answer = refused(read(readers(TrustingGoogle()), question(assertion=email)))

    assert (answer.status, answer.code, bool(answer.form_token)) == (401, "unknown_email", True)
    assert email in str(answer)


def test_who_signed_in_with_a_key_is_that_user_whatever_google_says() -> None:
    one = readers(TrustingGoogle())
    session = signed_in(one, "boss")

    assert read(one, question(assertion="ada@example.com", session=session)) == "boss"
    assert read(one, question(assertion="ada@example.com", session="visitor.v")) == "ada"
    assert read(one, question(assertion="ada@example.com", session="of yesterday")) == "ada"
    assert read(one, question(assertion="ada@example.com", authorization=f"Bearer {KEYS['boss']}")) == "boss"


def test_what_is_not_believed_is_said_and_a_key_still_signs_in(capsys: pytest.CaptureFixture[str]) -> None:
    one = readers(TrustingGoogle(WrongAssertionError("it is too long")))
    answer = refused(read(one, question(assertion="secret-assertion")))

    assert (answer.status, answer.code) == (401, "invalid_assertion")
    assert "it is too long" in str(answer)
    assert "secret-assertion" not in capsys.readouterr().err
    assert cookie(sign_in(one, form(one, key=KEYS["ada"], assertion="secret-assertion")))


def test_while_google_cannot_be_reached_the_form_to_sign_in_stands_beside_the_words() -> None:
    one = readers(TrustingGoogle(GoogleUnreachableError("no answer")))
    answer = refused(read(one, question(assertion="a")))

    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "google_unreachable", "30")
    visitor = cookie(answer)
    asked = replace(question("POST", session=visitor, assertion="a"), form={"key": KEYS["ada"]})
    asked = replace(asked, form={**asked.form, "token": answer.form_token})
    session = cookie(sign_in(one, asked))
    assert read(one, question(session=session, assertion="a")) == "ada"


def test_who_came_by_googles_word_has_forms_of_their_own_and_signs_out_there() -> None:
    one = readers(TrustingGoogle())
    asked = question("POST", assertion="ada@example.com")
    mine = replace(asked, form={"token": one.form_token(question(assertion="ada@example.com"))})
    yours = replace(asked, form={"token": one.form_token(question(assertion="boss@example.com"))})

    assert one.sign_out(mine).headers["Refresh"] == f"0; url={SIGN_OUT_PATH}"
    with pytest.raises(RefusedError):
        one.sign_out(yours)


def test_signing_out_ends_the_session_of_this_browser() -> None:
    one = readers()
    answer = one.sign_out(form(one, session=signed_in(one)))

    assert (answer.status, answer.headers["Location"], cookie(answer)) == (303, "/log", "")
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
