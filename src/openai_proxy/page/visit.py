"""One look at a page of `/log`: who reads, what they ask for, and what they may see of the ledger."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from openai_proxy.access.callers import Access, Caller
from openai_proxy.page.asked import Asked
from openai_proxy.page.exchange import Question, RefusedError
from openai_proxy.page.periods import BEGINNING
from openai_proxy.page.scope import OutOfScopeError, Scope
from openai_proxy.page.sums import GROUPS, Breakdown
from openai_proxy.page.views import Frame, Link
from openai_proxy.page.zones import is_chosen, zone_names, zone_of
from openai_proxy.period import Period
from openai_proxy.ports import Selection, UsageLedger


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """`asked.selection` is within the reader's scope. `now` is aware UTC."""

    question: Question
    reader: Caller
    scope: Scope
    access: Access
    ledger: UsageLedger
    now: datetime
    asked: Asked
    demo_upstream: bool
    form_token: str

    @property
    def selection(self) -> Selection:
        """Which requests the page is about."""
        return self.asked.selection

    def selection_in(self, period: Period) -> Selection:
        """The same requests of another period."""
        return replace(self.selection, period=period)

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the times of single requests."""
        return zone_of(self.question)

    @property
    def ever(self) -> Period:
        """All time, until now."""
        return Period(BEGINNING, self.now)

    def breakdown(self) -> Breakdown:
        """Everything of the period that the reader could choose among, with the status and the tag that are chosen."""
        chosen = self.selection
        own = self.scope.is_own or (self.scope.team_id is not None and chosen.team_id is None)
        known = Selection(
            period=chosen.period,
            user_id=self.scope.user_id if own else None,
            team_id=None if own else self.scope.team_id,
            status=chosen.status,
            tag=chosen.tag,
        )
        return Breakdown(self.ledger.totals(known, by=GROUPS))

    def frame(self, title: str) -> Frame:
        """What is around every page."""
        places = (("Usage", "/log"), ("Requests", "/log/requests"))
        at = self.asked.path
        return Frame(
            title=title,
            reader=self.reader.user_id,
            role=self.reader.role,
            sections=[
                Link(label=label, href=self.asked.href(path, measure=None, by=None, sort=None), is_current=path == at)
                for label, path in places
            ],
            zone=self.zone.key,
            zones=zone_names(),
            demo_upstream=self.demo_upstream,
            form_token=self.form_token,
            is_zone_chosen=is_chosen(self.question),
        )

    def subject(self) -> str:
        """Whose usage it is, as a heading says it."""
        chosen = self.selection
        if chosen.user_id is not None:
            return "Your usage" if chosen.user_id == self.reader.user_id else f"Usage of {chosen.user_id}"
        return "Everybody’s usage" if chosen.team_id is None else f"Usage of team {chosen.team_id}"  # noqa: RUF001 - an apostrophe is meant


def within_scope(
    asked: Asked, reader: Caller, access: Access, ledger: UsageLedger, now: datetime
) -> tuple[Scope, Asked]:
    """The reader's scope, and what is asked for with no more in it than they may see.

    Raises:
        RefusedError: it is of somebody whose usage they may not see.
    """
    scope = Scope.of(reader)

    def is_in_team(user_id: str) -> bool:
        """By the access file, or by the ledger: who left has been in it."""
        user = access.users.get(user_id)
        if user is not None and user.team_id == scope.team_id:
            return True
        theirs = Selection(period=Period(BEGINNING, now), user_id=user_id, team_id=scope.team_id)
        return ledger.totals(theirs, by=())[0].requests > 0

    try:
        return scope, replace(asked, selection=scope.narrow(asked.selection, is_in_team))
    except OutOfScopeError as error:
        raise RefusedError(403, str(error), code="out_of_scope") from None
