"""A made-up year of a made-up company: usage events as the proxy would have told them, and their records.

Pure, and the same for the same story. `demo_usage_times` says when who asks, `demo_usage_people` who that is,
`demo_usage_work` what for, `demo_usage_models` with what, and `demo_usage_ends` how it ended.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from openai_proxy.events import UsageEvent
from openai_proxy.local.demo_usage_ends import INCIDENT, OPEN, USUAL, Asked, Fields, ended
from openai_proxy.local.demo_usage_models import days_after_spring, model_of
from openai_proxy.local.demo_usage_people import MARK, TEAM_BUDGETS, Person, key_id
from openai_proxy.local.demo_usage_times import SPIKE_USER, SPIKE_WORK, Story, requests
from openai_proxy.local.demo_usage_work import WORK, Work
from openai_proxy.pricing.priced import priced
from openai_proxy.records import UsageRecord

_INSTANCES, _INSTANCE_DAYS = 2, 6  # proxies at a time, deployed anew about once a week
_HELD_AT_LEAST, _MICRODOLLAR = Decimal("0.02"), Decimal("1e-6")
_QUEUED, _STORED = timedelta(milliseconds=3), timedelta(milliseconds=40)  # after the request has ended
_RETRIED = 0.01  # of the requests that end well


def records(story: Story) -> Iterator[UsageRecord]:
    """The records of all requests, counted and priced, in the order of time."""
    for number, event in enumerate(events(story), start=1):
        bill = priced(event)
        told = event.event_time + timedelta(milliseconds=event.duration_ms or 0)
        yield UsageRecord(
            event=event if event.budget_state is None else _held(event, bill.cost.list_cost),
            tokens=bill.tokens,
            units=bill.units,
            cost=bill.cost,
            message_id=str(number),
            publish_time=told + _QUEUED,
            stored_time=told + _STORED,
        )


def events(story: Story) -> Iterator[UsageEvent]:
    """The newest event of each request, in the order of time."""
    rolls = random.Random(story.seed)  # noqa: S311 - a picture, no secret
    for moment, person in requests(story, rolls):
        work = _work(story, moment, person, rolls)
        model = model_of(work.model, days_after_spring(moment.date(), story.now.date()), rolls)
        asked = Asked(work, model, stream=rolls.random() < work.streamed)
        end = ended(rolls, asked, INCIDENT if story.is_incident(moment) else USUAL)
        if moment + timedelta(milliseconds=end.get("duration_ms", 0)) > story.now:
            end = OPEN
        yield UsageEvent(**_begun(moment, person, asked, rolls) | _tried(end, rolls) | end)


def _work(story: Story, moment: datetime, person: Person, rolls: random.Random) -> Work:
    (name,) = rolls.choices(tuple(person.work), tuple(person.work.values()))
    return WORK[SPIKE_WORK if person.user_id == SPIKE_USER and moment.date() == story.spike_day else name]


def _begun(moment: datetime, person: Person, asked: Asked, rolls: random.Random) -> Fields:
    endpoint = asked.work.endpoint
    has_budget = person.budget is not None or TEAM_BUDGETS[person.team_id] is not None
    return {
        "event_id": f"{MARK}{rolls.getrandbits(64):016x}",
        "event_type": "finished",
        "event_time": moment,
        "user_id": person.user_id,
        "key_id": key_id(person.user_id, min(len(person.keys) - 1, int(rolls.expovariate(1.2)))),
        "team_id": person.team_id,
        "operation_name": endpoint.operation_name,
        "http_method": endpoint.method,
        "url_path": f"/v1{endpoint.path}",
        "request_model": asked.model and asked.model.name,
        "stream": asked.stream,
        "instance_id": _instance(moment.date(), rolls.randrange(_INSTANCES)),
        "budget_state": "checked" if has_budget else None,
        "tags": {tag: rolls.choice(values) for tag, values in person.tags.items()} or None,
        "end_user_id": f"guest{_rank(person.end_users, rolls):02}@demo.example" if person.end_users else None,
    }


def _tried(end: Fields, rolls: random.Random) -> Fields:
    """What failed was often tried again, and failed again."""
    return {"retry_count": rolls.choice((0, 0, 1, 2)) if "error_type" in end else int(rolls.random() < _RETRIED)}


def _held(event: UsageEvent, list_cost: Decimal | None) -> UsageEvent:
    """The event with what a budget held for it, which is more than it came to."""
    return replace(event, reserved_cost=max(_HELD_AT_LEAST, 3 * (list_cost or Decimal(0))).quantize(_MICRODOLLAR))


def _rank(many: int, rolls: random.Random) -> int:
    """One of many, the first ones more often."""
    return 1 + min(many - 1, int(rolls.expovariate(5 / many)))


def _instance(day: date, number: int) -> str:
    week = day.toordinal() // _INSTANCE_DAYS
    return f"{random.Random(week * _INSTANCES + number).getrandbits(48):012x}"  # noqa: S311 - a name, no secret
