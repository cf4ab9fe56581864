-- How the sessions in question ended.
SELECT outcome, count(*) AS sessions
FROM session_outcome
WHERE ($session::TEXT IS NULL OR session_id = $session)
  AND (
      $since_ns::BIGINT IS NULL
      OR session_id IN (SELECT session_id FROM turn_time WHERE last_ns >= $since_ns)
  )
GROUP BY outcome
ORDER BY sessions DESC, outcome
