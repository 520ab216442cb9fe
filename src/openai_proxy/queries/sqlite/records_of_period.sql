-- What totals sum up: records.
SELECT *
FROM (${requests})
WHERE event_time >= :since AND event_time < :until
