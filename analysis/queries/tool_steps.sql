-- analysis.steps.ToolStep, in the order of its fields. $session: or NULL for all.
SELECT
    tool_call_id, session_id, call_id, name, arguments, arguments_hash,
    result_preview, result_hash, is_error, requested_ns, result_ns, result_call_id
FROM tool_call
WHERE ($session::TEXT IS NULL OR session_id = $session)
ORDER BY requested_ns, call_id, tool_call_id
