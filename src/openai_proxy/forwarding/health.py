"""GET /healthz: whether everything that a request needs can be reached, by name."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable

import aiohttp

from openai_proxy.access.callers import AccessFileError, AccessSource
from openai_proxy.api.client import Client
from openai_proxy.identity_token import IdentityToken
from openai_proxy.ports import QueueError, SecretError, UsageQueue
from openai_proxy.settings import Settings

_SECONDS = 3.0
_OK = "ok"


class Health:
    """Asks each part once, all at a time."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        settings: Settings,
        *,
        access: AccessSource,
        queue: UsageQueue,
        identity: IdentityToken,
        upstream_key: Callable[[str | None], str],
    ) -> None:
        self._session = session
        self._settings = settings
        self._access = access
        self._queue = queue
        self._identity = identity
        self._upstream_key = upstream_key

    async def answer(self, client: Client) -> None:
        """200 when all is reachable, else 503; the body names each part and what is wrong with it.

        Keys at OpenAI are not reached, and are sent after the first deployment: they are told, and leave the status.
        """
        states = await asyncio.gather(self._queue_state(), self._sink_state(), self._page_states())
        parts = {"proxy": _OK} | states[0] | states[1] | states[2]
        in_force, said = self._access_state()
        status = 200 if set(parts.values()) == {_OK} and in_force else 503
        parts |= {"access_file": said, "upstream_keys": self._keys_state()}
        await client.answer(status, json.dumps(parts).encode(), [("content-type", "application/json")])

    def _access_state(self) -> tuple[bool, str]:
        """Whether some version of the file is in force, and what is wrong with the newest; the log says more."""
        try:
            broken = self._access.current().broken
        except AccessFileError as error:
            return False, error.where
        return True, f"{broken.where}; its last good version stays in force" if broken else _OK

    def _keys_state(self) -> str:
        """How many of the keys at OpenAI cannot be read: the common one, and those of teams, whose names are theirs."""
        names: set[str | None] = {None}
        with contextlib.suppress(AccessFileError):
            names |= {team.upstream_key for team in self._access.current().tables.teams.values()}
        unreadable = sum(not self._can_be_read(name) for name in names)
        return f"{unreadable} of {len(names)} cannot be read" if unreadable else _OK

    def _can_be_read(self, name: str | None) -> bool:
        try:
            self._upstream_key(name)
        except SecretError:
            return False
        return True

    async def _queue_state(self) -> dict[str, str]:
        try:
            await self._queue.check()
        except QueueError as error:
            return {"queue": str(error)}
        return {"queue": _OK}

    async def _sink_state(self) -> dict[str, str]:
        """The sink serves no GET: any answer shows that it is there."""
        if not self._settings.usage_sink_url:
            return {}
        try:
            async with self._session.get(self._settings.usage_sink_url, timeout=_TIMEOUT):
                return {"usage_sink": _OK}
        except (aiohttp.ClientError, TimeoutError):
            return {"usage_sink": "cannot be reached"}

    async def _page_states(self) -> dict[str, str]:
        """What log_view says of itself and of the ledger."""
        if not self._settings.log_view_url:
            return {}
        try:
            url, headers = f"{self._settings.log_view_url}/health", await self._identity.headers()
            async with self._session.get(url, headers=headers, timeout=_TIMEOUT) as response:
                said = await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return {"log_view": "cannot be reached", "ledger": "not known without log_view"}
        ledger = said.get("ledger") if isinstance(said, dict) else None
        return {"log_view": _OK, "ledger": str(ledger or "log_view does not say")}


_TIMEOUT = aiohttp.ClientTimeout(total=_SECONDS)
