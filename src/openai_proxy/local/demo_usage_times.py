"""When made-up people ask for something: working hours, weekends, holidays, growth, and a day that cost too much."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate, groupby

from openai_proxy.local.demo_usage_people import PEOPLE, Person

SPIKE_USER, SPIKE_WORK = "nightly-evals", "think"
"""Who did what by mistake on the day that cost too much."""

_GROWTH, _MOODS = 2.6, 0.35  # of the last day to the first; of one day to another
_INCIDENT_DAYS_AGO, _SPIKE_DAYS_AGO = 9, 17
_INCIDENT_HOURS = range(13, 17)
_SPIKE_TIMES, _SPIKE_ENDS = 2.5, 3  # an hour at which somebody stopped it
_HOURS, _SECONDS = 24, 3600
_FRIDAY, _AUGUST = 4, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """How much happened in how many days until `now`; the same story for the same values."""

    now: datetime
    records: int
    days: int
    seed: int

    @property
    def first_day(self) -> date:
        """The day of the first request, UTC; the last is the day of `now`."""
        return self.now.date() - timedelta(days=self.days - 1)

    @property
    def spike_day(self) -> date:
        """The day that cost too much."""
        return self._working_day(_SPIKE_DAYS_AGO)

    def is_incident(self, moment: datetime) -> bool:
        """Whether OpenAI has an incident."""
        return moment.hour in _INCIDENT_HOURS and moment.date() == self._working_day(_INCIDENT_DAYS_AGO)

    def _working_day(self, days_ago: int) -> date:
        day = self.now.date() - timedelta(days=days_ago)
        return day - timedelta(days=max(0, day.weekday() - _FRIDAY))


def requests(story: Story, rolls: random.Random) -> Iterator[tuple[datetime, Person]]:
    """Each request's moment and whose it is, in the order of time."""
    first = datetime.combine(story.first_day, time(), UTC)
    cells = list(accumulate(_shares(story, rolls)))
    picked = sorted(rolls.choices(range(len(cells)), cum_weights=cells, k=story.records))
    for hour, these in groupby(picked, key=lambda cell: cell // len(PEOPLE)):
        begins = first + timedelta(hours=hour)
        length_ms = min(timedelta(hours=1), story.now - begins) // timedelta(milliseconds=1)
        for moment_ms, number in sorted((int(rolls.random() * length_ms), cell % len(PEOPLE)) for cell in these):
            yield begins + timedelta(milliseconds=moment_ms), PEOPLE[number]


def _shares(story: Story, rolls: random.Random) -> Iterator[float]:
    """How much of all is each person's in each hour, the hours of all days in a row; nothing is after `now`."""
    for number in range(story.days):
        day = story.first_day + timedelta(days=number)
        passed = number / max(1, story.days - 1)
        active = [_activity(story, person, day, passed) * rolls.lognormvariate(0, _MOODS) for person in PEOPLE]
        is_spike = day == story.spike_day
        hours_so_far = (story.now - datetime.combine(day, time(), UTC)).total_seconds() / _SECONDS
        for hour in range(_HOURS):
            part = min(1.0, max(0.0, hours_so_far - hour))
            for person, share in zip(PEOPLE, active, strict=True):
                is_stopped = is_spike and person.user_id == SPIKE_USER and hour >= _SPIKE_ENDS
                yield 0.0 if is_stopped else part * share * person.hours[hour]


def _activity(story: Story, person: Person, day: date, passed: float) -> float:
    """How much somebody does on a day, for each unit of `hours`, when so much of the whole time has passed."""
    if passed < person.joined:
        return 0.0
    usual = person.requests / sum(person.hours) * math.pow(_GROWTH, passed)
    if day == story.spike_day and person.user_id == SPIKE_USER:
        return usual * _SPIKE_TIMES
    return usual * (person.weekend if day.weekday() > _FRIDAY else 1.0) * max(person.weekend, _season(day))


def _season(day: date) -> float:
    """Holidays, which applications hardly notice."""
    if (day.month, day.day) >= (12, 23) or (day.month, day.day) <= (1, 2):
        return 0.08
    return 0.6 if day.month == _AUGUST else 1.0
