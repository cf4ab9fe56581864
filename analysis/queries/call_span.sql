-- When the session of a call began and the call was made; nodes of its list mostly came between.
SELECT coalesce(session.started_ns, 0), llm_call.started_ns
FROM llm_call LEFT JOIN session USING (session_id)
WHERE call_id = $call_id
