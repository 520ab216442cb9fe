-- All versions of one final record, oldest first: of each price revision the first that was stored, as in usage.sql.
SELECT *
FROM `${table}`
WHERE event_time >= @since AND event_time < @until AND event_id = @event_id
QUALIFY
  RANK() OVER (ORDER BY IF(event_type = 'finished', 0, 1)) = 1
  AND ROW_NUMBER() OVER (
    PARTITION BY event_type, IFNULL(price_revision, 0)
    ORDER BY stored_time, publish_time, message_id
  ) = 1
ORDER BY IFNULL(price_revision, 0)
