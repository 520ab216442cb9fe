-- One final record.
SELECT ${columns}
FROM usage_records
WHERE event_id = :event_id AND event_time >= :since AND event_time < :until
