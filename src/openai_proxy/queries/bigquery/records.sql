-- What /log and the command line list: final records of a period, newest first.
SELECT *
FROM `${usage}`(@since, @until)
WHERE (@user_id IS NULL OR user_id = @user_id)
  AND (@tag_value IS NULL OR JSON_VALUE(tags, @tag_path) = @tag_value)
ORDER BY event_time DESC, event_id DESC
LIMIT @most
