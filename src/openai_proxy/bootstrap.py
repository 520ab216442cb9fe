"""The composition root: settings in, use cases out. The scheme of an address picks the engine behind a port."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from openai_proxy.ports import DeadLetters, UsageLedger, UsageQueue, UsageStore
from openai_proxy.settings import Settings, SettingsError

if TYPE_CHECKING:
    from openai_proxy.log_view import LogView
    from openai_proxy.proxy import Proxy
    from openai_proxy.usage_sink import UsageSink


def proxy(environ: Mapping[str, str]) -> Proxy:
    """The proxy of this environment; it opens its connections when the first request needs them."""
    from openai_proxy.adapters.access_file import AccessFile
    from openai_proxy.proxy import Proxy

    settings = Settings.from_environ(environ)
    return Proxy(
        settings,
        access=AccessFile(Path(settings.require("access_file"))),
        queue=usage_queue(settings),
    )


def usage_sink(environ: Mapping[str, str]) -> UsageSink:
    """The sink of this environment."""
    from openai_proxy.usage_sink import UsageSink

    settings = Settings.from_environ(environ)
    return UsageSink(usage_store(settings), dead_letters(settings), token=settings.usage_sink_token)


def log_view(environ: Mapping[str, str]) -> LogView:
    """The read side of this environment."""
    from openai_proxy.adapters.access_file import AccessFile
    from openai_proxy.log_view import LogView

    settings = Settings.from_environ(environ)
    return LogView(
        usage_ledger(settings),
        AccessFile(Path(settings.require("access_file"))),
        session_secret=settings.require("session_secret"),
        demo_upstream=settings.demo_upstream,
    )


def usage_queue(settings: Settings) -> UsageQueue:
    """The queue that `USAGE_QUEUE_URL` names."""
    from openai_proxy.adapters.sqlite_queue import SqliteQueue

    return SqliteQueue(_sqlite_path(settings, "usage_queue_url"), settings.publish_timeout_seconds)


def queue_file(settings: Settings) -> Path:
    """The file of the embedded queue, for its delivery worker."""
    return _sqlite_path(settings, "usage_queue_url")


def dead_letters(settings: Settings) -> DeadLetters:
    """Where messages go that can never become a record."""
    from openai_proxy.adapters.sqlite_queue import SqliteDeadLetters

    return SqliteDeadLetters(_sqlite_path(settings, "usage_queue_url"))


def usage_store(settings: Settings) -> UsageStore:
    """The ledger that `USAGE_STORE_URL` names, to write."""
    from openai_proxy.adapters.sqlite_store import SqliteStore

    return SqliteStore(_sqlite_path(settings, "usage_store_url"))


def usage_ledger(settings: Settings) -> UsageLedger:
    """The ledger that `USAGE_STORE_URL` names, to read."""
    from openai_proxy.adapters.sqlite_store import SqliteLedger

    return SqliteLedger(_sqlite_path(settings, "usage_store_url"))


def _sqlite_path(settings: Settings, name: str) -> Path:
    """The file of `sqlite:///relative` or `sqlite:////absolute`."""
    parts = urlsplit(settings.require(name))
    if parts.scheme != "sqlite" or parts.netloc or len(parts.path) < 2:  # noqa: PLR2004 - a slash and a name
        raise SettingsError(f"{name.upper()} must be sqlite:///path/to/file")
    return Path(unquote(parts.path[1:]))
