-- Tool calls of sessions for the activity tree, in order of time, the latest $limit of each, with
-- how many things each caused. {sessions}: ids as parameters.
WITH caused AS (
    SELECT
        session_id, call_id, tool_call_id,
        count(*) FILTER (kind = 'process') AS processes,
        count(*) FILTER (kind = 'file') AS files,
        count(*) FILTER (kind = 'connection') AS connections
    FROM tool_action
    WHERE session_id IN ({sessions})
    GROUP BY session_id, call_id, tool_call_id
),
latest AS (
    SELECT
        session_id, call_id, tool_call_id, name, left(arguments, 400) AS arguments, is_error,
        requested_ns, result_ns, left(result_preview, 200) AS result,
        count(*) OVER (PARTITION BY session_id) AS total,
        row_number() OVER (PARTITION BY session_id ORDER BY requested_ns DESC, tool_call_id)
            AS ordinal
    FROM tool_call
    WHERE session_id IN ({sessions})
)
SELECT
    session_id, call_id, tool_call_id, name, arguments, is_error, requested_ns, result_ns, result,
    total, coalesce(processes, 0), coalesce(files, 0), coalesce(connections, 0)
FROM latest
LEFT JOIN caused USING (session_id, call_id, tool_call_id)
WHERE ordinal <= $limit
ORDER BY requested_ns, call_id, tool_call_id
