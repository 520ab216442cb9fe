"""The fields of the access file: each turns a TOML value into its meaning, or says what was expected instead.

`access_file.schema.json` says the same to editors; a test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Literal, get_args

from openai_proxy.access.budget import Budget, BudgetPeriod, Scope
from openai_proxy.api.permissions import PERMISSIONS, Permission
from openai_proxy.events import MOST_TAGS, TAG_NAME

Role = Literal["member", "lead", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
PERIODS: tuple[BudgetPeriod, ...] = get_args(BudgetPeriod)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
NAME_FORM = "1 to 64 letters, digits or . _ @ + -, beginning with a letter or digit"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODELS = re.compile(r"[!-~]{1,128}")
_EMAIL = re.compile(r"[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,190}")
_SECRET_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_NOTE = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_LARGEST_AMOUNT = 999_999_999
_LARGEST_LIMIT = 1_000_000_000
_LIKE_A_SECRET = re.compile(r"(?:^|[^A-Za-z0-9])sk-|[A-Za-z0-9_-]{40,}|[0-9a-fA-F]{12,}")  # a part of a hash, too
_LONGEST_SHOWN = 64


class FieldError(ValueError):
    """A value is not what its field takes; `path` is where in the value, when it is a list or a table."""

    def __init__(self, message: str, *path: str | int) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True)
class Allowance:
    """An amount in USD for each period: a budget, before it is known whose."""

    amount: Decimal
    period: BudgetPeriod

    def of(self, scope: Scope) -> Budget:
        """The budget of a scope."""
        return Budget(scope, self.amount, self.period)


Field = Callable[[Any], Any]


def shown(value: object) -> str:
    """A value as a message may show it: never one that could be a key or a hash."""
    if isinstance(value, str):
        secret = len(value) > _LONGEST_SHOWN or _LIKE_A_SECRET.search(value)
        return f"a text of {len(value)} characters" if secret else repr(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value) if isinstance(value, float) or abs(value) < 10**12 else "a longer number"
    names = {list: "a list", dict: "a table", datetime: "a time"}
    return names.get(type(value), "another kind of value")


def flag(value: object) -> bool:
    """A yes or no."""
    if not isinstance(value, bool):
        raise FieldError(f"expected true or false, not {shown(value)}")
    return value


def text(form: re.Pattern[str], expected: str, value: object) -> str:
    """A text of a form."""
    if not isinstance(value, str) or not form.fullmatch(value):
        raise FieldError(f"expected {expected}, not {shown(value)}")
    return value


name: Field = partial(text, NAME, NAME_FORM)
email: Field = partial(text, _EMAIL, "an e-mail address, as alice@example.com")
secret_name: Field = partial(text, _SECRET_NAME, "1 to 64 small letters, digits or _ -: a secret's name")


def sha256(value: object) -> str:
    """A key's hash."""
    if isinstance(value, str) and _SHA256.fullmatch(value):
        return value
    if isinstance(value, str) and "sk-" in value:
        raise FieldError("expected the key's SHA-256, 64 hexadecimal digits; this looks like a key: revoke it")
    found = f"a text of {len(value)} characters" if isinstance(value, str) else shown(value)
    raise FieldError(f"expected 64 hexadecimal digits in small letters, not {found}")


def note(value: object) -> str:
    """A remark for people."""
    if isinstance(value, str) and _LIKE_A_SECRET.search(value):
        raise FieldError("this looks like a key or a hash, which a note must not hold")
    return text(_NOTE, "1 to 200 characters without line breaks", value)


def role(value: object) -> Role:
    """What a user sees and may do beyond calling."""
    if value not in ROLES:
        raise FieldError(f"expected one of {', '.join(ROLES)}, not {shown(value)}")
    return value


def time(value: object) -> datetime:
    """A time with its zone, in UTC."""
    if isinstance(value, datetime) and value.tzinfo is UTC:
        return value
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise FieldError("expected a time with its zone and without quotes, as 2026-01-31T12:00:00Z")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise FieldError("out of range") from None


def limit(value: object) -> int:
    """A number of requests or tokens."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST_LIMIT:
        raise FieldError(f"expected a whole number from 1 to {_LARGEST_LIMIT}, not {shown(value)}")
    return value


def _listed(member: Field, example: str, value: object) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise FieldError(f"expected a list, as {example}, not {shown(value)}")
    members = []
    for number, item in enumerate(value):
        try:
            members.append(member(item))
        except FieldError as error:
            raise FieldError(str(error), number, *error.path) from None
    return tuple(members)


def _permission(value: object) -> Permission:
    if value not in PERMISSIONS:
        raise FieldError(f"{shown(value)} is not known; known: {', '.join(PERMISSIONS)}")
    return value


def permissions(value: object) -> frozenset[Permission]:
    """What is allowed beyond the default."""
    return frozenset(_listed(_permission, f'["{PERMISSIONS[0]}"]', value))


models: Field = partial(
    _listed, partial(text, _MODELS, "a pattern of 1 to 128 characters without spaces"), '["gpt-*", "text-*"]'
)


def tags(value: object) -> tuple[str, ...]:
    """Names of tags."""
    found = _listed(
        partial(text, TAG_NAME, "1 to 32 small letters, digits or _, beginning with a letter"), '["project"]', value
    )
    if len(found) > MOST_TAGS:
        raise FieldError(f"expected {MOST_TAGS} tags at most, as many as a request may carry, not {len(found)}")
    return found


def budgets(value: object) -> tuple[Allowance, ...]:
    """Amounts for periods, at most one of each."""
    found: tuple[Allowance, ...] = _listed(_allowance, '[{ amount = "20.00", period = "month" }]', value)
    periods = [allowance.period for allowance in found]
    for number, period in enumerate(periods):
        if period in periods[:number]:
            raise FieldError(f"there is a budget with the period {period} already", number, "period")
    return found


def _allowance(value: object) -> Allowance:
    if not isinstance(value, dict):
        raise FieldError(f'expected {{ amount = "20.00", period = "month" }}, not {shown(value)}')
    for field in value.keys() - {"amount", "period"}:
        raise FieldError("not known here; known: amount, period", field)
    for field in ("amount", "period"):
        if field not in value:
            raise FieldError(f"{field} is missing")
    return Allowance(_amount(value["amount"]), _period(value["period"]))


def _amount(value: object) -> Decimal:
    if isinstance(value, float):
        raise FieldError(f'expected an amount of USD in quotes, as "{value:.2f}": a float is not exact', "amount")
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_AMOUNT:
        return Decimal(value)
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
        raise FieldError(f'expected an amount of USD, as "20.00", not {shown(value)}', "amount")
    return Decimal(value)


def _period(value: object) -> BudgetPeriod:
    if value not in PERIODS:
        raise FieldError(f"expected one of {', '.join(PERIODS)}, not {shown(value)}", "period")
    return value
