-- The final records in the words of the questions about them.
SELECT
  *,
  event_time / 86400000000 - (event_time % 86400000000 < 0) AS day, -- since 1970, rounded down
  coalesce(response_model, request_model) AS model,
  CASE
    WHEN event_type = 'started' THEN 'open'
    WHEN error_type IS NOT NULL OR http_status_code >= 400 THEN 'error'
    ELSE 'ok'
  END AS status,
  usage_source = 'estimated' AS estimated,
  1 AS requests
FROM usage_records
