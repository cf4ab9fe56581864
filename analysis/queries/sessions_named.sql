-- Sessions whose id begins so, at most three: enough to know whether there is one.
SELECT session_id FROM session
WHERE starts_with(session_id, $beginning)
ORDER BY session_id <> $beginning, started_ns DESC
LIMIT 3
