-- What the command line lists as unpriced: final records of a period that ended and have no list cost, by why.
SELECT
  IFNULL(response_model, request_model) AS model,
  service_tier,
  usage_source,
  unpriced_reason,
  COUNT(*) AS requests,
  MIN(event_time) AS first_time,
  MAX(event_time) AS last_time,
  MAX_BY(event_id, event_time) AS last_event_id
FROM `${usage}`(@since, @until)
WHERE event_type = 'finished' AND NOT priced
GROUP BY model, service_tier, usage_source, unpriced_reason
ORDER BY requests DESC, model, service_tier, usage_source, unpriced_reason
