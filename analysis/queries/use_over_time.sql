-- What calls took and how fast they were in $count spans of $width_ns each from $from_ns on, by
-- $by (model | session | agent) for the groups in $keys. A call counts in the span in which it began.
-- $session: or NULL. WHERE names which calls.
WITH chosen AS (
    SELECT
        CASE $by::TEXT
            WHEN 'model' THEN coalesce(model, request_model)
            WHEN 'session' THEN session_id
            ELSE agent
        END AS key,
        (started_ns - $from_ns::BIGINT) // $width_ns::BIGINT AS span,
        cost_usd, input_tokens, cache_read_tokens,
        CASE WHEN status = 'ok' THEN (ended_ns - started_ns) / 1e6 END AS duration_ms,
        CASE WHEN status = 'ok' AND stream AND ended_ns > first_token_ns
            THEN output_tokens / ((ended_ns - first_token_ns) / 1e9) END AS tokens_per_s
    FROM llm_call
    WHERE started_ns >= $from_ns::BIGINT
      AND started_ns < $from_ns::BIGINT + $count::BIGINT * $width_ns::BIGINT
      AND ($session::TEXT IS NULL OR session_id = $session)
      AND {where}
)
SELECT
    key, span,
    sum(cost_usd) AS cost_usd,
    quantile_cont(duration_ms, [0.5, 0.95]) AS duration_ms,
    median(tokens_per_s) AS tokens_per_s,
    sum(cache_read_tokens)
        / nullif(sum(input_tokens) FILTER (cache_read_tokens IS NOT NULL), 0) AS cache_hit_rate
FROM chosen
WHERE key IN (SELECT unnest($keys::TEXT[]))
GROUP BY key, span
ORDER BY key, span
