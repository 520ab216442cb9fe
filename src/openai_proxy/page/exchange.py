"""One exchange with a reader of `/log`: the question that came, and the answer in the form that the reader wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus

_GUARDS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send `Origin: null` with our own forms
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One HTTP request, as far as it matters here; `base_url` is the address that the reader's browser shows."""

    method: str
    path: str
    base_url: str
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    json: object = None
    accept: str = ""
    authorization: str | None = None
    session: str | None = None
    time_zone: str | None = None
    """The name in the cookie of `zones`."""
    if_none_match: str | None = None
    origin: str | None = None
    referer: str = ""
    fetch_site: str | None = None
    assertion: str | None = None
    """What Identity-Aware Proxy says of who asks, unchecked."""
    client_address: str = ""
    is_relayed: bool = False
    """The proxy passes it on for somebody, and does not ask itself."""

    @property
    def wants_page(self) -> bool:
        """Whether a browser asks for something to look at."""
        return "text/html" in self.accept and self.query.get("format") in {None, "", "html"}

    @property
    def is_secure(self) -> bool:
        """Whether the browser came over HTTPS: the proxy passes on what it was called by."""
        return self.base_url.startswith("https://")

    @property
    def is_cross_site(self) -> bool:
        """Whether another site made the browser send this; what is no browser sends neither header."""
        if self.fetch_site is not None:
            return self.fetch_site not in {"same-origin", "none"}
        return self.origin is not None and self.origin.lower() != self.base_url.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer: a template with what it shows, JSON, or text as it comes."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    template: str | None = None
    context: Mapping[str, object] = field(default_factory=dict)
    json: object = None
    text: Iterator[str] | None = None

    def guarded(self) -> Answer:
        """The same with the headers that keep browsers from doing harm."""
        return replace(self, headers={**_GUARDS, **self.headers})


class RefusedError(Exception):
    """The question cannot be answered as it stands; the text is for the reader.

    With a `form_token` the reader is shown the form to sign in, beside the text.
    """

    def __init__(self, status: int, text: str, *, code: str, form_token: str = "", **headers: str) -> None:
        super().__init__(text)
        self.form_token = form_token
        self.status = status
        self.code = code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def refusal(question: Question, refused: RefusedError, *, demo_upstream: bool) -> Answer:
    """Say no: to a person by a page, to a program in OpenAI's own error shape."""
    status, headers = refused.status, dict(refused.headers)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if not question.wants_page:
        kind = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
        error = {"message": str(refused), "type": kind, "param": None, "code": refused.code}
        return Answer(status=status, headers=headers, json={"error": error})
    template = "sign_in.html" if refused.form_token else "refused.html"
    context = {"status": status, "code": refused.code, "message": str(refused), "demo_upstream": demo_upstream}
    context["form_token"] = refused.form_token
    return Answer(status=status, headers=headers, template=template, context=context)


def see_page(cookie: str | None = None) -> Answer:
    """Go on to the page by GET, so that a reload sends no form again."""
    headers = {"Location": "/log"} | ({"Set-Cookie": cookie} if cookie else {})
    return Answer(status=HTTPStatus.SEE_OTHER, headers=headers)
