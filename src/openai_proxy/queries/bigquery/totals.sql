-- What /log and the command line sum up: the final records of a selection, by the groups asked for.
SELECT $groups
  COUNT(*) AS requests,
  IFNULL(SUM(input_tokens), 0) AS input_tokens,
  IFNULL(SUM(cache_read_input_tokens), 0) AS cache_read_input_tokens,
  IFNULL(SUM(output_tokens), 0) AS output_tokens,
  IFNULL(SUM(reasoning_output_tokens), 0) AS reasoning_output_tokens,
  IFNULL(SUM(list_cost), 0) AS list_cost,
  COUNTIF(NOT priced) AS unpriced,
  COUNTIF(usage_source = 'estimated') AS estimated,
  COUNTIF(status = 'open') AS open,
  COUNTIF(status = 'error') AS errors
FROM ($requests)
WHERE TRUE $of_selection
$grouping
