-- analysis.steps.ToolStep, in the order of its fields: the latest 64 tool calls of each session.
-- $sessions: a list.
SELECT
    tool_call_id, session_id, call_id, name, arguments, arguments_hash,
    result_preview, result_hash, is_error, requested_ns, result_ns, result_call_id
FROM tool_call
WHERE session_id IN (SELECT unnest($sessions::TEXT[])) AND requested_ns >= $since_ns
QUALIFY row_number() OVER (PARTITION BY session_id ORDER BY requested_ns DESC, call_id DESC) <= 64
ORDER BY requested_ns, call_id, tool_call_id
