-- Network events whose last is at or after $since_ns (nanoseconds since the epoch, or NULL).
-- $session: or NULL for all.
SELECT *
FROM network_events
WHERE ($since_ns::BIGINT IS NULL OR last_at >= make_timestamptz($since_ns::BIGINT // 1000))
  AND ($session::TEXT IS NULL OR session_id = $session)
