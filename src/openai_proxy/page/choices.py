"""The choice of requests as a page shows it: periods, dates and filters, with what each may be. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from openai_proxy.page import text
from openai_proxy.page.asked import FILTERS, KEPT, STATUSES, Asked
from openai_proxy.page.periods import NAMES
from openai_proxy.page.sums import Breakdown, Dimension
from openai_proxy.page.views import Choice, Filter, Link, Option
from openai_proxy.page.visit import Visit

_LABELS: dict[Dimension, str] = {
    "user": "User",
    "team": "Team",
    "key": "Key",
    "model": "Model",
    "operation": "Endpoint",
}
_MOST_OPTIONS = 500  # past these a name is typed


def choice_of(visit: Visit, breakdown: Breakdown) -> Choice:
    """Everything to choose by; `breakdown` has what there is to choose among."""
    asked = visit.asked
    period = asked.selection.period
    return Choice(
        period="All time" if asked.period_name == "all" else f"{text.period(period)}, UTC",
        periods=[
            Link(
                label=label,
                href=asked.href(period=name, since=None, until=None),
                is_current=name == asked.period_name,
            )
            for name, label in NAMES.items()
        ],
        since="" if asked.period_name == "all" else period.since.date().isoformat(),
        until=(period.until - timedelta(microseconds=1)).date().isoformat(),
        filters=_filters(visit, breakdown),
        kept=[(name, value) for name in KEPT if name not in FILTERS and (value := asked.parameters.get(name))],
        reset_href=asked.href(**dict.fromkeys(FILTERS)) if asked.has_filters else None,
    )


def _filters(visit: Visit, breakdown: Breakdown) -> Sequence[Filter]:
    asked, users, tables = visit.asked, visit.access.users, visit.access.tables
    team_id = visit.selection.team_id
    found: list[Filter] = []
    if not visit.scope.is_own:
        of_team = {user.user_id for user in users.values() if team_id in {None, user.team_id}}
        found.append(_among(asked, "user", breakdown.values("user") | of_team))
    if visit.scope.is_all:
        found.append(_among(asked, "team", breakdown.values("team") | tables.teams.keys()))
    known: tuple[Dimension, ...] = ("key", "model", "operation")
    found += [_among(asked, name, breakdown.values(name)) for name in known]
    found.append(_filter(asked, "status", "Status", STATUSES))
    tag = asked.parameters.get("tag", "")
    return [*found, Filter(name="tag", label="Tag", value=tag, placeholder="project=apollo")]


def _among(asked: Asked, name: Dimension, values: Collection[str]) -> Filter:
    chosen = asked.parameters.get(name, "")
    return _filter(asked, name, _LABELS[name], sorted({*values, chosen} - {""}))


def _filter(asked: Asked, name: str, label: str, values: Sequence[str]) -> Filter:
    chosen = asked.parameters.get(name, "")
    options = [Option(value=value, label=value, is_chosen=value == chosen) for value in values]
    anything = Option(value="", label="All", is_chosen=not chosen)
    return Filter(
        name=name, label=label, value=chosen, options=[anything, *options] if len(options) <= _MOST_OPTIONS else ()
    )
