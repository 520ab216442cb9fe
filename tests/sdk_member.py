"""One user with the official SDK, and the dice of one call; needs nothing but `openai`, 2.x or 3.x."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import openai

from sound import wav

REQUEST_ID = "x-openai-proxy-request-id"
USER = "x-upstream-user"  # what the test upstream knows them by, where a body has no `user`
LONGEST_ANSWER = 8  # tokens of a real model; the test upstream obeys no limit
_SENTENCE = "how many people need water on a day and what is the way to the house of an answer"
_MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1-nano", "gpt-5-mini", "o4-mini")

Outcome = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Member:
    """One user's client, and the dice of one call."""

    user: str
    client: openai.AsyncOpenAI
    dice: random.Random
    only_model: str | None

    def model(self) -> str:
        return self.only_model or self.dice.choice(_MODELS)

    def text(self) -> str:
        words = self.dice.randint(1, 8 if self.only_model else 60)  # a real model takes its time
        return " ".join(self.dice.choices(_SENTENCE.split(), k=words)) + f" {self.dice.randrange(1_000_000)}"

    def messages(self) -> Any:
        return [{"role": "user", "content": self.text()}]

    def content(self) -> bytes:
        return self.text().encode() * self.dice.randint(1, 100)

    def sound(self) -> bytes:
        return wav(self.dice.randint(1, 120) / 4)

    def in_a_thread(self) -> openai.OpenAI:
        """The same client, without `await`."""
        client = self.client
        return openai.OpenAI(
            api_key=client.api_key, base_url=client.base_url, max_retries=0, default_headers={USER: self.user}
        )


def told(raw: Any, usage: Any) -> Outcome:
    """How a call ended whose answer told its usage."""
    return {"request_id": raw.headers.get(REQUEST_ID), "usage": plain(usage)}


def plain(usage: Any) -> Any:
    return usage.model_dump(mode="json") if usage is not None else None
