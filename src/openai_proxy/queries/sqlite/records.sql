-- What /log and the command line list: final records of a period, newest first.
SELECT ${columns}
FROM usage_records
WHERE event_time >= :since AND event_time < :until ${of_user}
ORDER BY event_time DESC, event_id DESC
LIMIT :most
