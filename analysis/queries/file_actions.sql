-- analysis.derived.ToolActionRow of files, in the order of its fields. $sessions: a list.
SELECT session_id, call_id, tool_call_id, kind, action_id, at_ns, how, confidence
FROM tool_action
WHERE kind = 'file' AND session_id IN (SELECT unnest($sessions::TEXT[]))
