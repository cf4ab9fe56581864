-- Processes alive at or after $since_ns (nanoseconds since the epoch, or NULL).
SELECT *
FROM processes
WHERE ($since_ns::BIGINT IS NULL
       OR ended_at IS NULL
       OR ended_at >= make_timestamptz($since_ns::BIGINT // 1000))
  AND ($session::TEXT IS NULL OR session_id = $session)
