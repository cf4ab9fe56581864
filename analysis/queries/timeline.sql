-- The view `timeline` of one session; and of its family, as processes belong to its first
-- session. {sessions}: their ids as parameters, which reach into the view where a list would not;
-- $kinds: a list, or NULL for all.
WITH caused AS (
    SELECT kind, action_id AS id, any_value(tool_call_id) AS tool_call_id
    FROM tool_action
    WHERE session_id IN ({sessions})
    GROUP BY kind, action_id
)

SELECT
    started_at, duration_ms, timeline.kind, id, name, status, detail, pid,
    coalesce(timeline.tool_call_id, caused.tool_call_id) AS tool_call_id,
    session_id
FROM timeline
LEFT JOIN caused USING (kind, id)
WHERE session_id IN ({sessions})
    AND ($kinds::TEXT[] IS NULL OR timeline.kind IN (SELECT unnest($kinds::TEXT[])))
ORDER BY started_at, timeline.kind <> 'call', id
