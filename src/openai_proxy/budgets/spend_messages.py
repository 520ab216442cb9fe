"""What the proxy and log_view say to each other about spending: `POST /spend`, JSON both ways. Pure.

{"instance_id": "...", "questions": [{"kind", "name", "since", "own_since"}]}
{"amounts": ["1.25"], "other_instances": 0}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, get_args

from openai_proxy.access.budget import ScopeKind
from openai_proxy.ports import Spend, SpendQuestion

PATH = "/spend"
"""Of log_view; the proxy never relays it."""

_MOST_QUESTIONS = 1000
_LONGEST_NAME = 128


class SpendMessageError(ValueError):
    """What came is no such message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendRequest:
    """What one instance wants to know."""

    instance_id: str
    questions: tuple[SpendQuestion, ...]

    def to_json(self) -> dict[str, Any]:
        """Write it."""
        questions = [
            {
                "kind": question.scope_kind,
                "name": question.scope_name,
                "since": question.since.isoformat(),
                "own_since": question.own_since.isoformat(),
            }
            for question in self.questions
        ]
        return {"instance_id": self.instance_id, "questions": questions}

    @classmethod
    def from_json(cls, message: object) -> SpendRequest:
        """Read what `to_json` wrote.

        Raises:
            SpendMessageError: it is something else.
        """
        match message:
            case {"instance_id": str(instance_id), "questions": [*questions]} if len(questions) <= _MOST_QUESTIONS:
                return cls(instance_id=instance_id[:_LONGEST_NAME], questions=tuple(map(_question, questions)))
        raise SpendMessageError("expected an instance_id, and a list of questions")


def answer_to_json(spend: Spend) -> dict[str, Any]:
    """Write the answer."""
    return {"amounts": [format(amount, "f") for amount in spend.amounts], "other_instances": spend.other_instances}


def answer_from_json(message: object, questions: Sequence[SpendQuestion]) -> Spend:
    """Read what `answer_to_json` wrote in answer to these questions.

    Raises:
        SpendMessageError: it is something else.
    """
    match message:
        case {"amounts": [*amounts], "other_instances": int(others)} if len(amounts) == len(questions):
            return Spend(amounts=tuple(map(_amount, amounts)), other_instances=others)
    raise SpendMessageError("expected an amount for each question")


def _question(message: object) -> SpendQuestion:
    match message:
        case {"kind": kind, "name": str(name), "since": str(since), "own_since": str(own_since)}:
            if kind in get_args(ScopeKind) and len(name) <= _LONGEST_NAME:
                return SpendQuestion(scope_kind=kind, scope_name=name, since=_time(since), own_since=_time(own_since))
    raise SpendMessageError("expected a question's kind, name, since and own_since")


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise SpendMessageError("expected a time with its zone")


def _amount(text: object) -> Decimal:
    try:
        amount = Decimal(text if isinstance(text, str) else "nan")
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite():
        raise SpendMessageError("expected an amount as decimal text")
    return amount
