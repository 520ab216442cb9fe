-- What the command line lists as unpriced: final records of a period that ended and have no list cost, by why.
SELECT
  coalesce(response_model, request_model) AS model,
  service_tier,
  usage_source,
  unpriced_reason,
  count(*) AS requests,
  min(event_time) AS first_time,
  max(event_time) AS last_time,
  substr(max(printf('%020d', event_time) || event_id), 21) AS last_event_id -- the greatest of fixed-width times is the last
FROM usage_records
WHERE event_time >= :since AND event_time < :until AND event_type = 'finished' AND NOT priced
GROUP BY 1, 2, 3, 4
ORDER BY requests DESC, 1, 2, 3, 4
