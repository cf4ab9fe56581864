-- The sessions in question that began last, at most 100, oldest first.
WITH latest AS (
    SELECT session_id
    FROM session
    WHERE ($session::TEXT IS NULL OR session_id = $session)
      AND (
          $since_ns::BIGINT IS NULL OR started_ns >= $since_ns
          OR session_id IN (
              SELECT session_id FROM llm_call
              WHERE started_ns >= $since_ns OR ended_ns >= $since_ns OR ended_ns IS NULL
          )
      )
    ORDER BY started_ns DESC, session_id
    LIMIT 100
)
FROM sessions
WHERE session_id IN (FROM latest)
ORDER BY started_at, session_id
