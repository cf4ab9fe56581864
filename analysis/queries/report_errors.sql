-- Failed calls by the provider's error type.
SELECT error_type, count(*) AS calls
FROM calls
WHERE status = 'error'
  AND ($since_ns::BIGINT IS NULL OR started_at >= make_timestamptz($since_ns::BIGINT // 1000))
  AND ($session::TEXT IS NULL OR session_id = $session)
GROUP BY error_type
ORDER BY calls DESC, error_type
