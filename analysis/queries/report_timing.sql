-- Percentiles in milliseconds over calls that ended well: the whole call, and its first token.
SELECT measure, count(ms), quantile_cont(ms, 0.5), quantile_cont(ms, 0.9),
    quantile_cont(ms, 0.95), quantile_cont(ms, 0.99), max(ms)
FROM (
    SELECT unnest(['latency', 'ttft']) AS measure, unnest([duration_ms, ttft_ms]) AS ms
    FROM calls
    WHERE status = 'ok'
  AND ($since_ns::BIGINT IS NULL OR started_at >= make_timestamptz($since_ns::BIGINT // 1000))
  AND ($session::TEXT IS NULL OR session_id = $session)
)
GROUP BY measure
ORDER BY measure
