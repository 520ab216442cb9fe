"""What `/log?format=json` says of one choice of requests: its sums, and the latest of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openai_proxy.page.sums import sum_of
from openai_proxy.ports import SUMS, Selection, UsageTotal
from openai_proxy.records import cell_to_json

_NAMES: Mapping[str, tuple[str, ...]] = {
    "model": ("model",),
    "user": ("user_id",),
    "team": ("team_id",),
    "key": ("user_id", "key_id"),
    "operation": ("operation_name",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """`tables` are sums by each of `model`, `user`, `team`, `key`, `operation` that the page has a table by."""

    selection: Selection
    by_day_and_model: Sequence[UsageTotal]
    tables: Mapping[str, Sequence[UsageTotal]]
    latest: Sequence[Mapping[str, Any]]

    @property
    def totals(self) -> UsageTotal:
        """The period's sum, of the rows shown, so that page and table cannot disagree."""
        return sum_of((), self.by_day_and_model)

    def to_json(self) -> dict[str, Any]:
        """The report in the ledger's words, times as RFC 3339, amounts as text."""
        chosen = self.selection
        report: dict[str, Any] = {
            "period": {"since": cell_to_json(chosen.period.since), "until": cell_to_json(chosen.period.until)},
            "user_id": chosen.user_id,
            "team_id": chosen.team_id,
            "key_id": chosen.key_id,
            "model": chosen.model,
            "operation_name": chosen.operation,
            "status": chosen.status,
            "tag": None if chosen.tag is None else {chosen.tag.name: chosen.tag.value},
            "totals": _row((), self.totals),
            "by_day_and_model": [_row(("day", "model"), total) for total in self.by_day_and_model],
        }
        for name, totals in self.tables.items():
            report[f"by_{name}"] = [_row(_NAMES[name], total) for total in totals]
        report["latest"] = [{name: cell_to_json(value) for name, value in record.items()} for record in self.latest]
        return report


def _row(names: Sequence[str], total: UsageTotal) -> dict[str, Any]:
    return dict(zip(names, total.group, strict=True)) | {name: getattr(total, name) for name in SUMS}
