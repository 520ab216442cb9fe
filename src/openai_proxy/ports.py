"""The ports: what the use cases need of the world, in our words. One engine each in `adapters/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol

from openai_proxy.access.events import AccessEvent
from openai_proxy.events import TAG_NAME, TAG_VALUE, UsageEvent, UsageSource
from openai_proxy.period import Period
from openai_proxy.records import UsageRecord


class QueueError(Exception):
    """The queue did not accept a message; it may be published again."""


class StoreError(Exception):
    """The ledger cannot be read or written now; the call may be made again."""


class SecretError(Exception):
    """A secret cannot be had now; the message says which, never what it is."""


class ClaimError(Exception):
    """Whether a name is claimed cannot be known now."""


class Claims(Protocol):
    """Lets one of many do what must be done once."""

    def claim(self, name: str) -> bool:
        """Whether nobody had claimed this name; from now on somebody has. `ClaimError`: that is not known."""


class UsageQueue(Protocol):
    """Carries usage events from the proxy to the sink, at least once."""

    async def publish(self, event: UsageEvent) -> None:
        """Return when the event is safe on disk or acknowledged; raise `QueueError` when it is not."""

    async def check(self) -> None:
        """Raise `QueueError` when a message could not be accepted now."""

    async def close(self) -> None:
        """Finish what was begun, then let go of the engine."""


class DeadLetters(Protocol):
    """Keeps messages that can never become a record, each with the reason, until somebody looks."""

    def add(self, message: bytes, reason: str) -> None:
        """Return when the message is safe; raise `QueueError` when it is not."""


class DeadLetter(Protocol):
    """A message that was given up, and why."""

    @property
    def message_id(self) -> int | str: ...  # noqa: D102 - the queue's id of it
    @property
    def data(self) -> bytes: ...  # noqa: D102 - as it was published
    @property
    def publish_time(self) -> datetime: ...  # noqa: D102 - when the queue accepted it
    @property
    def attempts(self) -> int: ...  # noqa: D102 - deliveries
    @property
    def dead_time(self) -> datetime: ...  # noqa: D102 - when it was given up
    @property
    def reason(self) -> str: ...  # noqa: D102 - for a person


class DeadLetterBox(Protocol):
    """Lets somebody look at the dead letters, and send them on their way again."""

    def dead_letters(self) -> Sequence[DeadLetter]:
        """All of them, oldest first; they stay."""

    def replay(self, now: datetime) -> int:
        """Publish all from before `now` again; answer how many."""

    def close(self) -> None:
        """Let go of the engine."""


class UsageStore(Protocol):
    """Writes the ledger; a request's records may come twice and in any order, and be priced again.

    Finished beats started, then the highest `price_revision`, then what was stored first.
    """

    def add(self, records: Sequence[UsageRecord]) -> Mapping[str, str]:
        """Keep the records; answer `event_id` -> reason for each one that the store refuses for good.

        Raises:
            StoreError: nothing is known to be kept; add all of them again.
        """

    def check(self) -> None:
        """Raise `StoreError` when a record could not be written now."""

    def close(self) -> None:
        """Let go of the engine; the next record takes it up again."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag of a request, with its value."""

    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.name}={self.value}"

    @classmethod
    def parse(cls, text: str) -> Tag | None:
        """The tag that `NAME=VALUE` stands for; None where it stands for none."""
        name, _, value = text.partition("=")
        return cls(name, value) if TAG_NAME.fullmatch(name) and TAG_VALUE.fullmatch(value) else None


Status = Literal["ok", "error", "open", "unpriced", "estimated"]
"""How a request ended, or what is not known of it.

`open` has not ended; of the others, `error` has an `error_type` or a status from 400, and `ok` has neither. `unpriced`
and `estimated` say what is so beside: an error may be either, and an open one is unpriced.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The final records of a period by `event_time` that have all that is given; None: whatever it is.

    `model` is the one that answered, or where none did the one asked for.
    """

    period: Period
    user_id: str | None = None
    team_id: str | None = None
    key_id: str | None = None
    model: str | None = None
    operation: str | None = None
    status: Status | None = None
    tag: Tag | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """How records are ordered; what is not known comes last, and of equals the newest first."""

    by: Literal["event_time", "list_cost", "input_tokens", "output_tokens", "duration_ms"] = "event_time"
    is_descending: bool = True


NEWEST_FIRST = Order()
"""How records are listed where nothing else is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long requests took that ended well (`duration_ms`), in one group: what 50 % of them and 95 % did not exceed.

    `requests` counts those whose duration is known.
    """

    group: tuple[str | None, ...]
    requests: int
    p50_ms: int
    p95_ms: int


@dataclass(frozen=True, slots=True)
class TagValues:
    """The values of one tag, as what to sum by; requests without it are one group."""

    name: str


GroupBy = Literal["user", "team", "key", "model", "operation", "status", "hour", "day", "month", "end_user"] | TagValues
"""What to sum by; one tag at a time.

`hour`, `day` and `month` are UTC, as 2026-11-23T14, 2026-11-23 and 2026-11; `status` is ok, error or open.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotal:
    """Sums over one group of final records; `group` has one value for each name grouped by, in that order.

    `list_cost` is decimal text (USD): the sum over the priced ones. `unpriced`, `estimated`, `open` and `errors` count
    requests; an open one is also unpriced, an error has an `error_type` or a status from 400. The token sums leave out
    what is not known.
    """

    group: tuple[str | None, ...]
    requests: int
    input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int
    reasoning_output_tokens: int
    list_cost: str
    unpriced: int
    estimated: int
    open: int
    errors: int


SUMS = tuple(field.name for field in fields(UsageTotal) if field.name != "group")
"""What a total sums up, by name: fields here, columns in the engines' queries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpricedUsage:
    """Final records that ended and have no list cost, for one reason; the times are the first and the last request's.

    `usage_source` tells an amount that has no price (`reported`, `estimated`) from one that was never told (`unknown`).
    `last_event_id` is one of those of `last_time`.
    """

    model: str | None
    service_tier: str | None
    usage_source: UsageSource
    unpriced_reason: str | None
    requests: int
    first_time: datetime
    last_time: datetime
    last_event_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendQuestion:
    """What one scope spent `since` then; of what the asking instance did itself, only what was before `own_since`."""

    scope_kind: Literal["user", "team", "organization"]
    scope_name: str
    since: datetime
    own_since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What was spent, in USD, an amount for each question; and how many other instances were active lately."""

    amounts: tuple[Decimal, ...]
    other_instances: int


class UsageLedger(Protocol):
    """Reads the ledger: one final record a request, whatever was delivered twice or late."""

    def records(
        self, selection: Selection, *, limit: int | None, offset: int = 0, order: Order = NEWEST_FIRST
    ) -> Iterator[Mapping[str, Any]]:
        """Final records, as column name -> value (`UsageRecord.row`), without the first `offset` ones."""

    def record(self, event_id: str, period: Period) -> Mapping[str, Any] | None:
        """One final record; None where the period has no such `event_time`. As with `revisions`, shorter is faster."""

    def totals(self, selection: Selection, *, by: Sequence[GroupBy]) -> Sequence[UsageTotal]:
        """Sums by the groups named, ordered by them; what is not known comes first. No group: one total."""

    def latencies(self, selection: Selection, *, by: Sequence[GroupBy]) -> Sequence[Latency]:
        """How long what ended well took, by the groups named and ordered as `totals`; a group without any is left out.

        No group: one, where there is any.
        """

    def unpriced(self, period: Period) -> Sequence[UnpricedUsage]:
        """What has no list cost, by model, tier, source and reason, the most frequent first; open records left out."""

    def revisions(self, event_id: str, period: Period) -> Sequence[Mapping[str, Any]]:
        """All versions of one final record, oldest first: as it was written, and each time it was priced again.

        The last one is what `records` gives. The period must hold the record's `event_time`; the shorter it is, the
        less a large ledger has to read.
        """

    def spend(self, questions: Sequence[SpendQuestion], *, instance_id: str, active_since: datetime) -> Spend:
        """What was spent, as the instance that asks does not know it yet; `active_since`: what counts as lately.

        A final record counts as its list cost, or where that is not known as what was reserved for it, open ones too.
        """

    def check(self) -> None:
        """Raise `StoreError` when the ledger cannot be read now."""


class AccessLog(Protocol):
    """Keeps in the ledger what was changed in the access file, and lists it; an event counts once, however it comes."""

    def add(self, events: Sequence[AccessEvent]) -> None:
        """Return when all are kept; raise `StoreError` when that is not known: add all of them again."""

    def events(self, period: Period) -> Sequence[AccessEvent]:
        """Those of the period, newest first; raise `StoreError` when the ledger cannot be read now."""

    def close(self) -> None:
        """Let go of the engine; the next call takes it up again."""
