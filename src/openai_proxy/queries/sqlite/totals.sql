-- What /log and the command line sum up: the final records of a selection, by the groups asked for.
SELECT ${groups}
  coalesce(sum(requests), 0) AS requests,
  coalesce(sum(input_tokens), 0) AS input_tokens,
  coalesce(sum(cache_read_input_tokens), 0) AS cache_read_input_tokens,
  coalesce(sum(output_tokens), 0) AS output_tokens,
  coalesce(sum(reasoning_output_tokens), 0) AS reasoning_output_tokens,
  coalesce(sum(list_cost), 0) AS list_cost,
  coalesce(sum(requests * (NOT priced)), 0) AS unpriced,
  coalesce(sum(requests * estimated), 0) AS estimated,
  coalesce(sum(requests * (status = 'open')), 0) AS open,
  coalesce(sum(requests * (status = 'error')), 0) AS errors
FROM (${source})
WHERE TRUE ${of_selection}
${grouping}
