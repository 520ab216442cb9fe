"""Four proxies on one ledger, twenty clients each, delays and kills: the bound of docs/budgets.md, no false refusal.

The thousand runs are `unit/test_budget_simulation.py`; these few are of real processes, real queues and real clocks.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from exchanges import ask, bearer
from serving import CountingUpstream, Serving, serving, wait_for
from twins import Twin, twins_of

pytestmark = pytest.mark.e2e

PROXIES, CLIENTS = 4, 20
LARGEST_PER_INSTANCE = 5  # docs/budgets.md
SECONDS = 12.0  # of a run
KILLS = 3
LIMITS = (20, 60, 200)  # of answers, in tokens: small, middling and large requests
STORED_SECONDS = 0.25  # a record is in the ledger so much later than it says, at most
TEXT = "water " * 20


@dataclass(frozen=True, slots=True)
class Cluster:
    """A `serve`, and its twins."""

    main: Serving
    twins: Sequence[Twin]

    @property
    def roots(self) -> list[str]:
        return [self.main.root, *(twin.root for twin in self.twins)]

    def add_user(self, user_id: str, budget: Decimal) -> str:
        """The key of a user whose team has a budget, once all proxies know it."""
        with self.main.access_file.open("a") as file:
            file.write(f'\n[teams.of-{user_id}]\nbudgets = [{{ amount = "{budget}", period = "month" }}]\n')
        key = self.main.add_user(user_id, "--team", f"of-{user_id}")
        wait_for("all proxies to know the key", lambda: all(_is_let_in(root, key) for root in self.roots))
        return key

    def records(self, user_id: str) -> list[dict[str, Any]]:
        return [record for record in self.main.settled() if record["user_id"] == user_id]


def _is_let_in(root: str, key: str) -> bool:
    return ask(root, "GET", "/v1/nothing", headers=bearer(key)).status == 404


@pytest.fixture(scope="module")
def cluster(upstream: CountingUpstream) -> Iterator[Cluster]:
    settings = {"BUDGET_INSTANCES": str(PROXIES), "BUDGET_PIPELINE_SECONDS": "2", "DRAIN_SECONDS": "1"}
    with serving(upstream, **settings) as main, twins_of(main, PROXIES - 1) as twins:
        yield Cluster(main, twins)


def _body(limit: int) -> dict[str, Any]:
    return {"model": "gpt-4o", "max_tokens": limit, "messages": [{"role": "user", "content": TEXT}]}


@dataclass(frozen=True, slots=True)
class Refused:
    sent: float
    told: float
    limit: int


@dataclass(slots=True)
class Load:
    """Eighty clients of one key, twenty a proxy, until the time is over."""

    roots: Sequence[str]
    key: str
    seed: int
    ends: float = field(default_factory=lambda: time.time() + SECONDS)
    refused: list[Refused] = field(default_factory=list)
    odd: list[tuple[int, str]] = field(default_factory=list)
    broken: int = 0

    async def run(self) -> None:
        connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            await asyncio.gather(
                *(
                    self._client(session, root, random.Random(f"{self.seed} {root} {number}"))  # noqa: S311 - no secret; seeded: the same delays each time
                    for root in self.roots
                    for number in range(CLIENTS)
                )
            )

    async def _client(self, session: aiohttp.ClientSession, root: str, dice: random.Random) -> None:
        await asyncio.sleep(dice.uniform(0, 2))
        while time.time() < self.ends:
            limit, sent = dice.choice(LIMITS), time.time()
            headers = bearer(self.key, x_upstream_orders=f"first={dice.randint(10, 1500)}")
            try:
                async with session.post(f"{root}/v1/chat/completions", json=_body(limit), headers=headers) as answer:
                    body = await answer.read()
            except aiohttp.ClientError:
                self.broken += 1
                await asyncio.sleep(0.3)
                continue
            if answer.status == 429 and b'"insufficient_quota"' in body:
                self.refused.append(Refused(sent, time.time(), limit))
            elif answer.status != 200:
                self.odd.append((answer.status, body.decode()))
            await asyncio.sleep(dice.uniform(0.1, 1))


async def _killer(twins: Sequence[Twin], seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - no secret; seeded: the same victims each time
    for _ in range(KILLS):
        await asyncio.sleep(dice.uniform(1.5, SECONDS / KILLS))
        victim = dice.choice(twins)
        victim.kill()
        victim.start()


async def _together(load: Load, twins: Sequence[Twin]) -> None:
    await asyncio.gather(load.run(), _killer(twins, load.seed))


def _seconds(time_: str) -> float:
    return datetime.fromisoformat(time_).timestamp()


def _cost(record: Mapping[str, Any]) -> Decimal:
    """What a record counts as against a budget."""
    return Decimal(record["reserved_cost"] if record["list_cost"] is None else record["list_cost"])


def _heights(records: Sequence[Mapping[str, Any]]) -> list[tuple[float, Decimal]]:
    """What the ledger and all that was under way came to, each time that it changed."""
    steps = [(_seconds(record["event_time"]), Decimal(record["reserved_cost"])) for record in records]
    steps += [
        (_seconds(record["stored_time"]) + STORED_SECONDS, _cost(record) - Decimal(record["reserved_cost"]))
        for record in records
    ]
    heights, height = [], Decimal(0)
    for moment, change in sorted(steps):
        height += change
        heights.append((moment, height))
    return heights


def _highest(heights: Sequence[tuple[float, Decimal]], since: float, until: float) -> Decimal:
    before = [height for moment, height in heights if moment <= since][-1:]
    return max([*before, *(height for moment, height in heights if since < moment <= until)], default=Decimal(0))


@pytest.fixture(scope="module")
def amounts(cluster: Cluster) -> Mapping[int, Decimal]:
    """What is held for a request of each kind."""
    key = cluster.add_user("scale", Decimal(10))
    held = {}
    for limit in LIMITS:
        got = ask(cluster.main.base_url, "POST", "/chat/completions", headers=bearer(key), body=_encoded(limit))
        record = cluster.main.record(got.header("x-openai-proxy-request-id") or "")
        held[limit] = Decimal(record["reserved_cost"])
    return held


def _encoded(limit: int) -> bytes:
    return json.dumps(_body(limit)).encode()


@pytest.mark.parametrize(("seed", "size"), [(1, 5), (2, 15)])
def test_four_proxies_stay_within_the_bound_and_refuse_nobody_falsely(
    cluster: Cluster, amounts: Mapping[int, Decimal], seed: int, size: int
) -> None:
    largest = max(amounts.values())
    budget = (largest * size).quantize(Decimal("0.0001"))
    user_id = f"user{seed}"
    load = Load(cluster.roots, cluster.add_user(user_id, budget), seed)

    asyncio.run(_together(load, cluster.twins))

    for twin in cluster.twins:
        wait_for("a twin", twin.answers)
    records = cluster.records(user_id)
    spent = sum(map(_cost, records), Decimal(0))
    assert load.odd == []
    assert load.broken, "the kills met no request"
    assert load.refused, "the budget was never used up"
    assert spent <= budget + LARGEST_PER_INSTANCE * (PROXIES + KILLS) * largest
    assert spent > budget - largest
    heights = _heights(records)
    for one in load.refused:
        assert _highest(heights, one.sent, one.told) + amounts[one.limit] > budget, "refused, though there was room"
    assert len({record["instance_id"] for record in records}) >= PROXIES
    _assert_no_threshold_is_told_twice(cluster, f"of-{user_id}")
    _assert_all_decide_as_the_ledger_says(cluster, load.key, user_id, budget, amounts[LIMITS[0]])


def _assert_no_threshold_is_told_twice(cluster: Cluster, team_id: str) -> None:
    """A kill may meet the line; a second one may not come."""
    logs = [cluster.main.stderr, *(twin.errors for twin in cluster.twins)]
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines() if '"threshold"' in line]
    told = Counter(line["threshold"] for line in lines if line["team_id"] == team_id)
    assert told
    assert set(told.values()) == {1}, told


def _assert_all_decide_as_the_ledger_says(
    cluster: Cluster, key: str, user_id: str, budget: Decimal, amount: Decimal
) -> None:
    """Once all is quiet: nothing that was given back is still held anywhere."""
    for root in cluster.roots:
        fits = sum(map(_cost, cluster.records(user_id)), Decimal(0)) + amount <= budget
        got = ask(root, "POST", "/v1/chat/completions", headers=bearer(key), body=_encoded(LIMITS[0]))
        assert got.status == (200 if fits else 429), got.body
