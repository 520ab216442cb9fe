-- What /log and the command line list: the final records of a selection.
SELECT ${columns}
FROM (${requests})
WHERE event_time >= :since AND event_time < :until ${of_selection}
ORDER BY ${order}, event_time DESC, event_id DESC
LIMIT :most OFFSET :offset
