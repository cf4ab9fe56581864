-- Where the time of the turns in question went, in milliseconds.
SELECT
    count(*),
    coalesce(sum(last_ns - first_ns), 0) / 1e6,
    coalesce(sum(queue_ns), 0) / 1e6,
    coalesce(sum(generation_ns), 0) / 1e6,
    coalesce(sum(stall_ns), 0) / 1e6,
    coalesce(sum(tools_ns), 0) / 1e6,
    coalesce(sum(human_ns), 0) / 1e6,
    coalesce(sum(retry_ns), 0) / 1e6,
    coalesce(sum(idle_ns), 0) / 1e6
FROM turn_time
WHERE ($since_ns::BIGINT IS NULL OR last_ns >= $since_ns)
  AND ($session::TEXT IS NULL OR session_id = $session)
