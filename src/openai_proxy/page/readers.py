"""Who reads `/log`: by a key in a header, or by a session that began with one."""

from __future__ import annotations

from datetime import datetime

from openai_proxy.access.callers import AccessSource, Caller
from openai_proxy.page.exchange import Answer, Question, RefusedError, see_page
from openai_proxy.page.sessions import Session, Sessions, set_cookie


class Readers:
    """Signs readers in and out, and knows them again."""

    def __init__(self, access: AccessSource, session_secret: str) -> None:
        self._access = access
        self._sessions = Sessions(session_secret)

    def sign_in(self, question: Question, now: datetime) -> Answer:
        """Begin a session with the key of a form, and go on to the page."""
        _refuse_other_sites(question)
        # UserName takes a key, and a plain name where the owner allows that (DESIGN 5)
        caller = self._access.current().authenticate(f"UserName {question.form.get('key', '')}", now)
        if caller is None:
            raise RefusedError(401, "This key is not valid. Check that you pasted all of it.", code="invalid_api_key")
        sealed = self._sessions.seal(Session(caller.user_id, caller.key_id))
        return see_page(set_cookie(sealed, secure=question.is_secure))

    def sign_out(self, question: Question) -> Answer:
        """End the session of this browser."""
        _refuse_other_sites(question)
        return see_page(set_cookie("", secure=question.is_secure))

    def reader(self, question: Question, now: datetime) -> Caller:
        """Who reads: by their key in a header, or by their session; `RefusedError` where it is nobody."""
        access = self._access.current()
        if question.authorization is not None:
            caller = access.authenticate(question.authorization, now)
            if caller is None:
                raise RefusedError(401, "The key in the Authorization header is not valid.", code="invalid_api_key")
            return caller
        if not question.session:
            text = "Sign in with your key, or send it: Authorization: Bearer YOUR_KEY."
            raise RefusedError(401, text, code="missing_api_key")
        session = self._sessions.open(question.session, now)
        caller = session.caller(access, now) if session else None
        if caller is None:
            forget = set_cookie("", secure=question.is_secure)
            raise RefusedError(401, "You were signed out. Sign in again.", code="session_ended", Set_Cookie=forget)
        return caller

    def form_token(self, question: Question) -> str:
        """What every form of a page carries that this question is answered with."""
        del question
        return ""

    def check_form(self, question: Question) -> None:
        """Refuse a form that another site made the browser send."""
        _refuse_other_sites(question)


def _refuse_other_sites(question: Question) -> None:
    if question.is_cross_site:
        raise RefusedError(403, "This form was sent from another site. Open /log and try again.", code="csrf")
