-- Sums over all calls. $session: or NULL.
SELECT
    count(*) AS calls,
    count(*) FILTER (status = 'error') AS errors,
    count(*) FILTER (status = 'running') AS open_calls,
    TRY_CAST(sum(input_tokens) AS BIGINT) AS input_tokens,
    TRY_CAST(sum(output_tokens) AS BIGINT) AS output_tokens,
    sum(cost_usd) AS cost_usd,
    count(*) FILTER (cost_usd IS NULL AND status IN ('ok', 'incomplete')) AS unpriced_calls,
    count(*) FILTER (usage_source IN ('estimated', 'output_estimated')) AS estimated_calls
FROM llm_call
WHERE $session::TEXT IS NULL OR session_id = $session
