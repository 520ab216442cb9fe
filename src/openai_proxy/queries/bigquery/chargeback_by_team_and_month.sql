-- View: what each team used in each of the last 13 UTC months, the present one included; costs in USD.
SELECT
  DATE_TRUNC(DATE(event_time), MONTH) AS month,
  team_id,
  COUNT(*) AS requests,
  SUM(input_tokens) AS input_tokens,
  SUM(cache_read_input_tokens) AS cache_read_input_tokens,
  SUM(output_tokens) AS output_tokens,
  IFNULL(SUM(list_cost), 0) AS list_cost,
  IFNULL(SUM(IF(usage_source = 'estimated', list_cost, 0)), 0) AS estimated_list_cost,
  COUNTIF(NOT priced) AS unpriced,
  COUNTIF(event_type = 'started') AS open
FROM `${usage}`(
  TIMESTAMP(DATE_SUB(DATE_TRUNC(CURRENT_DATE(), MONTH), INTERVAL 12 MONTH)),
  TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)
)
GROUP BY month, team_id
