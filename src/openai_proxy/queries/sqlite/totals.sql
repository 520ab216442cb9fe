-- What /log and the command line sum up: final records of a period, by the groups asked for.
SELECT ${groups}
  count(*) AS requests,
  coalesce(sum(input_tokens), 0) AS input_tokens,
  coalesce(sum(cache_read_input_tokens), 0) AS cache_read_input_tokens,
  coalesce(sum(output_tokens), 0) AS output_tokens,
  coalesce(sum(reasoning_output_tokens), 0) AS reasoning_output_tokens,
  coalesce(sum(list_cost), 0) AS list_cost,
  count(CASE WHEN NOT priced THEN 1 END) AS unpriced,
  count(CASE WHEN usage_source = 'estimated' THEN 1 END) AS estimated,
  count(CASE WHEN event_type = 'started' THEN 1 END) AS open,
  count(CASE WHEN error_type IS NOT NULL OR http_status_code >= 400 THEN 1 END) AS errors
FROM usage_records
WHERE event_time >= :since AND event_time < :until ${of_user}
${grouping}
