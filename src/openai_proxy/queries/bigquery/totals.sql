-- What /log and the command line sum up: final records of a period, by the groups that @by names.
SELECT
  IF('user' IN UNNEST(@by), user_id, NULL) AS user_group,
  IF('team' IN UNNEST(@by), team_id, NULL) AS team_group,
  IF('key' IN UNNEST(@by), key_id, NULL) AS key_group,
  IF('model' IN UNNEST(@by), IFNULL(response_model, request_model), NULL) AS model_group,
  IF('operation' IN UNNEST(@by), operation_name, NULL) AS operation_group,
  IF('day' IN UNNEST(@by), FORMAT_TIMESTAMP('%F', event_time), NULL) AS day_group,
  IF('end_user' IN UNNEST(@by), end_user_id, NULL) AS end_user_group,
  IF('tag' IN UNNEST(@by), JSON_VALUE(tags, @group_path), NULL) AS tag_group,
  COUNT(*) AS requests,
  IFNULL(SUM(input_tokens), 0) AS input_tokens,
  IFNULL(SUM(cache_read_input_tokens), 0) AS cache_read_input_tokens,
  IFNULL(SUM(output_tokens), 0) AS output_tokens,
  IFNULL(SUM(reasoning_output_tokens), 0) AS reasoning_output_tokens,
  IFNULL(SUM(list_cost), 0) AS list_cost,
  COUNTIF(NOT priced) AS unpriced,
  COUNTIF(usage_source = 'estimated') AS estimated,
  COUNTIF(event_type = 'started') AS open,
  COUNTIF(error_type IS NOT NULL OR http_status_code >= 400) AS errors
FROM `${usage}`(@since, @until)
WHERE (@user_id IS NULL OR user_id = @user_id)
  AND (@tag_value IS NULL OR JSON_VALUE(tags, @tag_path) = @tag_value)
GROUP BY user_group, team_group, key_group, model_group, operation_group, day_group, end_user_group, tag_group
