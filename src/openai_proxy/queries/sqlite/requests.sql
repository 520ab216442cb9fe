-- The final records in the words of the questions about them.
SELECT
  *,
${words}
FROM usage_records ${index}
