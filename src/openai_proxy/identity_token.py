"""The token that tells a private function who calls: from the platform's metadata server, for one audience.

https://cloud.google.com/run/docs/authenticating/service-to-service#acquire-token
"""

from __future__ import annotations

import base64
import json
import time

import aiohttp

from openai_proxy.settings import Settings
from openai_proxy.wire.headers import Header

_PATH = "/computeMetadata/v1/instance/service-accounts/default/identity"
_ASK_AGAIN_SECONDS = 300  # before the token ends
_TIMEOUT = aiohttp.ClientTimeout(total=3.0)


class NoIdentityError(aiohttp.ClientError):
    """The metadata server gave no token; like any other failure on the way to the private function."""


class IdentityToken:
    """Asks for a token when there is none, or five minutes before it ends."""

    def __init__(self, session: aiohttp.ClientSession, settings: Settings) -> None:
        self._session = session
        self._host = settings.gce_metadata_host
        self._audience = settings.log_view_audience
        self._token = ""
        self._ends = 0.0

    async def headers(self) -> list[Header]:
        """The header that carries it, beside the member's own Authorization; none where no audience is set.

        Raises:
            aiohttp.ClientError, TimeoutError: there is no token.
        """
        if not self._audience:
            return []
        if time.time() > self._ends - _ASK_AGAIN_SECONDS:
            self._token, self._ends = await self._ask(self._audience)
        return [("x-serverless-authorization", f"Bearer {self._token}")]

    async def _ask(self, audience: str) -> tuple[str, float]:
        async with self._session.get(
            f"http://{self._host}{_PATH}",
            params={"audience": audience},
            headers={"metadata-flavor": "Google"},
            timeout=_TIMEOUT,
            raise_for_status=True,
        ) as response:
            token = (await response.text()).strip()
        try:
            payload = token.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            return token, float(claims["exp"])
        except (IndexError, KeyError, TypeError, ValueError):
            raise NoIdentityError("the metadata server answered something that is no identity token") from None
