-- What /log draws of latencies: how long the requests of a selection took that ended well, by the groups asked for.
-- Of a percentile the nearest rank, exactly.
SELECT $groups
  COUNT(*) AS requests,
  ARRAY_AGG(duration_ms ORDER BY duration_ms)[SAFE_ORDINAL(DIV((COUNT(*) * 50 + 99), 100))] AS p50_ms,
  ARRAY_AGG(duration_ms ORDER BY duration_ms)[SAFE_ORDINAL(DIV((COUNT(*) * 95 + 99), 100))] AS p95_ms
FROM ($requests)
WHERE status = 'ok' AND duration_ms IS NOT NULL $of_selection
$grouping
