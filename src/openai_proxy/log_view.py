"""`/log`: who is reading, whose usage they may see, and in which form they get it."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import chain

from openai_proxy.access.callers import AccessFileError, AccessSource
from openai_proxy.budgets import spend_messages
from openai_proxy.budgets.book import REMEMBERED_SECONDS
from openai_proxy.page.csv_cells import csv_chunks
from openai_proxy.page.exchange import Answer, Question, RefusedError, refusal, see_page
from openai_proxy.page.google_sign_in import GoogleIdentity
from openai_proxy.page.key_in_address import refuse_key_in_address
from openai_proxy.page.periods import NAMES, PeriodError, parse_period
from openai_proxy.page.readers import Readers
from openai_proxy.page.usage_report import UsageReport
from openai_proxy.period import Period
from openai_proxy.ports import StoreError, Tag, UsageLedger
from openai_proxy.structured_log import log

LATEST = 50
DAYS = 62  # on the page; JSON and CSV have all
_FORMATS = ("html", "json", "csv")
_METHODS: Mapping[str, tuple[str, ...]] = {
    "/log": ("GET", "HEAD"),
    "/log/sign-in": ("GET", "HEAD", "POST"),
    "/log/sign-out": ("GET", "HEAD", "POST"),
    spend_messages.PATH: ("POST",),
    "/health": ("GET", "HEAD"),  # Cloud Run keeps some paths that end in z for itself
    "/healthz": ("GET", "HEAD"),
}
_UNREADABLE = (
    "The ledger cannot be read right now. Nothing is lost: requests go on being recorded."
    " Try again in a minute; if this stays, tell whoever runs this proxy to look at what log_view logged."
)


class LogView:
    """Answers every request to `/log`, and the proxy's questions; keeps nothing between two of them.

    `token` is what the proxy shows for what only it may ask; None where the platform lets nobody else in. `google`
    checks who comes through Identity-Aware Proxy; None: nobody does.
    """

    def __init__(
        self,
        ledger: UsageLedger,
        access: AccessSource,
        *,
        session_secret: str,
        google: GoogleIdentity | None = None,
        token: str | None = None,
        demo_upstream: bool = False,
    ) -> None:
        self._ledger = ledger
        self._access = access
        self._readers = Readers(access, session_secret, google)
        self._authorization = None if token is None else f"Bearer {token}".encode()
        self._demo_upstream = demo_upstream

    def answer(self, question: Question, now: datetime) -> Answer:
        """Answer one request; `now` is aware UTC."""
        try:
            return self._route(question, now).guarded()
        except RefusedError as error:
            refused = error
        except PeriodError as error:
            refused = RefusedError(400, f"{error}.", code="invalid_period")
        except (StoreError, AccessFileError) as error:
            log("ERROR", "log_view cannot read what it needs", error=str(error))
            refused = RefusedError(503, _UNREADABLE, code="ledger_unreachable", Retry_After="5")
        return refusal(question, refused, demo_upstream=self._demo_upstream).guarded()

    def _route(self, question: Question, now: datetime) -> Answer:
        refuse_key_in_address(question)
        path = question.path.rstrip("/")
        methods = _METHODS.get(path)
        if methods is None or (path == spend_messages.PATH and question.is_relayed):
            raise RefusedError(404, "There is nothing at this address; the page is /log.", code="not_found")
        if question.method not in methods:
            text = f"{path} answers {' and '.join(methods)} only."
            raise RefusedError(405, text, code="method_not_allowed", Allow=", ".join(methods))
        if path in {"/health", "/healthz"}:
            return self._health()
        if path == "/log":
            return self._usage(question, now)
        if path == spend_messages.PATH:
            return self._spend(question, now)
        if question.method != "POST":
            return see_page()  # somebody reloads or bookmarks what a form answered
        if path == "/log/sign-in":
            return self._readers.sign_in(question, now)
        return self._readers.sign_out(question)

    def _spend(self, question: Question, now: datetime) -> Answer:
        given = (question.authorization or "").encode("utf-8", "surrogatepass")
        if self._authorization is not None and not hmac.compare_digest(self._authorization, given):
            raise RefusedError(401, "This is for the proxy alone.", code="invalid_token")
        try:
            asked = spend_messages.SpendRequest.from_json(question.json)
        except spend_messages.SpendMessageError as error:
            raise RefusedError(400, f"{error}.", code="invalid_question") from None
        active_since = now - timedelta(seconds=REMEMBERED_SECONDS)
        spend = self._ledger.spend(asked.questions, instance_id=asked.instance_id, active_since=active_since)
        return Answer(json=spend_messages.answer_to_json(spend))

    def _health(self) -> Answer:
        found = {"ledger": "ok"}
        try:
            self._ledger.check()
        except StoreError as error:
            found["ledger"] = str(error) or "unreachable"
        try:
            self._access.current()
        except AccessFileError as error:
            found["access_file"] = str(error)
        return Answer(status=200 if found == {"ledger": "ok"} else 503, json=found)

    def _usage(self, question: Question, now: datetime) -> Answer:
        reader = self._readers.reader(question, now)
        form = question.query.get("format") or ("html" if question.wants_page else "json")
        if form not in _FORMATS:
            raise RefusedError(400, f"format must be one of {', '.join(_FORMATS)}.", code="invalid_format")
        name, period = parse_period(question.query, now)
        user_id: str | None = reader.user_id
        if reader.role == "admin":
            user_id = question.query.get("user") or None
        tag = Tag.parse(question.query.get("tag") or "")
        if question.query.get("tag") and tag is None:
            raise RefusedError(400, "tag must be NAME=VALUE, as project=apollo.", code="invalid_tag")
        if form == "csv":
            return self._csv(period, user_id, tag)
        report = self._report(period, user_id, tag, is_admin=reader.role == "admin")
        if form == "json":
            return Answer(json=report.to_json())
        return Answer(
            template="usage.html",
            context={
                "report": report,
                "reader": reader,
                "users": self._users(report) if reader.role == "admin" else (),
                "period_name": name,
                "period_names": NAMES,
                "base_url": question.base_url,
                "demo_upstream": self._demo_upstream,
                "form_token": self._readers.form_token(question),
                "latest_limit": LATEST,
                "day_limit": DAYS,
            },
        )

    def _report(self, period: Period, user_id: str | None, tag: Tag | None, *, is_admin: bool) -> UsageReport:
        return UsageReport(
            period=period,
            user_id=user_id,
            tag=tag,
            by_day_and_model=self._ledger.totals(period, user_id=user_id, by=("day", "model"), tag=tag),
            by_user=self._ledger.totals(period, user_id=user_id, by=("user",), tag=tag) if is_admin else None,
            latest=list(self._ledger.records(period, user_id=user_id, limit=LATEST, tag=tag)),
        )

    def _users(self, report: UsageReport) -> list[str]:
        """Whom an admin may choose: everybody of the access file, and who is in the ledger only."""
        seen = {str(total.group[0]) for total in report.by_user or ()} | {report.user_id or ""}
        return sorted((seen | self._access.current().users.keys()) - {""})

    def _csv(self, period: Period, user_id: str | None, tag: Tag | None) -> Answer:
        records = iter(self._ledger.records(period, user_id=user_id, limit=None, tag=tag))
        first = next(records, None)  # an unreadable ledger must be known before the status is sent
        return Answer(
            headers={
                "Content-Type": "text/csv; charset=utf-8",
                "Content-Disposition": f'attachment; filename="usage_{period.since:%Y%m%d}_{period.until:%Y%m%d}.csv"',
            },
            text=csv_chunks(records if first is None else chain([first], records)),
        )
