"""What the templates of `/log` show: every text, link and number, worked out. Frozen, and free of how it looks.

A number stands twice: as `text`, as the server writes it, and as `exact`, which scripts write in the reader's locale
and draw charts of. So each chart is a table first, and without scripts it stays one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Kind = Literal["text", "usd", "count", "ms", "percent"]
"""What a number counts; `usd` is a list cost, `percent` goes from 0 to 100."""

Level = Literal["ok", "near", "over"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Somewhere else on the page's site; `is_current`: that is where the reader is."""

    label: str
    href: str
    is_current: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One of the values that a filter may have."""

    value: str
    label: str
    is_chosen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A field of the form of filters; without `options` it is typed. `value` is empty where nothing is chosen."""

    name: str
    label: str
    value: str
    options: Sequence[Option] = ()
    placeholder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a table, or one number elsewhere.

    `note` is a smaller second line, `badge` a class to set it apart by (`estimated`, `unpriced`, `open`, `error`),
    `share` how long its bar is, in % of the longest. A `time` is written in the reader's zone.
    """

    text: str
    kind: Kind = "text"
    exact: str | None = None
    href: str | None = None
    note: str | None = None
    badge: str | None = None
    share: float | None = None
    time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """The head of a column; `href` sorts by it, and turns the order where it is sorted by already."""

    label: str
    href: str | None = None
    order: Literal["ascending", "descending"] | None = None
    is_number: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Where in a long table the reader is: `1 to 50 of 1,234`."""

    shown: str
    previous_href: str | None = None
    next_href: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of as many cells as there are columns; the first of each is its name. `foot` is their sum."""

    name: str
    """Its `id` on the page: small letters and hyphens."""
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    foot: Sequence[Cell] = ()
    pages: Pages | None = None
    note: str | None = None
    links: Sequence[Link] = ()
    """The same rows as CSV and JSON, or all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A table whose first column is time, each other one a series of `kind`; `bars` are stacked, `lines` are not."""

    table: Table
    shape: Literal["bars", "lines"]
    kind: Kind
    summary: str
    """What it shows, in a sentence, for who does not see it."""
    measures: Sequence[Link] = ()
    groups: Sequence[Link] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A number to begin with, and how it compares with the period before."""

    label: str
    value: Cell
    parts: Sequence[str] = ()
    change: str | None = None
    """`+12 %`, `no usage before`; None where there is nothing to compare with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLeft:
    """One budget of whom the page is about; `share` is how much of it is used, in %, 100 at most."""

    label: str
    """`your budget`, `of team research`, `of everybody`."""
    left: Cell
    amount: Cell
    period: str
    resets: datetime | None
    share: float
    level: Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that the reader should know of these numbers; `badge` as in `Cell`, `href` to those it is about."""

    text: str
    badge: str
    href: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What every page of a signed-in reader has around it."""

    title: str
    reader: str
    role: str
    sections: Sequence[Link]
    """Usage, requests."""
    zone: str
    """The IANA name of the time zone that times are in."""
    zones: Sequence[str]
    demo_upstream: bool
    form_token: str
    """What every form that changes something sends as `token`."""
    is_zone_chosen: bool = True
    """Where it is False, a script offers the zone of the reader's browser."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which requests a page is about, and the ways to choose others."""

    period: str
    periods: Sequence[Link]
    since: str
    until: str
    """The bounds as dates, the last day included."""
    filters: Sequence[Filter]
    kept: Sequence[tuple[str, str]]
    """Parameters that the form of filters sends along."""
    reset_href: str | None
    """Without any filter; None where none is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePage:
    """`/log`: `usage.html`, and `first_visit.html` where there is nothing at all yet."""

    frame: Frame
    choice: Choice
    tiles: Sequence[Tile]
    budgets: Sequence[BudgetLeft]
    facts: Sequence[Fact]
    chart: Chart | None
    tables: Sequence[Table]
    latest: Table | None
    base_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsPage:
    """`/log/requests`: `requests.html`; `refresh_href` gives the newest rows again, where they can change."""

    frame: Frame
    choice: Choice
    table: Table
    refresh_href: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPage:
    """`/log/requests/{event_id}`: `request.html`; `groups` are lists of what is known, each with its title."""

    frame: Frame
    status: Cell
    groups: Sequence[tuple[str, Sequence[tuple[str, Cell]]]]
    units: Table | None
    """Its cost line by line: quantity, price, when that price was found, cost, source."""
    revisions: Table | None
    back_href: str
