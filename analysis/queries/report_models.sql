-- Calls, tokens and cost by provider and model; the model that answered, else the one asked for.
SELECT
    provider, coalesce(model, request_model) AS model, count(*) AS calls,
    TRY_CAST(sum(input_tokens) AS BIGINT) AS input_tokens,
    TRY_CAST(sum(output_tokens) AS BIGINT) AS output_tokens,
    TRY_CAST(sum(cache_read_tokens) AS BIGINT) AS cache_read_tokens,
    TRY_CAST(sum(cache_write_tokens) AS BIGINT) AS cache_write_tokens,
    TRY_CAST(sum(reasoning_tokens) AS BIGINT) AS reasoning_tokens,
    sum(cost_usd) AS cost_usd,
    count(*) FILTER (cost_usd IS NULL AND status IN ('ok', 'incomplete')) AS unpriced_calls,
    count(*) FILTER (usage_source IN ('estimated', 'output_estimated')) AS estimated_calls
FROM calls
WHERE ($since_ns::BIGINT IS NULL OR started_at >= make_timestamptz($since_ns::BIGINT // 1000))
  AND ($session::TEXT IS NULL OR session_id = $session)
GROUP BY ALL
ORDER BY calls DESC, provider, model
