-- Sessions for the activity tree, the latest first. {sessions}: NULL for all, or ids as parameters.
SELECT session_id, agent, parent_session_id, root_pid, started_ns, coalesce(tool_calls, 0)
FROM (
    SELECT * FROM session
    WHERE {all} OR session_id IN ({sessions})
    ORDER BY started_ns DESC, session_id
    LIMIT $limit
)
LEFT JOIN (
    SELECT session_id, count(*) AS tool_calls FROM tool_call GROUP BY session_id
) USING (session_id)
ORDER BY started_ns DESC, session_id
