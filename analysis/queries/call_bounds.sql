-- When the first and the last call began. $session: or NULL. WHERE names which calls.
SELECT min(started_ns) AS first_ns, max(started_ns) AS last_ns
FROM llm_call
WHERE ($session::TEXT IS NULL OR session_id = $session)
  AND {where}
