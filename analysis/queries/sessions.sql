-- Sessions active at or after $since_ns (nanoseconds since the epoch, or NULL).
SELECT *
FROM sessions
WHERE ($since_ns::BIGINT IS NULL
       OR started_at >= make_timestamptz($since_ns::BIGINT // 1000)
       OR ended_at >= make_timestamptz($since_ns::BIGINT // 1000)
       OR running_calls > 0)
  AND ($session::TEXT IS NULL OR session_id = $session)
