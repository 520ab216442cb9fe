"""The time zone that a reader chose for the times of single requests: a cookie that holds its IANA name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from http import HTTPStatus
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from openai_proxy.page.exchange import Answer, Question, RefusedError

COOKIE = "openai_proxy_time_zone"
DEFAULT = "UTC"
_LIFETIME = timedelta(days=365)
_REGIONS = ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


@cache
def zone_names() -> Sequence[str]:
    """UTC, and the zones that are named by a place, in order."""
    return [DEFAULT, *sorted(name for name in available_timezones() if name.split("/")[0] in _REGIONS)]


def zone_of(question: Question) -> ZoneInfo:
    """What the reader's cookie says; UTC where it says nothing that is a zone."""
    name = question.time_zone or DEFAULT
    return ZoneInfo(name if name in zone_names() else DEFAULT)


def is_chosen(question: Question) -> bool:
    """Whether the reader chose one."""
    return question.time_zone in zone_names()


def choose_zone(question: Question) -> Answer:
    """Keep the zone of a form, and go back to the page that it was on.

    Raises:
        RefusedError: there is no such zone.
    """
    name = question.form.get("zone", "").strip()
    if name not in zone_names():
        text = "zone must be UTC or an IANA name that this machine knows, as Europe/Berlin."
        raise RefusedError(400, text, code="invalid_zone")
    age = int(_LIFETIME.total_seconds())
    secure = "; Secure" if question.is_secure else ""
    cookie = f"{COOKIE}={name}; Path=/log; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"
    return Answer(status=HTTPStatus.SEE_OTHER, headers={"Location": _page_before(question), "Set-Cookie": cookie})


def _page_before(question: Question) -> str:
    """The page of ours that the form was on; `/log` where the browser does not say."""
    parts = urlsplit(question.referer)
    is_ours = f"{parts.scheme}://{parts.netloc}".lower() == question.base_url.lower()
    if not is_ours or not (parts.path == "/log" or parts.path.startswith("/log/")):
        return "/log"
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
