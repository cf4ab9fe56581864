-- analysis.steps.ToolStep, in the order of its fields. $sessions, $since_ns as in call_steps.
SELECT
    tool_call_id, session_id, call_id, name, arguments, arguments_hash,
    result_preview, result_hash, is_error, requested_ns, result_ns, result_call_id
FROM tool_call
WHERE session_id IN (SELECT unnest($sessions::TEXT[])) AND requested_ns >= $since_ns
ORDER BY requested_ns, call_id, tool_call_id
