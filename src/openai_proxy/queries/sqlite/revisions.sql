-- All versions of one final record that one of the two tables has, oldest first.
SELECT ${columns}
FROM ${table}
WHERE event_id = :event_id AND event_time >= :since AND event_time < :until
ORDER BY coalesce(price_revision, 0)
