-- One final record.
SELECT *
FROM `${usage}`(@since, @until)
WHERE event_id = @event_id
