-- LLM calls. $since_ns: nanoseconds since the epoch, or NULL. $session: or NULL.
SELECT *
FROM calls
WHERE ($since_ns::BIGINT IS NULL OR started_at >= make_timestamptz($since_ns::BIGINT // 1000))
  AND ($session::TEXT IS NULL OR session_id = $session)
