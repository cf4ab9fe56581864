-- The tool calls that one call's answer asked for.
SELECT * FROM tools WHERE call_id = $call_id ORDER BY requested_at, tool_call_id
