"""Sends a sentence to a chat: a POST of `{"text": ...}`, as Slack, Mattermost and others take it.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks. The address is a secret, and is told nowhere.
"""

from __future__ import annotations

import asyncio

import aiohttp

from openai_proxy.structured_log import log

_TRIES = 6
_FIRST_PAUSE_SECONDS = 1.0  # doubled each time
_TIMEOUT = aiohttp.ClientTimeout(total=10)
_TOO_MANY, _ERRORS_OF_SERVERS = 429, 500


class Webhook:
    """One address; what it does not take after some tries is given up, and logged."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, *, first_pause_seconds: float = _FIRST_PAUSE_SECONDS
    ) -> None:
        self._session = session
        self._url = url
        self._first_pause_seconds = first_pause_seconds

    async def send(self, text: str) -> None:
        """Return when it was taken, or given up."""
        reason = ""
        for number in range(_TRIES):
            if number:
                await asyncio.sleep(self._first_pause_seconds * 2 ** (number - 1))
            try:
                async with self._session.post(
                    self._url, json={"text": text}, headers=_JSON, timeout=_TIMEOUT
                ) as answer:
                    if answer.ok:
                        return
                    reason, status = f"answered {answer.status}", answer.status
                if status != _TOO_MANY and status < _ERRORS_OF_SERVERS:
                    break
            except (aiohttp.ClientError, TimeoutError) as error:
                reason = type(error).__name__
        log("ERROR", "the webhook did not take a notice", reason=reason)


_JSON = {"content-type": "application/json"}
