from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openai_proxy.page.form_tokens import FormTokens, is_visitor, new_visitor

TOKENS = FormTokens("one secret of enough length")


def test_a_token_holds_for_whom_it_was_made_only() -> None:
    token = TOKENS.token("cookie 1")

    assert TOKENS.holds(token, "cookie 1")
    assert not TOKENS.holds(token, "cookie 2")
    assert not TOKENS.holds(token, "")
    assert not FormTokens("another secret").holds(token, "cookie 1")


def test_a_token_does_not_show_the_cookie() -> None:
    assert "abcdefgh" not in TOKENS.token("cookie abcdefgh")


@given(st.text())
def test_any_text_is_no_token(text: str) -> None:
    assert not TOKENS.holds(text, text)


def test_each_visitor_is_another() -> None:
    assert new_visitor() != new_visitor()
    assert is_visitor(new_visitor())
