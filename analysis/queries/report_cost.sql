-- What the calls cost, as far as their prices are known.
SELECT
    sum(cost_usd) AS total_usd,
    count(cost_usd) AS priced_calls,
    count(*) FILTER (cost_usd IS NULL AND status IN ('ok', 'incomplete')) AS unpriced_calls,
    sum(cost_usd) FILTER (starts_with(cost_source, 'estimated:')) AS estimated_usd
FROM calls
WHERE ($since_ns::BIGINT IS NULL OR started_at >= make_timestamptz($since_ns::BIGINT // 1000))
  AND ($session::TEXT IS NULL OR session_id = $session)
