from __future__ import annotations

import pytest

from openai_proxy.keys import new_key
from openai_proxy.page.exchange import Question, RefusedError
from openai_proxy.page.key_in_address import refuse_key_in_address

KEY = new_key()


def question(**query: str) -> Question:
    return Question(method="GET", path="/log", base_url="https://proxy.example", query=query)


@pytest.mark.parametrize(
    "query",
    [
        {"key": KEY},
        {"user": f"Bearer {KEY}"},
        {KEY: ""},
        {"x": "sk-proj-made-up-of-openai"},
        {"api_key": "whatever"},
        {"Token": "whatever"},
        {"authorization": ""},
    ],
)
def test_a_key_in_an_address_is_refused_and_not_repeated(query: dict[str, str]) -> None:
    with pytest.raises(RefusedError) as caught:
        refuse_key_in_address(question(**query))

    assert (caught.value.status, caught.value.code) == (400, "key_in_address")
    assert "make a new one now" in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "query", [{}, {"key": "key_1f0c2b9d7a55"}, {"model": "risk-model-12345"}, {"tag": "task=desk-12345678"}]
)
def test_what_is_no_key_passes(query: dict[str, str]) -> None:
    refuse_key_in_address(question(**query))
