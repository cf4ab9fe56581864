-- One row a session of the sets: what is stored of it. $sessions: ids; $loop_kinds: a list.
WITH asked AS (SELECT unnest($sessions::TEXT[]) AS session_id),
loops AS (
    SELECT session_id, count(*) AS loops
    FROM finding
    WHERE kind IN (SELECT unnest($loop_kinds::TEXT[]))
    GROUP BY session_id
)
SELECT
    asked.session_id, outcome.outcome, outcome.calls, outcome.failed_calls,
    outcome.tool_calls, outcome.failed_tool_calls, outcome.human_escalations,
    CASE WHEN outcome.session_id IS NOT NULL THEN coalesce(loops.loops, 0) END,
    CASE WHEN outcome.unpriced_calls = 0 THEN outcome.cost_usd END,
    outcome.tokens, outcome.wall_ns
FROM asked
LEFT JOIN session_outcome AS outcome USING (session_id)
LEFT JOIN loops USING (session_id)
