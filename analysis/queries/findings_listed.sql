-- The view `findings`: of $kinds (a list, or NULL), of $session (or NULL), that went on at or after
-- $since_ns (nanoseconds since the epoch, or NULL).
FROM findings
WHERE ($kinds::TEXT[] IS NULL OR kind IN (SELECT unnest($kinds::TEXT[])))
  AND ($session::TEXT IS NULL OR session_id = $session)
  AND ($since_ns::BIGINT IS NULL OR last_at >= make_timestamptz($since_ns::BIGINT // 1000))
