"""What no member's key opens, whatever the access file allows, and why: families of paths.

Only what the table of `endpoints` does not serve is asked for here. Sources: the `openai` SDK, and reference
openai-api.md, sections 1 and 3.1, for the paths that exist beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_ADMIN = "it administers OpenAI's organization, which is for its owner's own admin key"
_EVENTS = "it shows the events of the whole organization"
_SECRET = "a client secret opens OpenAI past the proxy, where nothing is metered"  # noqa: S105 - a sentence
_AGENTS = "OpenAI tells the usage of its agents only by best effort"
_GONE_ASSISTANTS = "OpenAI ended the Assistants API on 2026-08-26; use /responses"
_BROWSER = "it is made for OpenAI's own web pages"


@dataclass(frozen=True, slots=True)
class Refused:
    """A path and all that is below it, with every method or with one. `reason` ends the sentence for the client."""

    path: str
    reason: str
    method: str | None = None


REFUSED: Sequence[Refused] = (
    Refused("/organization", _ADMIN),
    Refused("/projects", _ADMIN),
    Refused("/safety", _ADMIN),
    Refused("/webhook_endpoints", _EVENTS),
    Refused("/webhook_event_types", _EVENTS),
    Refused("/fine_tuning/checkpoints", "it gives other projects access to the team's fine-tuned models"),
    Refused("/vaults", "it keeps credentials for everybody"),
    Refused("/agents", _AGENTS),
    Refused("/chatkit", _SECRET),
    Refused("/realtime/client_secrets", _SECRET),
    Refused("/realtime/translations/client_secrets", _SECRET),
    Refused("/realtime/sessions", _SECRET),
    Refused("/realtime/transcription_sessions", _SECRET),
    Refused("/assistants", _GONE_ASSISTANTS),
    Refused("/threads", _GONE_ASSISTANTS),
    Refused("/videos", "OpenAI shut video generation down on 2026-09-24"),
    Refused("/models", "to delete a model is for the owner of the team's key", "DELETE"),
    Refused("/traces", "traces are refused; OPENAI_AGENTS_DISABLE_TRACING=1 ends them in the Agents SDK"),
    Refused("/dashboard", _BROWSER),
    Refused("/usage", _BROWSER),
    Refused("/me", _BROWSER),
    Refused("/engines", "OpenAI replaced it by /models and a body's model"),
)


def refused(method: str, segments: tuple[str, ...]) -> Refused | None:
    """The family that a request belongs to, by its method and its path's segments."""
    for prefix, family in _BY_PREFIX:
        if segments[: len(prefix)] == prefix and family.method in {None, method}:
            return family
    return None


_BY_PREFIX = [(tuple(family.path.split("/")[1:]), family) for family in REFUSED]
