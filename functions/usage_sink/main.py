"""usage_sink: one pushed usage event in, one record in the ledger."""

from __future__ import annotations

import os
import threading
from functools import cache
from typing import NoReturn

import flask
import functions_framework
from cloudevents.http import CloudEvent

from openai_proxy import bootstrap
from openai_proxy.ports import QueueError, StoreError
from openai_proxy.settings import SettingsError
from openai_proxy.structured_log import about, log
from openai_proxy.usage_sink import UsageSink

_first = threading.Lock()


@cache
def _sink() -> UsageSink:
    return bootstrap.usage_sink(os.environ)


@cache
def _project() -> str | None:
    return bootstrap.project(os.environ)


@functions_framework.cloud_event
def usage_sink(event: CloudEvent) -> None:
    """Answer 200 when the message is safe, in the ledger or among the dead letters; else it is delivered again."""
    try:
        with _first:
            sink = _sink()
        about(flask.request.headers.get("traceparent"), _project())
        allowed = sink.authorize(flask.request.headers.get("Authorization"))
        if allowed:
            sink.receive(event.data)
    except (SettingsError, StoreError, QueueError) as error:
        _fail(503, str(error))
    except Exception as error:  # noqa: BLE001 - its text or traceback might show what the message holds
        _fail(500, f"usage_sink failed: {type(error).__name__}")
    if not allowed:
        _fail(
            403, "a push without the right Authorization was refused; USAGE_SINK_TOKEN must be the same for the queue"
        )


def _fail(status: int, reason: str) -> NoReturn:
    log("WARNING" if status == 403 else "ERROR", reason)  # noqa: PLR2004 - somebody else's fault
    flask.abort(status)
