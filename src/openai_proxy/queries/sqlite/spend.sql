-- What the proxy asks before it lets requests in under a budget: what one scope spent, without what it knows itself.
SELECT coalesce(sum(coalesce(list_cost, ${reserved_cost}, 0)), 0)
FROM usage_records
WHERE event_time >= :since ${of_scope} AND NOT (${instance_id} IS :instance_id AND event_time >= :own_since)
