"""`/log`: who is reading, whose usage they may see, and in which form they get it."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta

from openai_proxy.access.callers import AccessFileError, AccessSource
from openai_proxy.budgets import spend_messages
from openai_proxy.budgets.book import REMEMBERED_SECONDS
from openai_proxy.page.asked import asked_of
from openai_proxy.page.exchange import Answer, Question, RefusedError, refusal, see_page
from openai_proxy.page.google_sign_in import GoogleIdentity
from openai_proxy.page.key_in_address import refuse_key_in_address
from openai_proxy.page.periods import PeriodError
from openai_proxy.page.readers import Readers
from openai_proxy.page.request_page import request_answer
from openai_proxy.page.requests_page import requests_answer
from openai_proxy.page.usage_page import usage_answer
from openai_proxy.page.visit import Visit, within_scope
from openai_proxy.page.zones import choose_zone
from openai_proxy.ports import StoreError, UsageLedger
from openai_proxy.structured_log import log

_REQUESTS = "/log/requests"
_READ = ("GET", "HEAD")
_METHODS: Mapping[str, tuple[str, ...]] = {
    "/log": _READ,
    _REQUESTS: _READ,
    "/log/sign-in": (*_READ, "POST"),
    "/log/sign-out": (*_READ, "POST"),
    "/log/time-zone": (*_READ, "POST"),
    spend_messages.PATH: ("POST",),
    "/health": _READ,  # Cloud Run keeps some paths that end in z for itself
    "/healthz": _READ,
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
        methods = _METHODS.get(path, _READ if path.startswith(f"{_REQUESTS}/") else None)
        if methods is None or (path == spend_messages.PATH and question.is_relayed):
            raise RefusedError(404, "There is nothing at this address; the page is /log.", code="not_found")
        if question.method not in methods:
            text = f"{path} answers {' and '.join(methods)} only."
            raise RefusedError(405, text, code="method_not_allowed", Allow=", ".join(methods))
        if path in {"/health", "/healthz"}:
            return self._health()
        if path == spend_messages.PATH:
            return self._spend(question, now)
        return self._shown(question, path, now) if methods == _READ else self._form(question, path, now)

    def _form(self, question: Question, path: str, now: datetime) -> Answer:
        if question.method != "POST":
            return see_page()  # somebody reloads or bookmarks what a form answered
        if path == "/log/sign-in":
            return self._readers.sign_in(question, now)
        if path == "/log/sign-out":
            return self._readers.sign_out(question)
        self._readers.check_form(question)
        return choose_zone(question)

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

    def _shown(self, question: Question, path: str, now: datetime) -> Answer:
        """A page of whoever reads, as far as they may see."""
        reader = self._readers.reader(question, now)
        access = self._access.current()
        scope, asked = within_scope(asked_of(question, path, now), reader, access, self._ledger, now)
        visit = Visit(
            question=question,
            reader=reader,
            scope=scope,
            access=access,
            ledger=self._ledger,
            now=now,
            asked=asked,
            demo_upstream=self._demo_upstream,
            form_token=self._readers.form_token(question),
        )
        if path == "/log":
            return usage_answer(visit)
        if path == _REQUESTS:
            return requests_answer(visit)
        return request_answer(visit, path.removeprefix(f"{_REQUESTS}/"))
