-- What the proxy asks before it lets requests in under budgets: what each scope spent, without what it knows itself. All
-- its questions at once, as arrays of the same length: BigQuery charges for the bytes of a month, not for questions.
WITH
  records AS (
    SELECT
      event_time,
      user_id,
      team_id,
      instance_id,
      IFNULL(IFNULL(list_cost, reserved_cost), 0) AS amount
    FROM `${usage}`(@since, @until)
  ),
  others AS (
    SELECT COUNT(DISTINCT instance_id) AS other_instances
    FROM records
    WHERE event_time >= @active_since AND instance_id != @instance_id
  ),
  spent AS (
    SELECT question, SUM(amount) AS amount
    FROM records, UNNEST(GENERATE_ARRAY(0, ARRAY_LENGTH(@kinds) - 1)) AS question
    WHERE
      event_time >= @sinces[OFFSET(question)]
      AND CASE @kinds[OFFSET(question)]
        WHEN 'user' THEN user_id = @names[OFFSET(question)]
        WHEN 'team' THEN team_id = @names[OFFSET(question)]
        ELSE TRUE
      END
      AND NOT (IFNULL(instance_id, '') = @instance_id AND event_time >= @own_sinces[OFFSET(question)])
    GROUP BY question
  )
SELECT question, amount, other_instances
FROM others LEFT JOIN spent ON TRUE
