-- What totals sum up, in the same words: whole days of usage_days, and beside them only the records of a first and a last
-- part of a day, and of the requests that are open.
SELECT
  day, user_id, nullif(team_id, x'') AS team_id, key_id, nullif(model, x'') AS model, operation_name, status, priced,
  estimated, requests, input_tokens, cache_read_input_tokens, output_tokens, reasoning_output_tokens, list_cost
FROM usage_days
WHERE day >= :first_day AND day < :last_day AND requests > 0 -- none are left where all were priced again
UNION ALL
SELECT ${columns}
FROM (${requests})
WHERE event_time >= :since AND event_time < :first_day * 86400000000
UNION ALL
SELECT ${columns}
FROM (${requests})
WHERE event_time >= :last_day * 86400000000 AND event_time < :until
UNION ALL
SELECT ${columns}
FROM (${open_requests})
WHERE event_type = 'started' AND event_time >= :first_day * 86400000000 AND event_time < :last_day * 86400000000
