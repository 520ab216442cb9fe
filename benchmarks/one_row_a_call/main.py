"""The sink as it is, but every push writes its row by itself: what group commit saves is the rest."""

from __future__ import annotations

import os
from functools import cache
from urllib.parse import urlsplit

import functions_framework
from cloudevents.http import CloudEvent

from openai_proxy.adapters.bigquery_store import BigQueryStore
from openai_proxy.bootstrap import dead_letters
from openai_proxy.settings import Settings
from openai_proxy.usage_sink import UsageSink


@functions_framework.cloud_event
def usage_sink(event: CloudEvent) -> None:
    """Write one row."""
    _sink().receive(event.data)


@cache
def _sink() -> UsageSink:
    settings = Settings.from_environ(os.environ)
    address = urlsplit(settings.require("usage_store_url"))
    dataset, table = address.path[1:].split("/")
    return UsageSink(BigQueryStore(address.netloc, dataset, table, most_rows=1), dead_letters(settings))
