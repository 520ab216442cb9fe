"""What the access file can allow a user or a team beyond the default, by `allow = [...]`.

Each lets something through that cannot be metered yet, or that may show one member another's objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Permission = Literal[
    "background_responses",
    "batches",
    "containers",
    "conversations",
    "evals",
    "files",
    "fine_tuning",
    "lists",
    "provenance_checks",
    "realtime",
    "skills",
    "stored_completions",
    "vector_stores",
    "voices",
]

REASONS: Mapping[Permission, str] = {
    "background_responses": "Background responses are not metered yet",
    "batches": "Batches are not metered yet",
    "containers": "Containers are charged by session, which is not metered yet",
    "conversations": "Conversations are stored at OpenAI, where every member with their id reaches them",
    "evals": "Evals are not metered yet",
    "files": "Files are stored at OpenAI, where every member with their id reaches them",
    "fine_tuning": "Fine-tuning is not metered yet",
    "lists": "Lists of stored objects show everybody's, so they are for admins",
    "provenance_checks": "Content provenance checks have no price that OpenAI tells",
    "realtime": "Realtime sessions are not metered yet",
    "skills": "Skills are stored at OpenAI, where every member with their id reaches them",
    "stored_completions": "Stored completions are kept at OpenAI, where every member with their id reaches them",
    "vector_stores": "Vector stores are charged by size and day, which is not metered yet",
    "voices": "Voices are stored at OpenAI, where every member with their id reaches them",
}
"""Why each is refused unless it is allowed: the beginning of the sentence that a client is told."""

PERMISSIONS: tuple[Permission, ...] = get_args(Permission)
