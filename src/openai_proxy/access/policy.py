"""What a caller may use, and how much of it: the access file's tables, resolved for one user."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from openai_proxy.access.budget import Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What holds for one user's requests; without arguments, nothing is limited.

    `models` and `denied_models` are patterns (https://docs.python.org/3/library/fnmatch.html) of the model's name as it
    is asked for, upper and lower case told apart; `models` None: all. All `budgets` hold at once: the user's, their
    team's, the organization's. Limits are of this user alone; None: no limit. `required_tags` are names of tags that
    each request must carry. `may_name_users`: they may say on whose behalf they call. `upstream_key` names the team's
    own key at OpenAI; None: the common one.
    """

    models: tuple[str, ...] | None = None
    denied_models: tuple[str, ...] = ()
    budgets: tuple[Budget, ...] = ()
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    required_tags: tuple[str, ...] = ()
    may_name_users: bool = False
    upstream_key: str | None = None

    def permits(self, model: str) -> bool:
        """Whether a model may be used, by its name as it was asked for."""
        allowed = self.models is None or any(fnmatchcase(model, pattern) for pattern in self.models)
        return allowed and not any(fnmatchcase(model, pattern) for pattern in self.denied_models)


UNLIMITED = Policy()
