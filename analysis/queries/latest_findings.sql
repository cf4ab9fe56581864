-- The findings that were seen last, newest first, at most $most. $session: or NULL.
SELECT finding_id, session_id, kind, severity, title, last_ns
FROM finding
WHERE $session::TEXT IS NULL OR session_id = $session
ORDER BY last_ns DESC NULLS LAST, finding_id
LIMIT $most::BIGINT
