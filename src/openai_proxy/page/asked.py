"""What a reader asks of `/log` by its address: which requests, in which form, and the addresses of other choices."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import get_args
from urllib.parse import urlencode

from openai_proxy.page.exchange import Question, RefusedError
from openai_proxy.page.periods import parse_period
from openai_proxy.ports import Selection, Status, Tag

PERIOD = ("period", "since", "until")
FILTERS = ("user", "team", "key", "model", "operation", "status", "tag")
KEPT = (*PERIOD, *FILTERS, "measure", "by", "sort")
"""What stays in an address when something else of it changes, in this order."""

FORMATS = ("html", "json", "csv")
STATUSES: Sequence[Status] = get_args(Status)
NAME = re.compile(r"[A-Za-z0-9._:@+-]{1,128}")
_MODEL = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,512}")
_PAGE = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One address, read: `parameters` are those of it that are `KEPT`, as they came."""

    path: str
    parameters: Mapping[str, str]
    period_name: str | None
    selection: Selection
    form: str

    def href(self, path: str | None = None, **changes: str | None) -> str:
        """The address of the same with changes; None takes a parameter away."""
        merged = {**self.parameters, **changes}
        order = [*KEPT, *(name for name in merged if name not in KEPT)]
        query = urlencode([(name, value) for name in order if (value := merged.get(name))])
        return f"{path or self.path}?{query}" if query else path or self.path

    @property
    def has_filters(self) -> bool:
        """Whether less is asked for than everything of the period."""
        return any(self.parameters.get(name) for name in FILTERS)


def asked_of(question: Question, path: str, now: datetime) -> Asked:
    """Read an address; whose usage the reader may see is not looked at yet.

    Raises:
        RefusedError, PeriodError: a parameter is not what it may be; the text says what that is.
    """
    given = {name: value for name in KEPT if (value := question.query.get(name, "").strip())}
    form = question.query.get("format") or ("html" if question.wants_page else "json")
    if form not in FORMATS:
        raise RefusedError(400, f"format must be one of {', '.join(FORMATS)}.", code="invalid_format")
    name, period = parse_period(given, now)
    selection = Selection(
        period=period,
        user_id=_matching(given, "user", NAME, "a user's name, as ada"),
        team_id=_matching(given, "team", NAME, "a team's name, as research"),
        key_id=_matching(given, "key", NAME, "the id of a key, as key_1"),
        model=_matching(given, "model", _MODEL, "a model's name of at most 512 characters, as gpt-4.1"),
        operation=_matching(given, "operation", NAME, "an operation, as chat or responses"),
        status=_status(given),
        tag=_tag(given),
    )
    return Asked(path=path, parameters=given, period_name=name, selection=selection, form=form)


def one_of(query: Mapping[str, str], name: str, allowed: Sequence[str]) -> str:
    """A parameter that has so many values; the first of them where it is not given.

    Raises:
        RefusedError: it is none of them.
    """
    value = query.get(name, "").strip() or allowed[0]
    if value not in allowed:
        raise RefusedError(400, f"{name} must be one of {', '.join(allowed)}.", code=f"invalid_{name}")
    return value


def page_of(text: str) -> int:
    """The number of a page, from 1.

    Raises:
        RefusedError: it is none.
    """
    if not _PAGE.fullmatch(text):
        raise RefusedError(400, "page must be a whole number from 1 to 999999.", code="invalid_page")
    return int(text)


def _matching(given: Mapping[str, str], name: str, form: re.Pattern[str], expected: str) -> str | None:
    value = given.get(name)
    if value is not None and not form.fullmatch(value):
        raise RefusedError(400, f"{name} must be {expected}.", code=f"invalid_{name}")
    return value


def _status(given: Mapping[str, str]) -> Status | None:
    value = given.get("status")
    for status in STATUSES:
        if value == status:
            return status
    if value is not None:
        raise RefusedError(400, f"status must be one of {', '.join(STATUSES)}.", code="invalid_status")
    return None


def _tag(given: Mapping[str, str]) -> Tag | None:
    text = given.get("tag")
    tag = Tag.parse(text) if text is not None else None
    if text is not None and tag is None:
        raise RefusedError(400, "tag must be NAME=VALUE, as project=apollo.", code="invalid_tag")
    return tag
