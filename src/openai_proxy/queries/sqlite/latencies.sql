-- What /log draws of latencies: how long the requests of a selection took that ended well, in order in each group.
SELECT ${groups}
  duration_ms
FROM (${requests})
WHERE event_time >= :since AND event_time < :until AND status = 'ok' AND duration_ms IS NOT NULL ${of_selection}
ORDER BY ${keys}
