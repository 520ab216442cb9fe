-- Body of the table function usage(since TIMESTAMP, until TIMESTAMP): one final record a request.
--
-- The ledger is append-only, and a request's events may be delivered late, twice and in any order, and priced again
-- later: finished beats started, then the highest price revision wins, and of two with the same one the first that was
-- stored stands. All bear the same event_time, so the bounds prune partitions and never cut a request in two.
SELECT *
FROM `${table}`
WHERE event_time >= since AND event_time < until
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY event_id
  ORDER BY
    IF(event_type = 'finished', 0, 1), IFNULL(price_revision, 0) DESC, stored_time, publish_time, message_id
) = 1
