"""Who reads `/log`: by a key in a header, by a session that began with one, or by Google's word."""

from __future__ import annotations

from datetime import datetime

from openai_proxy.access.callers import AccessSource, Caller
from openai_proxy.page.exchange import Answer, Question, RefusedError, see_page
from openai_proxy.page.form_tokens import FormTokens, is_visitor, new_visitor
from openai_proxy.page.google_sign_in import (
    SIGN_OUT_PATH,
    GoogleIdentity,
    GoogleUnreachableError,
    WrongAssertionError,
)
from openai_proxy.page.sessions import Session, Sessions, set_cookie
from openai_proxy.page.wrong_keys import WrongKeys
from openai_proxy.structured_log import log

_OTHER_SITE = "This form was sent from another site. Open /log and try again."
_NOT_OURS = (
    "This form did not come from this page, or is too old, or your browser keeps no cookies. Open /log and try again."
    " A program needs no form: it sends its key as a header, Authorization: Bearer YOUR_KEY."
)
_TOO_MANY = (
    "Too many wrong keys were tried from where you are. Wait {seconds} seconds, then try again."
    " Who is signed in stays so."
)
_NO_GOOGLE = (
    "Google signed you in, but its public keys cannot be had right now, so this page cannot believe it."
    " Try again in a minute, or sign in with your key."
)
_UNKNOWN = (
    "Google says that you are {email}, and no user of this proxy has that address. Sign in with your key, or ask"
    " whoever runs this proxy for: openai-proxy user set NAME --email {email}"
)


class Readers:
    """Signs readers in and out, and knows them again."""

    def __init__(self, access: AccessSource, session_secret: str, google: GoogleIdentity | None = None) -> None:
        self._access = access
        self._sessions = Sessions(session_secret)
        self._form_tokens = FormTokens(session_secret)
        self._google = google
        self._wrong_in_forms = WrongKeys()
        self._wrong_in_headers = WrongKeys()

    def sign_in(self, question: Question, now: datetime) -> Answer:
        """Begin a session with the key of a form, and go on to the page."""
        self.check_form(question)
        self._refuse_guessing(self._wrong_in_forms, question, now)
        # UserName takes a key, and a plain name where the owner allows that (DESIGN 5)
        caller = self._access.current().authenticate(f"UserName {question.form.get('key', '')}", now)
        if caller is None:
            self._wrong_in_forms.add(question.client_address, now)
            text = "This key is not valid. Check that you pasted all of it."
            raise self._to_sign_in(401, question, text, code="invalid_api_key")
        sealed = self._sessions.seal(Session(caller.user_id, caller.key_id))
        return see_page(set_cookie(sealed, secure=question.is_secure))

    def sign_out(self, question: Question) -> Answer:
        """End the session of this browser; who came by Google's word is led to where that is taken back."""
        self.check_form(question)
        by_google = self._google is not None and question.assertion is not None
        ended = set_cookie("", secure=question.is_secure)
        return _to_google(ended) if by_google else see_page(ended)

    def reader(self, question: Question, now: datetime) -> Caller:
        """Who reads: by their key in a header, by their session, or by Google's word; `RefusedError`: nobody."""
        if question.authorization is not None:
            return self._by_header(question, question.authorization, now)
        session = self._sessions.open(question.session, now) if question.session else None
        caller = session.caller(self._access.current(), now) if session else None
        if caller is not None:
            return caller
        if self._google is not None and question.assertion is not None:
            return self._by_google(self._google, question, question.assertion)
        if not question.session or is_visitor(question.session):
            text = "Sign in with your key, or send it: Authorization: Bearer YOUR_KEY."
            raise self._to_sign_in(401, question, text, code="missing_api_key")
        raise self._to_sign_in(401, question, "You were signed out. Sign in again.", code="session_ended", ended=True)

    def form_token(self, question: Question) -> str:
        """What every form of a page carries that this question is answered with; `check_form` asks for it."""
        return self._form_tokens.token(self._bound_to(question))

    def check_form(self, question: Question) -> None:
        """Refuse a form that another site made the browser send, or that was not made for this reader.

        To be called for every POST of a reader, before anything else.
        """
        if question.is_cross_site:
            raise RefusedError(403, _OTHER_SITE, code="csrf")
        bound_to = self._bound_to(question)
        if not bound_to or not self._form_tokens.holds(question.form.get("token", ""), bound_to):
            raise RefusedError(403, _NOT_OURS, code="csrf")

    def _bound_to(self, question: Question) -> str:
        """For whom forms are made: a browser by its cookie, else whoever the headers name; empty for nobody."""
        if question.session:
            return f"cookie {question.session}"
        if question.authorization is not None:
            return f"header {question.authorization}"
        if self._google is not None and question.assertion is not None:
            return f"google {self._email(self._google, question, question.assertion)}"
        return ""

    def _by_header(self, question: Question, authorization: str, now: datetime) -> Caller:
        self._refuse_guessing(self._wrong_in_headers, question, now)
        caller = self._access.current().authenticate(authorization, now)
        if caller is None:
            self._wrong_in_headers.add(question.client_address, now)
            text = "The key in the Authorization header is not valid."
            raise self._to_sign_in(401, question, text, code="invalid_api_key")
        return caller

    def _by_google(self, google: GoogleIdentity, question: Question, assertion: str) -> Caller:
        email = self._email(google, question, assertion)
        caller = self._access.current().addressee(email)
        if caller is None:
            raise self._to_sign_in(401, question, _UNKNOWN.format(email=email), code="unknown_email")
        return caller

    def _email(self, google: GoogleIdentity, question: Question, assertion: str) -> str:
        try:
            return google.email(assertion)
        except WrongAssertionError as error:
            log("WARNING", "what should be Identity-Aware Proxy's word was not believed", reason=str(error))
            text = f"Google's word of who you are was not believed: {error}. Sign in with your key."
            raise self._to_sign_in(401, question, text, code="invalid_assertion") from None
        except GoogleUnreachableError as error:
            log("ERROR", "the public keys of Identity-Aware Proxy cannot be had", reason=str(error))
            raise self._to_sign_in(503, question, _NO_GOOGLE, code="google_unreachable", Retry_After="30") from None

    def _refuse_guessing(self, wrong: WrongKeys, question: Question, now: datetime) -> None:
        seconds = wrong.wait_seconds(question.client_address, now)
        if seconds:
            text = _TOO_MANY.format(seconds=seconds)
            raise self._to_sign_in(429, question, text, code="too_many_wrong_keys", Retry_After=str(seconds))

    def _to_sign_in(
        self, status: int, question: Question, text: str, *, code: str, ended: bool = False, **headers: str
    ) -> RefusedError:
        """The refusal that shows the form to sign in; its token is bound to a cookie, which it brings along."""
        cookie = "" if ended else question.session or ""
        if not cookie and question.wants_page:
            cookie = new_visitor()
        if cookie != (question.session or ""):
            headers["Set_Cookie"] = set_cookie(cookie, secure=question.is_secure)
        token = self._form_tokens.token(f"cookie {cookie}") if cookie else ""
        return RefusedError(status, text, code=code, form_token=token, **headers)


def _to_google(cookie: str) -> Answer:
    """Go on to where Identity-Aware Proxy forgets who asks, which then leads to Google's own site.

    Not by a redirect: one that ends elsewhere is still the form's, and `form-action 'self'` would stop it.
    """
    headers = {"Refresh": f"0; url={SIGN_OUT_PATH}", "Set-Cookie": cookie, "Content-Type": "text/plain; charset=utf-8"}
    return Answer(headers=headers, text=iter(["Signing out ...\n"]))
