-- The view `timeline` of one session; and of its family, as processes belong to its first
-- session. $sessions: a list; $kinds: a list, or NULL for all.
SELECT started_at, duration_ms, kind, id, name, status, detail, pid, tool_call_id, session_id
FROM timeline
WHERE session_id IN (SELECT unnest($sessions::TEXT[]))
    AND ($kinds::TEXT[] IS NULL OR kind IN (SELECT unnest($kinds::TEXT[])))
ORDER BY started_at, kind <> 'call', id
