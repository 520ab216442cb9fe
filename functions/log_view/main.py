"""Entry point of log_view: HTTP in, HTTP out."""

from __future__ import annotations

import hashlib
import json
import mimetypes
import os
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import flask
import functions_framework

from openai_proxy import bootstrap
from openai_proxy.log_view import LogView
from openai_proxy.page.exchange import Question
from openai_proxy.page.google_sign_in import ASSERTION
from openai_proxy.page.sessions import cookie_name
from openai_proxy.page.zones import COOKIE as ZONE_COOKIE
from openai_proxy.structured_log import about
from openai_proxy.wire.client_address import client_address

_FOLDER = Path(__file__).with_name("static")
_STATIC = {path.relative_to(_FOLDER).as_posix(): path.read_bytes() for path in _FOLDER.rglob("*") if path.is_file()}
_STATIC_URL = "/log/static/"


@functions_framework.http
def log_view(request: flask.Request) -> flask.Response:
    """Serve the page at /log, its files, and /healthz."""
    if request.path.startswith(_STATIC_URL):
        return _static(request)
    about(request.headers.get("traceparent"), _project())
    answer = _log_view().answer(_question(request), datetime.now(UTC))
    if answer.template is not None:
        response = flask.make_response(flask.render_template(answer.template, **answer.context))
    elif answer.json is not None:
        response = flask.Response(json.dumps(answer.json), mimetype="application/json")
    else:
        response = flask.Response(answer.text)
    response.status_code = answer.status
    response.headers.update(answer.headers)
    return response


@cache
def _project() -> str | None:
    return bootstrap.project(os.environ)


@cache
def _forwarded_hops() -> int:
    return bootstrap.forwarded_hops(os.environ)


@cache
def _log_view() -> LogView:
    """The read side of this worker, made after the fork."""
    return bootstrap.log_view(os.environ)


def _question(request: flask.Request) -> Question:
    headers = request.headers
    scheme = headers.get("X-Forwarded-Proto", request.scheme).partition(",")[0].strip()
    return Question(
        method=request.method,
        path=request.path,
        base_url=f"{scheme}://{headers.get('X-Forwarded-Host') or headers.get('Host', '')}",
        query=request.args.to_dict(),
        form=request.form.to_dict(),
        json=request.get_json(silent=True),
        accept=headers.get("Accept", ""),
        authorization=headers.get("Authorization"),
        session=request.cookies.get(cookie_name(secure=scheme == "https")),
        time_zone=request.cookies.get(ZONE_COOKIE),
        if_none_match=headers.get("If-None-Match"),
        origin=headers.get("Origin"),
        referer=headers.get("Referer", ""),
        fetch_site=headers.get("Sec-Fetch-Site"),
        assertion=headers.get(ASSERTION),
        client_address=client_address(headers.get("X-Forwarded-For", ""), request.remote_addr or "", _forwarded_hops()),
        is_relayed="X-Forwarded-Host" in headers,
    )


def _static(request: flask.Request) -> flask.Response:
    """One of the files beside this one, looked up by its whole name only, so that no path leads elsewhere."""
    content = _STATIC.get(request.path.removeprefix(_STATIC_URL))
    if content is None or request.method not in {"GET", "HEAD"}:
        return flask.Response(status=404)
    response = flask.Response(content, mimetype=mimetypes.guess_type(request.path)[0])
    response.headers["Cache-Control"] = "public, max-age=300"
    response.headers["X-Content-Type-Options"] = "nosniff"
    # by content: the platform's builder gives all files one modification time
    response.set_etag(hashlib.sha256(content).hexdigest()[:16])
    response.make_conditional(request)
    return response
