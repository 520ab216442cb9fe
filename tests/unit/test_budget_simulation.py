"""Four instances, twenty clients each, random delays and deaths: the bound of docs/budgets.md, and no false refusal."""

from __future__ import annotations

import heapq
import random
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from operator import itemgetter

import pytest

from openai_proxy.access.budget import Budget, Scope
from openai_proxy.budgets.book import AskFirst, BudgetBook, Exceeded, Reservation, Spacing

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
PLACES, CLIENTS = 4, 20
LARGEST_PER_INSTANCE = 5  # the bound of docs/budgets.md, in units of the largest request


@dataclass(slots=True)
class Call:
    place: int
    amount: Decimal
    arrived: float


@dataclass(slots=True)
class Instance:
    """A process: its number is new after each death. Its callers wait in a line."""

    number: int
    book: BudgetBook
    asking: bool = False
    line: deque[Call] = field(default_factory=deque)


class World:
    """A simulated clock, and all that happens by it.

    Each place has one instance at a time. Its clients come at once, or one of them comes once, and all of them later:
    then what the instance knows is old.
    """

    def __init__(self, seed: int, *, instances: int, deaths: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - a simulation, no secret
        self.spacing = Spacing(instances=instances, pipeline=self.dice.choice([0.1, 1.0, 4.0]), floor=0.5)
        self.largest = Decimal(self.dice.randint(1, 40)) / 10
        amount = self.largest * self.dice.choice([3, 8, 20, 20, 60])
        self.budget = Budget(Scope("team", "research"), amount, "month")
        self.account = self.budget.account(NOON)
        self.clock = 0.0
        self.spent = Decimal(0)  # what OpenAI would charge; a request whose process died counts as all that it held
        self.ledger: defaultdict[int, Decimal] = defaultdict(Decimal)  # by instance
        self.refusals = self.longest_wait = 0.0
        self.costs = self.dice.choice([(0, 4), (0, 10), (9, 10)])  # of what is held, in tenths
        self._numbers = count()
        self._order = count()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._heights = [(0.0, Decimal(0))]  # of the ledger and what is in flight, each time that it changed
        self.instances = [self._born() for _ in range(instances)]
        for place in range(instances):
            wakes = self.dice.choice([0.0, 0.0, self.dice.uniform(1, 40)])
            self.later(0, partial(self.call, place, again=False))
            for _ in range(CLIENTS):
                self.later(wakes + self.dice.uniform(0, 2), partial(self.call, place))
        for _ in range(deaths):
            self.later(self.dice.uniform(0, 40), lambda: self.kill(self.dice.randrange(instances)))

    def _born(self) -> Instance:
        return Instance(next(self._numbers), BudgetBook(self.spacing))

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.clock + seconds, next(self._order), act))

    def run(self, *, until: float, refusals: int) -> None:
        while self._agenda[0][0] <= until and self.refusals < refusals:
            self.clock, _, act = heapq.heappop(self._agenda)
            act()

    def call(self, place: int, *, again: bool = True) -> None:
        instance = self.instances[place]
        amount = self.largest * self.dice.choice([1, 2, 5, 10]) / 10
        instance.line.append(Call(place if again else -1, amount, self.clock))
        self.decide(instance)

    def decide(self, instance: Instance) -> None:
        """Let in, or send away, whoever is first in the line, until somebody must wait."""
        if instance not in self.instances:
            return
        while instance.line:
            call = instance.line[0]
            now = NOON + timedelta(seconds=self.clock)
            decision = instance.book.reserve(
                [self.budget], call.amount, now=now, arrived=call.arrived, clock=self.clock
            )
            if isinstance(decision, AskFirst):
                self.ask(instance)
                return
            instance.line.popleft()
            self.longest_wait = max(self.longest_wait, self.clock - call.arrived)
            if isinstance(decision, Exceeded):
                self.refusals += 1
                assert self.highest_since(call.arrived) + call.amount > self.budget.amount, "refused, and had room"
                self.comes_again(call, self.dice.uniform(1, 10))
            else:
                self.serve(instance, call, decision)

    def comes_again(self, call: Call, seconds: float) -> None:
        if call.place >= 0:
            self.later(seconds, partial(self.call, call.place))

    def serve(self, instance: Instance, call: Call, reservation: Reservation) -> None:
        seen, held = self.delay(), reservation.amount
        self.spent += held
        self.rise(held)
        self.later(seen, lambda: self.record(instance, held))

        def end() -> None:
            if instance not in self.instances:
                return  # it died: the request stays open in the ledger, as what it may have cost
            saved = held - held * self.dice.randint(*self.costs) / 10
            self.spent -= saved
            instance.book.settle(reservation, held - saved)
            self.later(max(seen - took, 0) + self.delay(), lambda: self.settled(instance, saved))
            self.comes_again(call, self.dice.uniform(0, 2))
            self.decide(instance)

        took = self.dice.expovariate(1)
        self.later(took, end)

    def record(self, instance: Instance, amount: Decimal) -> None:
        self.ledger[instance.number] += amount

    def settled(self, instance: Instance, saved: Decimal) -> None:
        self.record(instance, -saved)
        self.rise(-saved)

    def rise(self, amount: Decimal) -> None:
        self._heights.append((self.clock, self._heights[-1][1] + amount))

    def ask(self, instance: Instance) -> None:
        if instance.asking:
            return
        instance.asking = True

        def sent() -> None:
            instance.book.asking(self.account, clock=self.clock)
            way = self.dice.uniform(0.01, 0.3)
            self.later(way / 2, lambda: looked(way / 2))

        def looked(way: float) -> None:
            others = Decimal(sum(self.ledger.values()) - self.ledger[instance.number])
            instances = len(self.ledger.keys() | {instance.number})
            self.later(way, lambda: answered(others, instances))

        def answered(others: Decimal, instances: int) -> None:
            instance.asking = False
            instance.book.learn(self.account, others, instances=instances, clock=self.clock)
            self.decide(instance)

        self.later(instance.book.may_ask(self.account, clock=self.clock), sent)

    def kill(self, place: int) -> None:
        self.instances[place] = self._born()
        for _ in range(CLIENTS):
            self.later(self.dice.uniform(0, 2), partial(self.call, place))

    def delay(self) -> float:
        return self.dice.uniform(0, self.spacing.pipeline)

    def highest_since(self, moment: float) -> Decimal:
        """The most that the ledger and what is in flight came to since then."""
        place = bisect_right(self._heights, moment, key=itemgetter(0)) - 1
        return max(height for _, height in self._heights[place:])


@pytest.mark.parametrize("hundred", range(10))
def test_many_instances_stay_within_the_bound_and_refuse_nobody_falsely(hundred: int) -> None:
    exceeded = reached = 0
    for seed in range(hundred * 100, hundred * 100 + 100):
        deaths = seed % 4
        world = World(seed, instances=PLACES, deaths=deaths)
        world.run(until=80.0, refusals=12)
        bound = LARGEST_PER_INSTANCE * world.largest * (PLACES + deaths)

        assert world.spent <= world.budget.amount + bound, seed
        reached += world.refusals > 0
        exceeded += world.spent > world.budget.amount
    assert reached > 80  # the others are slower than that
    assert exceeded < 100  # the bound is for the worst case


def test_one_instance_never_exceeds_what_it_holds() -> None:
    for seed in range(100):
        world = World(seed, instances=1, deaths=0)
        world.run(until=600.0, refusals=60)

        assert world.spent <= world.budget.amount, seed
        assert world.spent > world.budget.amount - world.largest, seed  # to the last request that fits
        assert world.refusals, seed
