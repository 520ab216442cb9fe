"""Every environment variable, typed, read once. README lists them; `tests/test_docs.py` compares."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

_IN_A_PROJECT = {"pubsub", "bigquery"}
# OpenAI's guide on data residency (eu, us, au, jp ...) and on mutual TLS (mtls-eu, mtls-us)
_REGIONAL_HOST = re.compile(r"(?:mtls-)?([a-z]{2})\.api\.openai\.com")


class SettingsError(Exception):
    """An environment variable is missing or wrong; the message says which, and what to set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The environment of all three functions; each reads what it needs, and `bootstrap` says what is missing."""

    openai_api_key: str | None = None
    openai_api_key_file: str | None = None
    upstream_keys_dir: str | None = None
    openai_base_url: str = "https://api.openai.com/v1"
    access_file: str | None = None
    usage_queue_url: str | None = None
    dead_letter_url: str | None = None
    usage_store_url: str | None = None
    max_query_bytes: int = 0
    usage_sink_url: str | None = None
    usage_sink_token: str | None = None
    log_view_url: str | None = None
    log_view_audience: str | None = None
    log_view_token: str | None = None
    gce_metadata_host: str = "metadata.google.internal"
    session_secret: str | None = None
    forwarded_hops: int = 0
    iap_audience: str | None = None
    iap_keys_url: str = "https://www.gstatic.com/iap/verify/public_key"
    demo_upstream: bool = False
    rate_limit_url: str | None = None
    upstream_connect_seconds: float = 10.0
    upstream_silence_seconds: float = 900.0
    publish_timeout_seconds: float = 2.0
    drain_seconds: float = 30.0
    drain_bytes: int = 1_000_000
    max_drains: int = 32
    reserved_output_tokens: int = 16_384
    reserved_unseen_tokens: int = 50_000
    budget_instances: int = 1
    budget_pipeline_seconds: float = 1.0
    budget_refresh_seconds: float = 0.25
    budget_unreachable: str = "admit"
    budget_unreachable_seconds: float = 600.0
    budget_claims_url: str | None = None
    budget_webhook_url: str | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings; an empty variable counts as not set.

        Raises:
            SettingsError: a number or an address that is none.
        """
        values: dict[str, Any] = {}
        for field in fields(cls):
            name = field.name.upper()
            text = environ.get(name, "").strip()
            if text:
                values[field.name] = _parse(name, text, field.default)
        return cls(**values)

    @property
    def project(self) -> str | None:
        """The Google Cloud project of the engines; None on one machine."""
        addresses = (urlsplit(address or "") for address in (self.usage_queue_url, self.usage_store_url))
        return next((address.netloc for address in addresses if address.scheme in _IN_A_PROJECT), None)

    @property
    def upstream_region(self) -> str | None:
        """The region of OpenAI's data residency that requests go to, as `eu`; None: the usual address, or another."""
        return _region(self.openai_base_url)

    def require(self, name: str) -> str:
        """One setting that this function cannot do without.

        Raises:
            SettingsError: it is not set.
        """
        value = getattr(self, name)
        if not value:
            raise SettingsError(f"{name.upper()} is not set; README.md, Settings, says what it is for")
        return str(value)


@lru_cache(maxsize=1)  # one a process
def _region(base_url: str) -> str | None:
    host = _REGIONAL_HOST.fullmatch(urlsplit(base_url).hostname or "")
    return host[1] if host else None


def _parse(name: str, text: str, default: object) -> object:
    if isinstance(default, bool):
        if text.lower() not in {"true", "false"}:
            raise SettingsError(f"{name} must be true or false")
        return text.lower() == "true"
    if isinstance(default, int | float):
        try:
            value = type(default)(text)
        except ValueError:
            raise SettingsError(f"{name} must be a number of {name.rsplit('_', 1)[-1].lower()}") from None
        if not 0 <= value < 1e12:  # noqa: PLR2004 - also refuses nan and inf
            raise SettingsError(f"{name} must not be negative")
        return value
    if name == "BUDGET_UNREACHABLE" and text not in {"admit", "refuse"}:
        raise SettingsError("BUDGET_UNREACHABLE must be admit or refuse")
    if name == "OPENAI_BASE_URL":
        parts = urlsplit(text)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise SettingsError("OPENAI_BASE_URL must begin with http:// or https://, as in the SDK")
        return text.rstrip("/")
    return text
