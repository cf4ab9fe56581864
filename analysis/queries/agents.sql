-- The view `agents`: those seen at or after $since_ns (nanoseconds since the epoch, or NULL).
FROM agents
WHERE ($since_ns::BIGINT IS NULL OR last_seen_at >= make_timestamptz($since_ns::BIGINT // 1000))
