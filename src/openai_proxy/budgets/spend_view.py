"""Asks log_view what was spent: the proxy itself never reads the ledger (DESIGN 2)."""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp

from openai_proxy.budgets.spend_messages import PATH, SpendMessageError, SpendRequest, answer_from_json
from openai_proxy.identity_token import IdentityToken
from openai_proxy.ports import Spend, SpendQuestion
from openai_proxy.settings import Settings
from openai_proxy.wire.headers import Header


class SpendUnknownError(Exception):
    """The ledger cannot be asked now; the message says why, for the log."""


class SpendView:
    """One question at a time, or many; nothing is kept."""

    def __init__(
        self, session: aiohttp.ClientSession, settings: Settings, identity: IdentityToken, instance_id: str
    ) -> None:
        self._session = session
        self._url = settings.log_view_url
        self._token = settings.log_view_token
        self._identity = identity
        self._instance_id = instance_id

    async def ask(self, questions: Sequence[SpendQuestion], *, seconds: float) -> Spend:
        """What was spent, as this instance does not know it itself.

        Raises:
            SpendUnknownError: no answer came in so many seconds, or none that can be read.
        """
        if not self._url:
            raise SpendUnknownError("LOG_VIEW_URL is not set")
        message = SpendRequest(instance_id=self._instance_id, questions=tuple(questions)).to_json()
        try:
            async with self._session.post(
                f"{self._url}{PATH}",
                json=message,
                headers=[*self._own_headers(), *await self._identity.headers()],
                timeout=aiohttp.ClientTimeout(total=seconds),
                allow_redirects=False,
            ) as response:
                if not response.ok:
                    raise SpendUnknownError(f"log_view answered {response.status}")
                return answer_from_json(await response.json(), questions)
        except SpendMessageError as error:
            raise SpendUnknownError(f"log_view answered something else: {error}") from None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise SpendUnknownError(f"log_view does not answer: {type(error).__name__}") from None

    def _own_headers(self) -> list[Header]:
        own = [("content-type", "application/json")]
        return [*own, ("authorization", f"Bearer {self._token}")] if self._token else own
