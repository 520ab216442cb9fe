-- Body of the table function usage(since TIMESTAMP, until TIMESTAMP): one final record a request.
--
-- The ledger is append-only, and a request's events may be delivered late, twice and in any order: finished beats
-- started, and of two finished ones the first that was stored stands. Both bear the same event_time, so the
-- bounds prune partitions and never cut a request in two.
SELECT *
FROM `${table}`
WHERE event_time >= since AND event_time < until
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY event_id
  ORDER BY IF(event_type = 'finished', 0, 1), stored_time, publish_time, message_id
) = 1
