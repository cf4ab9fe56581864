-- Tool calls by name; a rate only over those whose outcome is known.
SELECT
    name, count(*) AS calls,
    count(*) FILTER (is_error) AS errors,
    count(is_error) AS known_outcomes,
    count(*) FILTER (is_error) / nullif(count(is_error), 0) AS error_rate,
    quantile_cont(duration_ms, 0.5) AS p50_ms
FROM tools
WHERE ($since_ns::BIGINT IS NULL OR requested_at >= make_timestamptz($since_ns::BIGINT // 1000))
  AND ($session::TEXT IS NULL OR session_id = $session)
GROUP BY name
ORDER BY calls DESC, name
