-- What was spent in the last $window_ns before the last call began. Else as spend.sql.
WITH chosen AS (
    SELECT started_ns, cost_usd
    FROM llm_call
    WHERE ($since_ns::BIGINT IS NULL OR started_ns >= $since_ns::BIGINT)
      AND ($session::TEXT IS NULL OR session_id = $session)
      AND {where}
)
SELECT
    sum(cost_usd) AS cost_usd, min(started_ns) AS first_ns, max(started_ns) AS last_ns
FROM chosen
WHERE started_ns > (SELECT max(started_ns) FROM chosen) - $window_ns::BIGINT
