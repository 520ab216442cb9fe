from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from openai_proxy.budgets.spend_messages import SpendMessageError, SpendRequest, answer_from_json, answer_to_json
from openai_proxy.ports import Spend, SpendQuestion

SINCE = datetime(2026, 11, 1, tzinfo=UTC)
QUESTION = SpendQuestion(
    scope_kind="user", scope_name="ada", since=SINCE, own_since=datetime(2026, 11, 23, 12, 0, 0, 123000, tzinfo=UTC)
)
ASKED = SpendRequest(instance_id="instance-1", questions=(QUESTION, QUESTION))


def test_a_request_is_read_as_it_was_written() -> None:
    assert SpendRequest.from_json(json.loads(json.dumps(ASKED.to_json()))) == ASKED


def test_an_answer_is_read_as_it_was_written_to_the_last_digit() -> None:
    spend = Spend(amounts=(Decimal("1E-9"), Decimal("123456789.123456789")), other_instances=3)

    assert answer_from_json(json.loads(json.dumps(answer_to_json(spend))), [QUESTION, QUESTION]) == spend


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "planet"},
        {"kind": ["user"]},
        {"name": 7},
        {"name": "x" * 129},
        {"since": "yesterday"},
        {"since": "2026-11-01T00:00:00"},
        {"since": None},
        {"own_since": "0001-01-01T00:00:00+23:00"},
    ],
)
def test_a_question_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    question = SpendRequest(instance_id="i", questions=(QUESTION,)).to_json()["questions"][0] | change

    with pytest.raises(SpendMessageError):
        SpendRequest.from_json({"instance_id": "i", "questions": [question]})


@pytest.mark.parametrize(
    "message", [None, [], {}, {"instance_id": 1, "questions": []}, {"instance_id": "i", "questions": [{}] * 1001}]
)
def test_what_is_no_request_is_refused(message: object) -> None:
    with pytest.raises(SpendMessageError):
        SpendRequest.from_json(message)


@pytest.mark.parametrize(
    "message",
    [
        None,
        {"amounts": ["1"]},
        {"amounts": [], "other_instances": 0},
        {"amounts": ["1", "2"], "other_instances": 0},
        {"amounts": ["much"], "other_instances": 0},
        {"amounts": ["NaN"], "other_instances": 0},
        {"amounts": [1.5], "other_instances": 0},
        {"amounts": ["1"], "other_instances": "0"},
    ],
)
def test_what_is_no_answer_is_refused(message: object) -> None:
    with pytest.raises(SpendMessageError):
        answer_from_json(message, [QUESTION])
