-- View: what each kind of unit cost in the last 13 UTC months, a row a day, team, user, model and unit; costs in USD.
--
-- A unit that is charged with its whole, as reasoning is with output, is there with a list cost of 0; one whose record
-- has no list cost is counted in unpriced.
SELECT
  DATE(record.event_time) AS day,
  record.team_id AS team_id,
  record.user_id AS user_id,
  IFNULL(record.response_model, record.request_model) AS model,
  used.unit AS unit,
  SUM(used.quantity) AS quantity,
  SUM(used.charged_quantity) AS charged_quantity,
  IFNULL(SUM(used.list_cost), 0) AS list_cost,
  IFNULL(SUM(IF(used.usage_source = 'estimated', used.list_cost, 0)), 0) AS estimated_list_cost,
  COUNTIF(used.list_cost IS NULL) AS unpriced
FROM
  `${usage}`(
    TIMESTAMP(DATE_SUB(DATE_TRUNC(CURRENT_DATE(), MONTH), INTERVAL 12 MONTH)),
    TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)
  ) AS record,
  UNNEST(record.units) AS used
GROUP BY day, team_id, user_id, model, unit
