from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from openai_proxy.access.budget import Budget, BudgetPeriod, Scope
from openai_proxy.budgets.book import AskFirst, BudgetBook, Exceeded, Reservation, Spacing

NOON = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
SPACING = Spacing(instances=4, pipeline=1.0, floor=0.5)


def budget(amount: str = "10", kind: str = "user", period: BudgetPeriod = "month") -> Budget:
    return Budget(Scope("user" if kind == "user" else "team", "ada"), Decimal(amount), period)


class Book:
    """One instance, its clock, and what the ledger would tell it."""

    def __init__(self, spacing: Spacing = SPACING, *budgets: Budget) -> None:
        self.book = BudgetBook(spacing)
        self.budgets = budgets or (budget(),)
        self.clock = 1000.0

    @property
    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.clock - 1000)

    def reserve(self, amount: str, arrived: float | None = None) -> Reservation | Exceeded | AskFirst:
        arrived = self.clock if arrived is None else arrived
        return self.book.reserve(self.budgets, Decimal(amount), now=self.now, arrived=arrived, clock=self.clock)

    def held(self, amount: str) -> Reservation:
        decision = self.reserve(amount)
        assert isinstance(decision, Reservation)
        return decision

    def look(self, others: str | Decimal = "0", instances: int = 1, took: float = 0.0) -> datetime | None:
        """Ask, and learn the same of every account."""
        began = None
        accounts = [one.account(self.now) for one in self.budgets]
        for account in accounts:
            began = self.book.asking(account, clock=self.clock)
        self.clock += took
        for account in accounts:
            self.book.learn(account, Decimal(others), instances=instances, clock=self.clock)
        return began

    def opened(self, others: str = "0", instances: int = 1) -> Book:
        """With a first view."""
        assert isinstance(self.reserve("0.01"), AskFirst)
        self.look(others, instances)
        return self


ALONE = Spacing(instances=1, pipeline=1.0, floor=0.5)


def test_nothing_is_admitted_before_the_ledger_was_asked() -> None:
    book = Book(ALONE)

    assert book.reserve("1") == AskFirst((budget().account(NOON),))


def test_what_fits_is_held_and_what_does_not_is_refused_with_what_is_committed_and_the_reset() -> None:
    book = Book(ALONE).opened("3")
    book.held("5")
    arrived = book.clock
    book.look("3")

    decision = book.reserve("2.01", arrived)

    assert decision == Exceeded(budget(), Decimal(8), datetime(2026, 12, 1, tzinfo=UTC))
    assert isinstance(book.reserve("2"), Reservation)


def test_the_last_view_alone_refuses_nobody() -> None:
    book = Book(ALONE).opened("10")
    book.clock += 0.1

    assert isinstance(book.reserve("1"), AskFirst)  # something may have been settled since


def test_what_is_settled_makes_room_for_its_difference() -> None:
    book = Book(ALONE).opened()
    reservation = book.held("10")
    book.book.settle(reservation, Decimal("0.5"))

    assert isinstance(book.reserve("9.5"), Reservation)


def test_what_is_held_is_committed_and_not_spent() -> None:
    book = Book(ALONE).opened("2")
    one, other = book.held("1"), book.held("3")
    assert book.book.committed(budget(), NOON) == 6
    assert book.book.spent(budget(), NOON) == 2

    book.book.settle(one, Decimal("0.5"))
    book.book.settle(other, other.amount)
    assert book.book.committed(budget(), NOON) == Decimal("5.5")
    assert book.book.spent(budget(), NOON) == Decimal("5.5")


def test_what_cost_more_than_was_held_counts_in_full() -> None:
    book = Book(ALONE).opened()
    book.book.settle(book.held("1"), Decimal(4))

    assert book.book.committed(budget(), NOON) == 4


def test_it_is_held_on_all_budgets_or_on_none() -> None:
    team = budget("1", "team")
    book = Book(ALONE, budget(), team).opened()
    book.held("0.9")
    arrived = book.clock
    book.look()

    assert book.reserve("0.2", arrived) == Exceeded(team, Decimal("0.9"), datetime(2026, 12, 1, tzinfo=UTC))
    assert book.book.committed(budget(), NOON) == Decimal("0.9")


def test_a_request_is_held_once_on_an_account_that_two_budgets_share() -> None:
    book = Book(ALONE, budget("10"), budget("5")).opened()
    book.held("2")

    assert book.book.committed(budget("10"), NOON) == 2


def test_what_was_ours_when_the_ledger_was_asked_decides_and_not_what_is_ours_now() -> None:
    """Others gave back 6 before they were counted, we took 5 after: at no moment was it full."""
    book = Book(ALONE).opened("9")
    arrived = book.clock
    account = budget().account(NOON)
    book.clock += 1
    book.book.asking(account, clock=book.clock)
    book.book.learn(account, Decimal(3), instances=1, clock=book.clock)
    book.held("5")

    assert isinstance(book.reserve("3", arrived), AskFirst)


def test_a_new_period_begins_with_nothing() -> None:
    book = Book(ALONE, budget(period="day")).opened()
    book.held("10")
    book.clock += 12 * 3600
    assert isinstance(book.reserve("10"), AskFirst)
    book.look()

    assert isinstance(book.reserve("10"), Reservation)


def test_an_old_view_is_renewed_the_sooner_the_nearer_the_limit() -> None:
    far, near = Book(ALONE).opened(), Book(ALONE).opened("9")
    for book in (far, near):
        book.clock += 20

    assert isinstance(far.reserve("0.1"), Reservation)
    assert isinstance(near.reserve("0.1"), AskFirst)


def test_an_instance_that_wakes_up_takes_no_more_than_one_request_on_what_it_knew() -> None:
    """What a share of the remaining would allow is spent by the others long since."""
    book = Book().opened(instances=4)
    book.clock += 20

    assert isinstance(book.reserve("0.02"), Reservation)
    assert isinstance(book.reserve("0.01"), AskFirst)


def test_one_of_many_takes_a_part_of_what_remains_that_others_cannot_have_seen() -> None:
    book = Book().opened(instances=2)
    taken = 0
    while isinstance(book.reserve("0.05"), Reservation):
        taken += 1
    assert taken == 2  # new: two requests, since a twentieth for each of four instances is less

    book.clock += 2 * SPACING.unseen + 0.1
    book.look(instances=2)
    while isinstance(book.reserve("0.05"), Reservation):
        taken += 1
    assert taken == 2 + 19  # known: a tenth of 9.9, since there are two


def test_an_answer_that_took_too_long_is_not_relied_upon() -> None:
    book = Book().opened()
    book.clock += 600
    book.look(took=SPACING.fresh + 0.1)

    assert isinstance(book.reserve("1"), AskFirst)


def test_questions_keep_their_distance_even_when_they_are_not_answered() -> None:
    book = Book().opened()
    account = budget().account(NOON)
    book.clock += 0.2

    assert round(book.book.may_ask(account, clock=book.clock), 3) == 0.3
    assert book.book.may_ask(budget("1", "team").account(NOON), clock=book.clock) == 0


def test_what_this_instance_did_before_there_was_a_budget_is_asked_for() -> None:
    book = Book(ALONE)
    book.reserve("1")

    assert book.look() == NOON.replace(microsecond=123000)


def test_an_account_that_rested_for_an_hour_begins_anew() -> None:
    book = Book(ALONE).opened()
    book.held("4")
    book.clock += 3601
    assert isinstance(book.reserve("1"), AskFirst)

    assert book.look("4") == book.now.replace(microsecond=123000)
    assert book.book.committed(budget(), book.now) == 4
