-- Requests to providers that infer nothing. $since_ns: nanoseconds since the epoch, or NULL.
-- $session: or NULL for all; else only those whose client named this session.
SELECT *
FROM provider_requests
WHERE ($since_ns::BIGINT IS NULL OR started_at >= make_timestamptz($since_ns::BIGINT // 1000))
  AND ($session::TEXT IS NULL OR session_id = $session)
