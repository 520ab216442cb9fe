"""Sums of the ledger's totals: what a reader may choose among, each table, and the whole, of one question. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from typing import Literal

from openai_proxy.ports import SUMS, GroupBy, Selection, UsageTotal

Dimension = Literal["user", "team", "key", "model", "operation"]
DIMENSIONS: tuple[Dimension, ...] = ("user", "team", "key", "model", "operation")
GROUPS: Sequence[GroupBy] = DIMENSIONS
_COUNTS = tuple(name for name in SUMS if name != "list_cost")
_counts_of: Callable[[UsageTotal], tuple[int, ...]] = attrgetter(*_COUNTS)
_FIELDS: dict[Dimension, str] = {
    "user": "user_id",
    "team": "team_id",
    "key": "key_id",
    "model": "model",
    "operation": "operation",
}


def cost_of(total: UsageTotal) -> Decimal:
    """Its list cost in USD."""
    return Decimal(total.list_cost)


def tokens_of(total: UsageTotal) -> int:
    """All of its tokens, in and out."""
    return total.input_tokens + total.output_tokens


def sum_of(group: tuple[str | None, ...], totals: Iterable[UsageTotal]) -> UsageTotal:
    """One total of many."""
    found = list(totals)
    counts = [sum(column) for column in zip(*map(_counts_of, found), strict=True)] or [0] * len(_COUNTS)
    cost = sum(map(cost_of, found), Decimal(0))
    return UsageTotal(group=group, list_cost=format(cost, "f"), **dict(zip(_COUNTS, counts, strict=True)))


def regrouped(totals: Iterable[UsageTotal], places: Sequence[int]) -> list[UsageTotal]:
    """Totals summed up by some places of their groups."""
    found: dict[tuple[str | None, ...], list[UsageTotal]] = defaultdict(list)
    for total in totals:
        found[tuple(total.group[place] for place in places)].append(total)
    return [sum_of(group, members) for group, members in found.items()]


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Totals by all of `DIMENSIONS`, of which each table and each choice is a part: one question for all of them."""

    totals: Sequence[UsageTotal]

    def of(self, selection: Selection) -> Breakdown:
        """What of it is chosen; its period, status and tag are those of the whole already."""
        wanted = [getattr(selection, _FIELDS[name]) for name in DIMENSIONS]
        return Breakdown(
            [
                total
                for total in self.totals
                if all(value is None or value == found for value, found in zip(wanted, total.group, strict=True))
            ]
        )

    def by(self, *names: Dimension) -> list[UsageTotal]:
        """Sums by some of the dimensions."""
        return regrouped(self.totals, [DIMENSIONS.index(name) for name in names])

    def values(self, name: Dimension) -> set[str]:
        """What there is of one."""
        place = DIMENSIONS.index(name)
        return {value for total in self.totals if (value := total.group[place]) is not None}

    @property
    def total(self) -> UsageTotal:
        """All of it."""
        return sum_of((), self.totals)
