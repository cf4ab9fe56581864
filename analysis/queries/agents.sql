-- The view `agents`: those seen at or after $since_ns (or NULL), the latest last.
FROM agents
WHERE ($since_ns::BIGINT IS NULL OR last_seen_at >= make_timestamptz($since_ns::BIGINT // 1000))
ORDER BY last_seen_at, agent, agent_version, executable
