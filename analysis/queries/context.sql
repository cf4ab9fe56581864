-- The view `context` of one session with the turn of each request. $session: its id. $since_ns:
-- nanoseconds since the epoch, or NULL.
SELECT context.*, turn
FROM context
ASOF LEFT JOIN turns
    ON context.session_id = turns.session_id AND context.started_at >= turns.started_at
WHERE context.session_id = $session
  AND ($since_ns::BIGINT IS NULL
       OR context.started_at >= make_timestamptz($since_ns::BIGINT // 1000))
ORDER BY position
