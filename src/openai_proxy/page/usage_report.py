"""What `/log` shows of one period: totals, the sums they are made of, and the latest requests. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Any

from openai_proxy.period import Period
from openai_proxy.ports import SUMS, Tag, UsageTotal
from openai_proxy.records import cell_to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One UTC day: its sum, its models from the dearest down, and how it compares to the period's top day, in %."""

    day: str
    total: UsageTotal
    models: Sequence[UsageTotal]
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """The usage of one user, or of everybody (`user_id` None); with `tag`, only what bears it.

    `by_user` is None where the reader is no admin.
    """

    period: Period
    user_id: str | None
    tag: Tag | None = None
    by_day_and_model: Sequence[UsageTotal]
    by_user: Sequence[UsageTotal] | None
    latest: Sequence[Mapping[str, Any]]

    @property
    def totals(self) -> UsageTotal:
        """The period's sum, of the rows shown, so that page and table cannot disagree."""
        return _sum((), self.by_day_and_model)

    @property
    def days(self) -> Sequence[Day]:
        """The days that have requests, newest first."""
        rows = sorted(self.by_day_and_model, key=lambda row: str(row.group[0]), reverse=True)
        days = [(str(day), list(models)) for day, models in groupby(rows, key=lambda row: row.group[0])]
        sums = [_sum((day,), models) for day, models in days]
        by_cost = any(Decimal(total.list_cost) for total in sums)
        weights = [_cost(total) if by_cost else Decimal(total.requests) for total in sums]
        top = max(weights, default=Decimal(0)) or Decimal(1)
        return [
            Day(
                day=day,
                total=total,
                models=sorted(models, key=lambda row: (-_cost(row), -row.requests, str(row.group[1]))),
                share=round(float(weight / top) * 100, 1),
            )
            for (day, models), total, weight in zip(days, sums, weights, strict=True)
        ]

    def to_json(self) -> dict[str, Any]:
        """The report as `/log?format=json` prints it: the ledger's words, times as RFC 3339, amounts as text."""
        report: dict[str, Any] = {
            "period": {"since": cell_to_json(self.period.since), "until": cell_to_json(self.period.until)},
            "user_id": self.user_id,
            "tag": None if self.tag is None else {self.tag.name: self.tag.value},
            "totals": _row((), self.totals),
            "by_day_and_model": [_row(("day", "model"), total) for total in self.by_day_and_model],
        }
        if self.by_user is not None:
            report["by_user"] = [_row(("user_id",), total) for total in self.by_user]
        report["latest"] = [{name: cell_to_json(value) for name, value in record.items()} for record in self.latest]
        return report


def _row(names: Sequence[str], total: UsageTotal) -> dict[str, Any]:
    return dict(zip(names, total.group, strict=True)) | {name: getattr(total, name) for name in SUMS}


def _sum(group: tuple[str | None, ...], totals: Sequence[UsageTotal]) -> UsageTotal:
    sums = {name: sum(getattr(total, name) for total in totals) for name in SUMS if name != "list_cost"}
    return UsageTotal(group=group, list_cost=format(sum(map(_cost, totals), Decimal(0)), "f"), **sums)


def _cost(total: UsageTotal) -> Decimal:
    return Decimal(total.list_cost)
