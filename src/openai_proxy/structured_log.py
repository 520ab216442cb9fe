"""One line of JSON a happening on standard error, in Cloud Logging's form; never content, never a key.

Special fields: https://cloud.google.com/logging/docs/structured-logging#special-payload-fields.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Literal

Severity = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_NOTHING: Mapping[str, str] = {}
_about: ContextVar[Mapping[str, str]] = ContextVar("about", default=_NOTHING)


def about(traceparent: str | None, project: str | None) -> None:
    """Begin a request: the coming lines of this task or thread belong to its trace, and to nothing said before.

    Args:
        traceparent: the request's W3C header, which Google Cloud's front end sets.
        project: whose traces these are; without one the trace is not named.
    """
    match = _TRACEPARENT.fullmatch(traceparent or "")
    named = {"logging.googleapis.com/trace": f"projects/{project}/traces/{match[1]}"} if project and match else {}
    _about.set(named)


def about_also(**fields: str) -> None:
    """Name more of what the coming lines are about: `request_id`, `user_id`."""
    _about.set({**_about.get(), **fields})


def log(severity: Severity, message: str, **fields: Any) -> None:  # noqa: ANN401 - any JSON value
    """Write one line in one call, so that lines of several processes do not mix."""
    line = json.dumps({"severity": severity, "message": message, **_about.get(), **fields}, separators=(",", ":"))
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
