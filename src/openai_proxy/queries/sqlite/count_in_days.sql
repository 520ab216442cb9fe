-- One record that ended, added to the roll-up or (with a minus) taken out of it again; the body of triggers.
INSERT INTO usage_days (${columns})
SELECT
  day, ${row}.user_id, ifnull(${row}.team_id, x''), ${row}.key_id, ifnull(model, x''), ${row}.operation_name, status,
  ${row}.priced, estimated,
  ${sign} 1,
  ${sign} ifnull(${row}.input_tokens, 0),
  ${sign} ifnull(${row}.cache_read_input_tokens, 0),
  ${sign} ifnull(${row}.output_tokens, 0),
  ${sign} ifnull(${row}.reasoning_output_tokens, 0),
  ${sign} ifnull(${row}.list_cost, 0)
FROM (SELECT
${words}
)
WHERE TRUE -- or the parser takes what follows for the condition of a join
ON CONFLICT DO UPDATE SET
  requests = requests + excluded.requests,
  input_tokens = input_tokens + excluded.input_tokens,
  cache_read_input_tokens = cache_read_input_tokens + excluded.cache_read_input_tokens,
  output_tokens = output_tokens + excluded.output_tokens,
  reasoning_output_tokens = reasoning_output_tokens + excluded.reasoning_output_tokens,
  list_cost = list_cost + excluded.list_cost
