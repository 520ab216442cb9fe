"""The chart of the usage page: a measure over time, by group; a table first, to be read without a picture too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from openai_proxy.page import cells
from openai_proxy.page.asked import one_of
from openai_proxy.page.buckets import Bucket, buckets_of, unit_of
from openai_proxy.page.groups import MODEL, Grouping, grouping_of, of_tag, offered
from openai_proxy.page.sums import cost_of, tokens_of
from openai_proxy.page.text import iso
from openai_proxy.page.views import Cell, Chart, Column, Kind, Link, Table
from openai_proxy.page.visit import Visit
from openai_proxy.ports import GroupBy, UsageTotal

MEASURES: Mapping[str, str] = {"cost": "List cost", "tokens": "Tokens", "requests": "Requests", "latency": "Latency"}
_KINDS: Mapping[str, Kind] = {"cost": "usd", "tokens": "count", "requests": "count", "latency": "ms"}
_OWN_KINDS: Mapping[str, str] = {"cost": "All", "tokens": "Kind", "requests": "Outcome", "latency": "Percentile"}
_KIND = "kind"
_MOST_SERIES = 7
_VALUES: Mapping[str, Callable[[UsageTotal], Decimal]] = {
    "cost": cost_of,
    "tokens": lambda total: Decimal(tokens_of(total)),
    "requests": lambda total: Decimal(total.requests),
}
_PARTS: Mapping[str, Mapping[str, Callable[[UsageTotal], Decimal]]] = {
    "cost": {"List cost": cost_of},
    "tokens": {
        "Input": lambda total: Decimal(total.input_tokens - total.cache_read_input_tokens),
        "Cached input": lambda total: Decimal(total.cache_read_input_tokens),
        "Output": lambda total: Decimal(total.output_tokens - total.reasoning_output_tokens),
        "Reasoning": lambda total: Decimal(total.reasoning_output_tokens),
    },
    "requests": {
        "OK": lambda total: Decimal(total.requests - total.errors),
        "Errors": lambda total: Decimal(total.errors),
    },
}


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart, or one part of its bars: a value for each bucket's key that has one."""

    label: str
    values: Mapping[str, Decimal]

    @property
    def total(self) -> Decimal:
        """All of it, where values can be summed."""
        return sum(self.values.values(), Decimal(0))


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is asked to be drawn; without `grouping`, the measure's own parts."""

    measure: str
    grouping: Grouping | None

    @classmethod
    def of(cls, visit: Visit) -> Drawn:
        """By `measure=` and `by=`; a cost by its models, all else by its parts, where nothing is said.

        Raises:
            RefusedError: there is no such measure or group.
        """
        query = visit.question.query
        measure = one_of(query, "measure", list(MEASURES))
        default = MODEL.name if measure == "cost" else _KIND
        return cls(measure, grouping_of(query.get("by", "").strip() or default, [_KIND], parameter="by"))

    @property
    def title(self) -> str:
        """What it is, for a heading."""
        by = f" by {self.grouping.label.lower()}" if self.grouping else ""
        return f"95th percentile of latency{by}" if by and self.measure == "latency" else MEASURES[self.measure] + by


def chart(visit: Visit, drawn: Drawn, tags: Sequence[str]) -> Chart | None:
    """The chart; None where nothing is in the period. `tags` are those that can be grouped by."""
    series = _latencies(visit, drawn.grouping) if drawn.measure == "latency" else _sums(visit, drawn)
    keys = {key for one in series for key in one.values}
    buckets = buckets_of(visit.selection.period, keys, visit.now)
    if not buckets:
        return None
    kind = _KINDS[drawn.measure]
    table = Table(
        name="chart",
        title=drawn.title,
        columns=[Column(label="Time"), *(Column(label=one.label, is_number=True) for one in series)],
        rows=[[_time(visit, one), *(_cell(kind, found.values.get(one.key)) for found in series)] for one in buckets],
        foot=[] if kind == "ms" else [Cell(text="Sum"), *(_cell(kind, one.total) for one in series)],
        note=_note(visit, buckets, drawn),
        links=[Link(label=form.upper(), href=visit.asked.href(table="chart", format=form)) for form in ("csv", "json")],
    )
    return Chart(
        table=table,
        shape="lines" if kind == "ms" else "bars",
        kind=kind,
        summary=_summary(visit, drawn, series, buckets),
        measures=[
            Link(label=label, href=visit.asked.href(measure=name, by=None), is_current=name == drawn.measure)
            for name, label in MEASURES.items()
        ],
        groups=_groups(visit, drawn, tags),
    )


def _sums(visit: Visit, drawn: Drawn) -> Sequence[Series]:
    bucket: GroupBy = unit_of(visit.selection.period)
    by = drawn.grouping.by if drawn.grouping else ()
    totals = visit.ledger.totals(visit.selection, by=(bucket, *by))
    if drawn.grouping is not None:
        return _grouped(totals, drawn.grouping, _VALUES[drawn.measure])
    return [
        Series(label, {str(total.group[0]): value(total) for total in totals})
        for label, value in _PARTS[drawn.measure].items()
    ]


def _grouped(
    totals: Sequence[UsageTotal], grouping: Grouping, value: Callable[[UsageTotal], Decimal]
) -> Sequence[Series]:
    found: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for total in totals:
        found[grouping.named(total.group[1:])][str(total.group[0])] = value(total)
    series = sorted((Series(label, values) for label, values in found.items()), key=lambda one: (-one.total, one.label))
    if len(series) <= _MOST_SERIES + 1:
        return series
    others: dict[str, Decimal] = defaultdict(Decimal)
    for one in series[_MOST_SERIES:]:
        for key, amount in one.values.items():
            others[key] += amount
    return [*series[:_MOST_SERIES], Series(f"other ({len(series) - _MOST_SERIES})", others)]


def _latencies(visit: Visit, grouping: Grouping | None) -> Sequence[Series]:
    bucket: GroupBy = unit_of(visit.selection.period)
    found = visit.ledger.latencies(visit.selection, by=(bucket, *(grouping.by if grouping else ())))
    if grouping is None:
        return [
            Series("p50", {str(one.group[0]): Decimal(one.p50_ms) for one in found}),
            Series("p95", {str(one.group[0]): Decimal(one.p95_ms) for one in found}),
        ]
    values: dict[str, dict[str, Decimal]] = defaultdict(dict)
    requests: dict[str, int] = defaultdict(int)
    for one in found:
        label = grouping.named(one.group[1:])
        values[label][str(one.group[0])] = Decimal(one.p95_ms)
        requests[label] += one.requests
    most = sorted(requests, key=lambda label: (-requests[label], label))[:_MOST_SERIES]
    return [Series(label, values[label]) for label in most]


def _groups(visit: Visit, drawn: Drawn, tags: Sequence[str]) -> Sequence[Link]:
    offers = [*offered(visit.scope, visit.selection), *map(of_tag, tags)]
    names = [(_KIND, _OWN_KINDS[drawn.measure]), *((one.name, one.label) for one in offers)]
    current = drawn.grouping.name if drawn.grouping else _KIND
    return [Link(label=label, href=visit.asked.href(by=name), is_current=name == current) for name, label in names]


def _time(visit: Visit, bucket: Bucket) -> Cell:
    """When it begins, with a link to what is in it."""
    local = bucket.since.astimezone(visit.zone) if bucket.unit == "hour" else None
    bounds = {"since": iso(bucket.since), "until": iso(bucket.until)}
    if bucket.unit == "day":
        bounds = {"since": bucket.key, "until": bucket.key}
    place = "/log/requests" if bucket.unit == "hour" else None
    dropped = {"measure": None, "by": None, "sort": None} if place else {}
    return Cell(
        text=bucket.label(visit.zone),
        exact=iso(bucket.since),
        href=visit.asked.href(place, period=None, **bounds, **dropped),
        time=local,
    )


def _cell(kind: Kind, value: Decimal | None) -> Cell:
    if kind == "usd":
        return cells.usd(value or Decimal(0))
    if kind == "ms":
        return cells.duration(None if value is None else int(value))
    return cells.count(int(value or 0))


def _note(visit: Visit, buckets: Sequence[Bucket], drawn: Drawn) -> str:
    zone = visit.zone.key if buckets[0].unit == "hour" else "UTC, as OpenAI bills"
    note = f"A row is {'an hour' if buckets[0].unit == 'hour' else f'a {buckets[0].unit}'}, in {zone}."
    if drawn.measure == "tokens" and drawn.grouping is None:
        note += " Input is without the cached, output without the reasoning tokens."
    if drawn.measure == "latency":
        note += " Only requests that ended well are counted."
    return note


def _summary(visit: Visit, drawn: Drawn, series: Sequence[Series], buckets: Sequence[Bucket]) -> str:
    """What stands out: the sum, the highest bucket, and the largest series."""
    kind = _KINDS[drawn.measure]
    begin = f"{drawn.title}, {buckets[0].label(visit.zone)} to {buckets[-1].label(visit.zone)}"
    if kind == "ms":
        highest, label = max((max(one.values.values()), one.label) for one in series if one.values)
        return f"{begin}. The highest is {_cell(kind, highest).text} ({label})."
    sums = {one: sum((found.values.get(one.key, Decimal(0)) for found in series), Decimal(0)) for one in buckets}
    whole, top = sum(sums.values(), Decimal(0)), max(buckets, key=lambda one: sums[one])
    when = {"hour": "at", "day": "on", "month": "in"}[top.unit]
    most = f"most {when} {top.label(visit.zone)} ({_cell(kind, sums[top]).text})"
    text = f"{begin}: {_cell(kind, whole).text} in all, {most}."
    largest = max(series, key=lambda one: one.total)
    return text if len(series) == 1 else f"{text} {largest.label} has most of it, {_cell(kind, largest.total).text}."
