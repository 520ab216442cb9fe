-- What `openai-proxy access log` lists. An event may be there twice, in all columns the same.
SELECT DISTINCT event_id, event_time, operator, action, user_id, team_id, description
FROM `${access_events}`
WHERE event_time >= @since AND event_time < @until
ORDER BY event_time DESC, event_id DESC
