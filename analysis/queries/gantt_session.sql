-- The session that was active last, or $session (its id, or NULL): id, the time of its last call.
SELECT session_id, started_ns
FROM llm_call
WHERE $session::TEXT IS NULL OR session_id = $session
ORDER BY started_ns DESC
LIMIT 1
