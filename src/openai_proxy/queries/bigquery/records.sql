-- What /log and the command line list: the final records of a selection.
SELECT * EXCEPT (model, status)
FROM ($requests)
WHERE TRUE $of_selection
ORDER BY $order, event_time DESC, event_id DESC
LIMIT @most OFFSET @offset
