"""The composition root: settings in, use cases out. The scheme of an address picks the engine behind a port."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from openai_proxy.ports import AccessLog, Claims, DeadLetterBox, DeadLetters, UsageLedger, UsageQueue, UsageStore
from openai_proxy.settings import Settings, SettingsError

if TYPE_CHECKING:
    from openai_proxy.access.callers import AccessSource
    from openai_proxy.limits.rate_limits import RateLimits
    from openai_proxy.log_view import LogView
    from openai_proxy.page.google_sign_in import GoogleIdentity
    from openai_proxy.proxy import Proxy
    from openai_proxy.usage_sink import UsageSink


def proxy(environ: Mapping[str, str]) -> Proxy:
    """The proxy of this environment; it opens its connections when the first request needs them."""
    from openai_proxy.adapters.upstream_keys import UpstreamKeys
    from openai_proxy.proxy import Proxy

    settings = Settings.from_environ(environ)
    return Proxy(
        settings,
        access=access_source(settings),
        queue=usage_queue(settings),
        upstream_key=UpstreamKeys(settings).key,
        rate_limits=rate_limits(settings),
        claims=claims(settings),
    )


def claims(settings: Settings) -> Claims | None:
    """Where it is claimed to be the first: the folder or the bucket of `BUDGET_CLAIMS_URL`, or nowhere."""
    if not settings.budget_claims_url:
        return None
    parts = urlsplit(settings.budget_claims_url)
    if parts.scheme == "gs" and parts.netloc and not parts.path.strip("/"):
        from openai_proxy.adapters.bucket_claims import BucketClaims

        return BucketClaims(parts.netloc)
    if parts.scheme == "file" and not parts.netloc and parts.path:
        from openai_proxy.adapters.folder_claims import FolderClaims

        return FolderClaims(Path(unquote(parts.path)))
    raise _wrong("BUDGET_CLAIMS_URL", "file:///path/to/folder", "gs://BUCKET")


def rate_limits(settings: Settings) -> RateLimits:
    """The limits of users: of this instance alone, or of all together in the server that `RATE_LIMIT_URL` names."""
    from openai_proxy.adapters.memory_limits import MemoryLimits
    from openai_proxy.limits.rate_limits import RateLimits

    if not settings.rate_limit_url:
        return RateLimits(MemoryLimits())
    from openai_proxy.adapters.redis_limits import RedisLimits

    try:
        return RateLimits(MemoryLimits(), RedisLimits(settings.rate_limit_url))
    except ValueError:
        raise _wrong("RATE_LIMIT_URL", "redis://HOST:PORT", "valkey://HOST:PORT") from None


def usage_sink(environ: Mapping[str, str]) -> UsageSink:
    """The sink of this environment."""
    from openai_proxy.usage_sink import UsageSink

    settings = Settings.from_environ(environ)
    return UsageSink(usage_store(settings), dead_letters(settings), token=settings.usage_sink_token)


def log_view(environ: Mapping[str, str]) -> LogView:
    """The read side of this environment."""
    from openai_proxy.log_view import LogView

    settings = Settings.from_environ(environ)
    return LogView(
        usage_ledger(settings),
        access_source(settings),
        session_secret=settings.require("session_secret"),
        google=google_identity(settings),
        token=settings.log_view_token,
        demo_upstream=settings.demo_upstream,
    )


def google_identity(settings: Settings) -> GoogleIdentity | None:
    """Who checks what Identity-Aware Proxy says; nobody where it is not in front."""
    if not settings.iap_audience:
        return None
    from openai_proxy.adapters.iap_identity import IapIdentity

    return IapIdentity(settings.iap_audience, settings.iap_keys_url)


def forwarded_hops(environ: Mapping[str, str]) -> int:
    """How many servers in front say in `X-Forwarded-For` whom they were called by."""
    return Settings.from_environ(environ).forwarded_hops


def access_source(settings: Settings) -> AccessSource:
    """Who may call, from the file that `ACCESS_FILE` names, or from an object of Cloud Storage."""
    from openai_proxy.adapters.access_file import AccessFile, NewestAccess

    name = settings.require("access_file")
    parts = urlsplit(name)
    if parts.scheme != "gs":
        return AccessFile(Path(name))
    if not (parts.netloc and parts.path[1:]):
        raise _wrong("ACCESS_FILE", "a file's path", "gs://BUCKET/OBJECT")
    from openai_proxy.adapters.bucket_object import BucketObject

    return NewestAccess(name, BucketObject(parts.netloc, unquote(parts.path[1:])).content)


def project(environ: Mapping[str, str]) -> str | None:
    """The Google Cloud project, for the names of traces in the log; None on one machine."""
    return Settings.from_environ(environ).project


def usage_queue(settings: Settings) -> UsageQueue:
    """The queue that `USAGE_QUEUE_URL` names."""
    match _address(settings, "usage_queue_url"):
        case ("pubsub", [project, topic]):
            from openai_proxy.adapters.pubsub import PubsubQueue

            return PubsubQueue(project, topic, settings.publish_timeout_seconds)
        case ("sqlite", [path]):
            from openai_proxy.adapters.sqlite_queue import SqliteQueue

            return SqliteQueue(Path(path), settings.publish_timeout_seconds)
    raise _wrong("USAGE_QUEUE_URL", _SQLITE, _PUBSUB)


def queue_file(settings: Settings) -> Path:
    """The file of the embedded queue, for its delivery worker."""
    match _address(settings, "usage_queue_url"):
        case ("sqlite", [path]):
            return Path(path)
    raise _wrong("USAGE_QUEUE_URL", _SQLITE)


def dead_letters(settings: Settings) -> DeadLetters:
    """Where messages go that can never become a record: `DEAD_LETTER_URL`, or the embedded queue's own file."""
    match _address(settings, "dead_letter_url" if settings.dead_letter_url else "usage_queue_url"):
        case ("pubsub", [project, topic]) if settings.dead_letter_url:
            from openai_proxy.adapters.pubsub import PubsubDeadLetters

            return PubsubDeadLetters(project, topic)
        case ("sqlite", [path]):
            from openai_proxy.adapters.sqlite_queue import SqliteDeadLetters

            return SqliteDeadLetters(Path(path))
    raise _wrong("DEAD_LETTER_URL", _SQLITE, _PUBSUB)


def dead_letter_box(settings: Settings) -> DeadLetterBox:
    """The same dead letters, to look at; in Pub/Sub their pull subscription bears their topic's name."""
    match _address(settings, "dead_letter_url" if settings.dead_letter_url else "usage_queue_url"):
        case ("pubsub", [project, subscription]) if settings.dead_letter_url:
            from openai_proxy.adapters.pubsub import PubsubDeadLetterBox

            match _address(settings, "usage_queue_url"):
                case ("pubsub", [topic_project, topic]):
                    return PubsubDeadLetterBox(project, subscription, topic_project=topic_project, topic=topic)
            raise _wrong("USAGE_QUEUE_URL", _PUBSUB)
        case ("sqlite", [path]):
            from openai_proxy.adapters.sqlite_deliveries import SqliteDeliveries

            return SqliteDeliveries(Path(path))
    raise _wrong("DEAD_LETTER_URL", _SQLITE, _PUBSUB)


def usage_store(settings: Settings) -> UsageStore:
    """The ledger that `USAGE_STORE_URL` names, to write."""
    match _address(settings, "usage_store_url"):
        case ("bigquery", [project, dataset, table]):
            from openai_proxy.adapters.bigquery_store import BigQueryStore

            return BigQueryStore(project, dataset, table)
        case ("sqlite", [path]):
            from openai_proxy.adapters.sqlite_store import SqliteStore

            return SqliteStore(Path(path))
    raise _wrong("USAGE_STORE_URL", _SQLITE, _BIGQUERY)


def usage_ledger(settings: Settings) -> UsageLedger:
    """The ledger that `USAGE_STORE_URL` names, to read."""
    match _address(settings, "usage_store_url"):
        case ("bigquery", [project, dataset, table]):
            from openai_proxy.adapters.bigquery_ledger import BigQueryLedger

            return BigQueryLedger(project, dataset, table, max_query_bytes=settings.max_query_bytes)
        case ("sqlite", [path]):
            from openai_proxy.adapters.sqlite_ledger import SqliteLedger

            return SqliteLedger(Path(path))
    raise _wrong("USAGE_STORE_URL", _SQLITE, _BIGQUERY)


def access_log(settings: Settings) -> AccessLog:
    """The changes of the access file, in the ledger that `USAGE_STORE_URL` names."""
    match _address(settings, "usage_store_url"):
        case ("bigquery", [project, dataset, _]):
            from openai_proxy.adapters.bigquery_access_log import BigQueryAccessLog

            return BigQueryAccessLog(project, dataset)
        case ("sqlite", [path]):
            from openai_proxy.adapters.sqlite_access_log import SqliteAccessLog

            return SqliteAccessLog(Path(path))
    raise _wrong("USAGE_STORE_URL", _SQLITE, _BIGQUERY)


_SQLITE = "sqlite:///path/to/file"
_PUBSUB = "pubsub://PROJECT/TOPIC"
_BIGQUERY = "bigquery://PROJECT/DATASET/TABLE"


def _address(settings: Settings, name: str) -> tuple[str, list[str]]:
    """The scheme, and what it needs: the file of `sqlite:///relative` or `sqlite:////absolute`, or a cloud's names."""
    parts = urlsplit(settings.require(name))
    if parts.scheme == "sqlite":
        return "sqlite", [unquote(parts.path[1:])] if not parts.netloc and parts.path[1:] else []
    names = [parts.netloc, *parts.path[1:].split("/")]
    return parts.scheme, names if all(names) else []


def _wrong(name: str, *forms: str) -> SettingsError:
    return SettingsError(f"{name} must be {' or '.join(forms)}")
