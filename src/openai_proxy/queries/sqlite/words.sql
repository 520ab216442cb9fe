  -- What questions call what one record says; part of the queries here.
  ${row}.event_time / 86400000000 - (${row}.event_time % 86400000000 < 0) AS day, -- since 1970, rounded down
  coalesce(${row}.response_model, ${row}.request_model) AS model,
  CASE
    WHEN ${row}.event_type = 'started' THEN 'open'
    WHEN ${row}.error_type IS NOT NULL OR ${row}.http_status_code >= 400 THEN 'error'
    ELSE 'ok'
  END AS status,
  ${row}.usage_source = 'estimated' AS estimated,
  1 AS requests
