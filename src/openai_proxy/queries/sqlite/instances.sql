-- How many other instances of the proxy were active lately.
SELECT count(DISTINCT ${instance_id})
FROM usage_records
WHERE event_time >= :since AND ${instance_id} IS NOT :instance_id
