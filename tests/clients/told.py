"""What a script asks, and what it tells of each call: a line of JSON on standard output.

`call`, and as far as the client shows it: `request_id` (the ledger's event_id), `tokens` ([input, output]), `error`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

REQUEST_ID = "x-openai-proxy-request-id"
QUESTION = "how many people need water on a day"
MESSAGES: Any = [{"role": "user", "content": QUESTION}]
USER = "alice"  # most programs send none; where it is sent, the upstream counts by it

Told = Mapping[str, Any]


def tell(call: str, told: Told) -> None:
    """The line of one call."""
    print(json.dumps({"call": call, **told}), flush=True)  # noqa: T201 - standard output is how the test is told


def tokens(usage: Any) -> list[int]:
    """Input and output of a usage object, whichever endpoint it is of."""
    counts = usage if isinstance(usage, dict) else usage.model_dump()
    names = ("prompt_tokens", "completion_tokens") if "prompt_tokens" in counts else ("input_tokens", "output_tokens")
    return [counts.get(name) or 0 for name in names]


def answered(headers: Mapping[str, str], usage: Any) -> Told:
    """A call whose answer shows both its headers and its usage."""
    return {"request_id": headers[REQUEST_ID], "tokens": tokens(usage)}
