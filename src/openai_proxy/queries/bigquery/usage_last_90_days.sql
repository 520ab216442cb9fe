-- View: one final record a request, of the last 90 days, for people and spreadsheets that cannot call a table function.
SELECT *
FROM `${usage}`(TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 90 DAY), TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY))
