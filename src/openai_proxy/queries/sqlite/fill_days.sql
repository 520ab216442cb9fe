-- All records that are there, into a roll-up that was just made.
INSERT INTO usage_days (${columns})
SELECT
  day, user_id, ifnull(team_id, x''), key_id, ifnull(model, x''), operation_name, status, priced, estimated,
  count(*),
  coalesce(sum(input_tokens), 0),
  coalesce(sum(cache_read_input_tokens), 0),
  coalesce(sum(output_tokens), 0),
  coalesce(sum(reasoning_output_tokens), 0),
  coalesce(sum(list_cost), 0)
FROM (${requests})
WHERE event_type = 'finished'
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
