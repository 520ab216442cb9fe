"""How a usage event begins: what is known of a request before OpenAI has seen it."""

from __future__ import annotations

from datetime import UTC, datetime

from openai_proxy.access.callers import Caller
from openai_proxy.api.client import Client
from openai_proxy.api.endpoints import Route
from openai_proxy.events import UsageEvent
from openai_proxy.forwarding import attribution
from openai_proxy.wire.headers import value_of
from openai_proxy.wire.request_body import RequestFacts

_MOST_RETRIES = 1000


def started_event(
    client: Client,
    caller: Caller,
    route: Route,
    facts: RequestFacts,
    *,
    instance_id: str,
    upstream_region: str | None,
) -> UsageEvent:
    """The `started` event of a request, of now; of a large body, the facts known so far."""
    retries = value_of(client.headers, "x-stainless-retry-count") or ""
    endpoint = route.endpoint
    return UsageEvent(
        event_id=client.request_id,
        event_type="started",
        event_time=datetime.now(UTC),
        user_id=caller.user_id,
        key_id=caller.key_id,
        team_id=caller.team_id,
        upstream_key=caller.policy.upstream_key,
        operation_name=endpoint.operation_name,
        http_method=endpoint.method,
        url_path=f"/v1{endpoint.path}",
        request_model=facts.model,
        stream=facts.stream,
        completion_window=facts.completion_window,
        upstream_region=upstream_region,
        instance_id=instance_id,
        retry_count=min(int(retries), _MOST_RETRIES) if retries.isascii() and retries.isdecimal() else 0,
        usage_source="unknown",
        tags=attribution.tags_of(client.headers),
        end_user_id=attribution.end_user_of(client.headers, facts) if caller.policy.may_name_users else None,
        response_id=route.resource_id if endpoint.metering == "free" else None,
    )
