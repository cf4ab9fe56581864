-- Where the time of one session went, all turns together, in nanoseconds. $session: its id.
SELECT
    count(*)::BIGINT AS turns,
    sum(last_ns - first_ns)::BIGINT AS wall_ns,
    sum(queue_ns)::BIGINT AS queue_ns,
    sum(generation_ns)::BIGINT AS generation_ns,
    sum(stall_ns)::BIGINT AS stall_ns,
    sum(tools_ns)::BIGINT AS tools_ns,
    sum(human_ns)::BIGINT AS human_ns,
    sum(retry_ns)::BIGINT AS retry_ns,
    sum(idle_ns)::BIGINT AS idle_ns
FROM turn_time
WHERE session_id = $session
