"""What is left of budgets, as `/log` shows it: of whom the page is about, and of who is near a limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from openai_proxy.access.budget import Budget, BudgetPeriod, Scope
from openai_proxy.access.callers import Access
from openai_proxy.page import cells
from openai_proxy.page.sums import cost_of
from openai_proxy.page.views import BudgetLeft, Cell, Column, Level, Link, Table
from openai_proxy.page.visit import Visit
from openai_proxy.ports import Selection, SpendQuestion, UsageLedger

_NEAR = Decimal("0.8")
_PERIODS: Mapping[BudgetPeriod, str] = {
    "day": "today",
    "week": "this week",
    "month": "this month",
    "total": "in total",
}
_NOBODY = "log_view"  # no instance of the proxy is called so: the ledger leaves out nothing
_MOST = 20


@dataclass(frozen=True, slots=True)
class Spent:
    """A budget, and how much of it was spent in its present window, in USD."""

    budget: Budget
    amount: Decimal

    @property
    def part(self) -> Decimal:
        """Of the budget; a budget of nothing is spent."""
        return self.amount / self.budget.amount if self.budget.amount else Decimal(1)

    @property
    def level(self) -> Level:
        """Near its limit from 80 %, over from 100 %."""
        return "over" if self.part >= 1 else "near" if self.part >= _NEAR else "ok"


def budgets_left(visit: Visit) -> Sequence[BudgetLeft]:
    """The budgets of one user, of one team, or of everybody: whoever the page is about."""
    budgets = _subjects_budgets(visit)
    return [_shown(one, visit) for one in _spent(budgets, visit.ledger, visit.now)]


def near_limits(visit: Visit) -> Table | None:
    """Whose own budgets are spent to 80 % or more, among those the reader sees, dearest first; None where nobody is."""
    if visit.scope.is_own or visit.selection.user_id is not None:
        return None
    budgets = [budget for user_id in _users(visit) for budget in _of_user(visit.access, user_id)]
    near = [one for one in _spent_by_user(budgets, visit.ledger, visit.now) if one.level != "ok"]
    near.sort(key=lambda one: one.amount, reverse=True)
    if not near:
        return None
    heads = ("User", "Spent", "Budget", "Used", "Left", "Begins anew")
    return Table(
        name="near-limits",
        title="Near a limit",
        columns=[Column(label=head, is_number=head in {"Spent", "Budget", "Used", "Left"}) for head in heads],
        rows=[_row(one, visit) for one in near[:_MOST]],
        note=f"The {_MOST} dearest of {len(near)}." if len(near) > _MOST else None,
        links=[Link(label="CSV", href=visit.asked.href(table="near-limits", format="csv"))],
    )


def _subjects_budgets(visit: Visit) -> Sequence[Budget]:
    chosen, tables = visit.selection, visit.access.tables
    if chosen.user_id is not None:
        is_theirs = visit.scope.is_all or chosen.user_id in _users(visit)
        return _of_user(visit.access, chosen.user_id) if is_theirs else []
    if chosen.team_id is not None:
        team = tables.teams.get(chosen.team_id)
        return [] if team is None else [one.of(Scope("team", chosen.team_id)) for one in team.budgets]
    return [one.of(Scope("organization", "")) for one in tables.organization]


def _users(visit: Visit) -> Sequence[str]:
    """Who is in the reader's scope, and in the team that is chosen."""
    team_id = visit.selection.team_id or visit.scope.team_id
    return [
        user.user_id
        for user in visit.access.users.values()
        if (team_id is None or user.team_id == team_id)
        and visit.scope.covers(user_id=user.user_id, team_id=user.team_id)
    ]


def _of_user(access: Access, user_id: str) -> Sequence[Budget]:
    user = access.users.get(user_id)
    if user is None or user.revoked:
        return []
    return [one for one in access.caller(user, "").policy.budgets if one.scope.kind == "user"]


def _spent(budgets: Sequence[Budget], ledger: UsageLedger, now: datetime) -> Sequence[Spent]:
    """As the proxy counts it before it lets a request in: what has no list cost as what was reserved for it."""
    questions = [
        SpendQuestion(
            scope_kind=budget.scope.kind,
            scope_name=budget.scope.name,
            since=budget.window(now).since,
            own_since=now,
        )
        for budget in budgets
    ]
    if not questions:
        return []
    spend = ledger.spend(questions, instance_id=_NOBODY, active_since=now)
    return [Spent(budget, amount) for budget, amount in zip(budgets, spend.amounts, strict=True)]


def _spent_by_user(budgets: Sequence[Budget], ledger: UsageLedger, now: datetime) -> Sequence[Spent]:
    """One question for all users and each kind of window; the list cost alone."""
    spent = {
        window: {total.group[0]: cost_of(total) for total in ledger.totals(Selection(period=window), by=("user",))}
        for window in {budget.window(now) for budget in budgets}
    }
    return [Spent(one, spent[one.window(now)].get(one.scope.name, Decimal(0))) for one in budgets]


def _shown(one: Spent, visit: Visit) -> BudgetLeft:
    scope = one.budget.scope
    own = scope.kind == "user" and scope.name == visit.reader.user_id
    whose = {
        "user": f"budget of {scope.name}",
        "team": f"budget of team {scope.name}",
        "organization": "budget of all users together",
    }
    return BudgetLeft(
        label="your budget" if own else whose[scope.kind],
        left=_left(one),
        amount=cells.usd(one.budget.amount),
        period=_PERIODS[one.budget.period],
        resets=_resets(one, visit),
        share=round(float(min(one.part, Decimal(1))) * 100, 1),
        level=one.level,
    )


def _row(one: Spent, visit: Visit) -> Sequence[Cell]:
    name, resets = one.budget.scope.name, _resets(one, visit)
    return [
        cells.words(name, href=visit.asked.href(user=name), note=f"budget for {_PERIODS[one.budget.period]}"),
        cells.usd(one.amount),
        cells.usd(one.budget.amount),
        cells.percent(float(one.part) * 100, badge=one.level),
        _left(one),
        cells.words("never") if resets is None else cells.moment(resets, visit.zone),
    ]


def _left(one: Spent) -> Cell:
    return cells.usd(max(one.budget.amount - one.amount, Decimal(0)))


def _resets(one: Spent, visit: Visit) -> datetime | None:
    resets = one.budget.resets(visit.now)
    return None if resets is None else resets.astimezone(visit.zone)
