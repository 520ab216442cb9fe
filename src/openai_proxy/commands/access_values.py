"""Options that are fields of the access file: of a user, a team, or everybody."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from openai_proxy.access import fields
from openai_proxy.access.fields import PERIODS, Field, FieldError
from openai_proxy.access.toml_edits import EditError
from openai_proxy.commands.parsing import Arguments

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_NO_BUDGET = "none"


def add_rules(command: argparse.ArgumentParser, *, budget: str = "--budget", budgets: str = "budgets") -> None:
    """Declare what can be said of each user's requests."""
    add_budget(command, budget, budgets, "of each user")
    for option, field, text in (
        ("--allow", fields.permissions, "what is allowed beyond the default, as files,evals"),
        ("--models", fields.models, "patterns of the models that may be used, as 'gpt-*,o3'; '' allows none"),
        ("--denied-models", fields.models, "patterns of models that may not be used"),
        ("--required-tags", fields.tags, "tags that each request must carry, as project"),
    ):
        command.add_argument(option, type=_names(field), metavar="A,B", help=text)
    for option in ("--requests-per-minute", "--tokens-per-minute", "--concurrent-requests"):
        command.add_argument(option, type=_checked(_whole, fields.limit), metavar="N", help="a limit of each user")


def add_budget(command: argparse.ArgumentParser, option: str, dest: str, whose: str) -> None:
    """Declare a list of budgets."""
    text = f"USD {whose}, as 20/month; one of each period ({', '.join(PERIODS)}), or {_NO_BUDGET}"
    command.add_argument(option, action="append", dest=dest, type=_budget, metavar="AMOUNT/PERIOD", help=text)


def add_unset(command: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Declare the way to say nothing of a field any more, so that the next table's rule holds."""
    known = sorted(names)

    def read(text: str) -> list[str]:
        found = [name.strip().replace("-", "_") for name in text.split(",")]
        if unknown := [name for name in found if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(known)}")
        return found

    command.add_argument("--unset", type=read, default=[], metavar="A,B", help=f"take away any of {', '.join(known)}")


def values(arguments: Arguments, names: Iterable[str]) -> dict[str, object]:
    """What the options say, as TOML has it; None takes a field away.

    Raises:
        EditError: a budget beside none, or two of one period.
    """
    said: dict[str, object] = {}
    for name in names:
        value = getattr(arguments, name, None)
        if name in {"budgets", "user_budgets"} and value is not None:
            value = _budgets(f"--{name.removesuffix('s').replace('_', '-')}", value)
        if value is not None:
            said[name] = value
    return said | dict.fromkeys(getattr(arguments, "unset", ()))


def _budgets(option: str, said: list[dict[str, str] | None]) -> list[dict[str, str]]:
    """What an option that may be given more than once says in all."""
    found = [budget for budget in said if budget is not None]
    if found and len(found) < len(said):
        raise EditError(f"{option}: say {_NO_BUDGET}, or amounts, not both")
    try:
        fields.budgets(found)
    except FieldError as error:
        raise EditError(f"{option}: {error}; one of each period") from None
    return found


def duration(text: str) -> timedelta:
    """A length of time: 24h, 30m, 0s, 90d."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text, re.ASCII)
    if not match:
        raise argparse.ArgumentTypeError("expected a number and s, m, h or d, as 24h")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def moment(text: str) -> datetime:
    """A time to come: a length of time from now, a date (its beginning in UTC), or an RFC 3339 time."""
    now = datetime.now(UTC)
    try:
        if re.fullmatch(r"\d+[smhd]", text, re.ASCII):
            found = now + duration(text)
        else:
            found = datetime.fromisoformat(text)
            found = found if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError("expected 90d, a date, or a time as 2026-12-31T12:00:00Z") from None
    if found <= now:
        raise argparse.ArgumentTypeError("that is not in the future")
    return found.astimezone(UTC)


def _checked(read: Callable[[str], Any], field: Field) -> Callable[[str], Any]:
    """Reads an option as the access file would read the field."""

    def check(text: str) -> Any:  # noqa: ANN401 - of the field's own type
        value = read(text)
        try:
            field(value)
        except FieldError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return value

    return check


def _names(field: Field) -> Callable[[str], Any]:
    return _checked(lambda text: [name.strip() for name in text.split(",") if name.strip()], field)


def _whole(text: str) -> object:
    return int(text) if re.fullmatch(r"\d{1,12}", text, re.ASCII) else text


def _budget(text: str) -> dict[str, str] | None:
    if text == _NO_BUDGET:
        return None
    amount, _, period = text.partition("/")
    budget = {"amount": amount, "period": period}
    try:
        fields.budgets([budget])
    except FieldError as error:
        raise argparse.ArgumentTypeError(f"{error}; a budget is AMOUNT/PERIOD, as 20/month") from None
    return budget


name_of_secret = _checked(str, fields.secret_name)
note = _checked(str, fields.note)
email = _checked(str, fields.email)
