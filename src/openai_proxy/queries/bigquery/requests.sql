-- The final records of a period in the words of the questions about them: in `records`, `totals` and `latencies`.
--
-- They name only the columns that a question needs: BigQuery charges for each one that is named, whatever it is used for.
SELECT
  *,
  IFNULL(response_model, request_model) AS model,
  CASE
    WHEN event_type = 'started' THEN 'open'
    WHEN error_type IS NOT NULL OR http_status_code >= 400 THEN 'error'
    ELSE 'ok'
  END AS status
FROM `${usage}`(@since, @until)
