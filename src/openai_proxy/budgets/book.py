"""What one instance of the proxy knows of all budgets, and whether there is room. Pure: times are arguments.

An instance knows its own requests exactly, and those of the others by what the ledger said when it was last asked (a
view). docs/budgets.md derives from the rules below how far a budget can be exceeded, and that nobody is refused while
there is room; `tests/unit/test_budget_simulation.py` runs it a thousand times.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from openai_proxy.access.budget import Account, Budget

REMEMBERED_SECONDS = 900.0
"""An instance that has held nothing for so long is no longer counted among those that share a budget."""

_FORGOTTEN_SECONDS = 3600.0  # then what this instance did is all in the ledger, and is asked for as any other's
_AT_A_TIME = 2  # of the largest request: so much may an instance always take that others cannot see yet
# Into how many parts what remains is divided, times the instances: a fifth for all that the others know of, a twentieth
# for all that they may not know of yet. Together no more than a quarter: docs/budgets.md says why
_PARTS_OF_KNOWN, _PARTS_OF_NEW = 5, 20
_ZERO = Decimal(0)


@dataclass(slots=True, eq=False)
class Reservation:
    """What a request may cost at worst, held on all its accounts; once it is settled, what it came to."""

    amount: Decimal
    moment: float
    entries: tuple[_Entry, ...]
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A budget that has no room for a request: what is spent and held, and when it begins anew (None: never)."""

    budget: Budget
    committed: Decimal
    resets: datetime | None


@dataclass(frozen=True, slots=True)
class AskFirst:
    """It cannot be decided yet: the ledger must be asked about these accounts, or something be settled."""

    accounts: tuple[Account, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spacing:
    """How many instances there may be at a time, and how far apart things are, in seconds.

    `pipeline`: until what one instance holds is seen in the ledger by another. `floor`: between two questions about
    one account.
    """

    instances: int
    pipeline: float
    floor: float

    @property
    def fresh(self) -> float:
        """The age up to which a view is relied upon; an answer that took longer is not."""
        return 4 * self.floor

    @property
    def ceiling(self) -> float:
        """The age up to which a view is of any use, far from the limit."""
        return 150 * self.floor

    @property
    def unseen(self) -> float:
        """For how long what one instance takes may be unknown to another that relies on its view."""
        return self.pipeline + self.fresh


@dataclass(slots=True, eq=False)
class _Entry:
    """One account. Moments are of the clock, which never goes back."""

    began: datetime  # what this instance did before is asked for, as if another had
    touched: float
    own: Decimal = _ZERO  # settled and held by this instance since then
    held: Decimal = _ZERO  # of that, what is not settled
    others: Decimal = _ZERO  # by all others, and before, when the ledger was asked
    instances: int = 1  # that share it, as far as the ledger knew
    asked: float | None = None  # when the ledger was asked for that
    own_then: Decimal = _ZERO  # the least of `own` between that question and its answer
    tried: float | None = None  # when it was last asked at all
    asking: tuple[float, Decimal] | None = None  # a question on its way: when it was asked, the least of `own` since
    largest: Decimal = _ZERO  # reservation of this instance
    recent: deque[Reservation] = field(default_factory=deque)  # all that others, or the view, may not have seen

    def since(self, moment: float) -> Decimal:
        """What this instance took since then."""
        return sum((taken.amount for taken in self.recent if taken.moment >= moment), _ZERO)


class BudgetBook:
    """One instance's knowledge of all accounts. `clock` is in seconds, and never goes back."""

    def __init__(self, spacing: Spacing) -> None:
        self._spacing = spacing
        self._entries: dict[Account, _Entry] = {}
        self._known_since: float | None = None  # from when on the others may have noticed this instance
        self._last_taken = 0.0

    def reserve(
        self, budgets: Iterable[Budget], amount: Decimal, *, now: datetime, arrived: float, clock: float
    ) -> Reservation | Exceeded | AskFirst:
        """Hold `amount` on every budget, or on none; `arrived` is the clock when the request came, `now` is UTC.

        A budget is found exceeded only where, at one moment after the request came, all that the ledger had of others
        and all that was ours left no room. What is ours now, beside what others had then, may never have been.
        """
        doubtful, entries = [], []
        for budget in budgets:
            account = budget.account(now)
            entry = self._entry(account, now, clock)
            entries.append(entry)
            if self._has_room(budget, entry, amount, arrived=arrived, clock=clock):
                continue
            if (
                entry.asked is not None
                and entry.asked >= arrived
                and min(entry.own, entry.own_then) + entry.others + amount > budget.amount
            ):
                return Exceeded(budget, entry.others + entry.own, budget.resets(now))
            doubtful.append(account)
        if doubtful:
            return AskFirst(tuple(dict.fromkeys(doubtful)))
        return self._hold(tuple(dict.fromkeys(entries)), amount, clock)

    def reserve_blindly(
        self, budgets: Iterable[Budget], amount: Decimal, *, now: datetime, clock: float
    ) -> Reservation | Exceeded:
        """As `reserve`, where the ledger cannot be asked: by what is known of it, however little that is."""
        entries = []
        for budget in budgets:
            entry = self._entry(budget.account(now), now, clock)
            if entry.others + entry.own + amount > budget.amount:
                return Exceeded(budget, entry.others + entry.own, budget.resets(now))
            entries.append(entry)
        return self._hold(tuple(dict.fromkeys(entries)), amount, clock)

    def settle(self, reservation: Reservation, cost: Decimal) -> None:
        """Replace what was held by what it came to."""
        for entry in reservation.entries:
            entry.own += cost - reservation.amount
            if reservation.is_open:
                entry.held -= reservation.amount
            if entry.asking:
                entry.asking = (entry.asking[0], min(entry.asking[1], entry.own))
        reservation.amount, reservation.is_open = cost, False

    def may_ask(self, account: Account, *, clock: float) -> float:
        """In how many seconds the ledger may be asked about an account (again)."""
        entry = self._entries.get(account)
        return 0.0 if entry is None or entry.tried is None else max(0.0, entry.tried + self._spacing.floor - clock)

    def asking(self, account: Account, *, clock: float) -> datetime | None:
        """Note that the ledger is asked about an account now; one question at a time.

        Returns:
            From when on the answer must leave out what this instance did; None: nobody wants to know any more.
        """
        entry = self._entries.get(account)
        if entry is None:
            return None
        entry.tried, entry.asking = clock, (clock, entry.own)
        return entry.began

    def learn(self, account: Account, others: Decimal, *, instances: int, clock: float) -> None:
        """Take the ledger's answer: what all others committed, and how many instances there are, this one included."""
        entry = self._entries.get(account)
        if entry is None or entry.asking is None:
            return
        (asked, own_then), entry.asking = entry.asking, None
        if clock - asked <= self._spacing.fresh:
            entry.others, entry.instances, entry.asked, entry.own_then = others, instances, asked, own_then

    def wants_view(self, budget: Budget, now: datetime, *, clock: float) -> bool:
        """Whether the next request had better find a younger view, and not wait for it."""
        entry = self._entries.get(budget.account(now))
        if entry is None or entry.asked is None:
            return False
        if self._spacing.instances > 1:
            return clock - entry.asked > self._spacing.fresh
        return clock - entry.asked > self._oldest(budget.amount - entry.others - entry.own, budget.amount) / 2

    def committed(self, budget: Budget, now: datetime) -> Decimal:
        """What is spent and held, as far as is known."""
        entry = self._entries.get(budget.account(now))
        return _ZERO if entry is None else entry.others + entry.own

    def spent(self, budget: Budget, now: datetime) -> Decimal:
        """Without what this instance holds for requests that are under way."""
        entry = self._entries.get(budget.account(now))
        return _ZERO if entry is None else entry.others + entry.own - entry.held

    def _has_room(self, budget: Budget, entry: _Entry, amount: Decimal, *, arrived: float, clock: float) -> bool:
        """Whether the request fits, beside what others may have taken that nobody here can know."""
        room = budget.amount - entry.others - entry.own
        if entry.asked is None or amount > room:
            return False
        oldest = self._oldest(room, budget.amount)
        if self._spacing.instances == 1:
            return arrived - entry.asked <= oldest
        unseen = entry.since(clock - self._spacing.unseen)
        largest = max(entry.largest, amount)
        is_little = unseen + amount <= _AT_A_TIME * largest
        if clock - entry.asked <= self._spacing.fresh:
            return is_little or unseen + amount <= (room + unseen) / self._parts(entry, clock)
        return is_little and clock - entry.asked <= oldest and entry.since(entry.asked) + amount <= largest

    def _oldest(self, room: Decimal, amount: Decimal) -> float:
        """How old a view may be: the nearer the limit, the younger."""
        part = float(room / amount) if amount else 0.0
        return max(self._spacing.fresh, self._spacing.ceiling * part)

    def _parts(self, entry: _Entry, clock: float) -> int:
        """Into how many parts what remains is divided, so that all take less than there is."""
        known = self._known_since is not None and clock - self._known_since > 2 * self._spacing.unseen
        if known:
            return _PARTS_OF_KNOWN * entry.instances
        return _PARTS_OF_NEW * max(entry.instances, self._spacing.instances)

    def _hold(self, entries: tuple[_Entry, ...], amount: Decimal, clock: float) -> Reservation:
        if self._known_since is None or clock - self._last_taken > REMEMBERED_SECONDS / 2:
            self._known_since = clock
        self._last_taken = clock
        reservation = Reservation(amount, clock, entries)
        for entry in entries:
            entry.own += amount
            entry.held += amount
            entry.largest = max(entry.largest, amount)
            if self._spacing.instances > 1:
                self._note(entry, reservation, clock)
        return reservation

    def _note(self, entry: _Entry, reservation: Reservation, clock: float) -> None:
        seen = min(clock - self._spacing.unseen, entry.asked or 0.0)
        while entry.recent and entry.recent[0].moment < seen:
            entry.recent.popleft()
        entry.recent.append(reservation)

    def _entry(self, account: Account, now: datetime, clock: float) -> _Entry:
        entry = self._entries.get(account)
        if entry is None or clock - entry.touched > _FORGOTTEN_SECONDS:
            for other in [other for other, one in self._entries.items() if clock - one.touched > _FORGOTTEN_SECONDS]:
                del self._entries[other]
            # An event's time is told in milliseconds, cut off: none of ours from now on may seem to be from before
            began = now.replace(microsecond=now.microsecond // 1000 * 1000)
            entry = self._entries[account] = _Entry(began, clock)
        entry.touched = clock
        return entry
