-- Programs for the activity tree: those that the tool calls $tools (call id, a space, tool call id)
-- caused, and those of the sessions $own that no tool call did; each with why, then as
-- analysis.steps.ProcessStep. {sessions}: the sessions' ids as parameters.
WITH caused AS (
    SELECT
        action_id, min_by(call_id || ' ' || tool_call_id, at_ns) AS tool,
        min_by(how, at_ns) AS how, min_by(confidence, at_ns) AS confidence
    FROM tool_action
    WHERE kind = 'process' AND session_id IN ({sessions})
    GROUP BY action_id
)
SELECT
    coalesce(tool, session_id) AS parent, how, confidence,
    process_key, pid, ppid, [left(each, 2000) FOR each IN argv[:64]], exe, uid, started_ns,
    session_id, ended_ns, cwd, exit_code, signal, comm, count(*) OVER () AS total
FROM process
LEFT JOIN caused ON action_id = process_key
WHERE session_id IN ({sessions})
    AND CASE
        WHEN tool IS NULL THEN session_id IN (SELECT unnest($own::TEXT[]))
        ELSE tool IN (SELECT unnest($tools::TEXT[]))
    END
ORDER BY started_ns NULLS FIRST, process_key
LIMIT $limit
