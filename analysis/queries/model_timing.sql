-- Latency, time to the first token and pace of finished answers by $by, as in spend.sql.
-- $since_ns: or NULL. $session: or NULL. WHERE names which calls. $most groups with most calls.
WITH chosen AS (
    SELECT
        CASE $by::TEXT
            WHEN 'model' THEN coalesce(model, request_model)
            WHEN 'session' THEN session_id
            WHEN 'agent' THEN agent
            ELSE CAST(started_ns // 86400000000000 AS TEXT)
        END AS key,
        CASE $by::TEXT WHEN 'model' THEN provider WHEN 'session' THEN agent END AS label,
        (ended_ns - started_ns) / 1e6 AS duration_ms,
        CASE WHEN stream THEN (first_token_ns - started_ns) / 1e6 END AS ttft_ms,
        CASE WHEN stream AND ended_ns > first_token_ns
            THEN output_tokens / ((ended_ns - first_token_ns) / 1e9) END AS tokens_per_s,
        started_ns, cost_usd
    FROM llm_call
    WHERE status = 'ok'
      AND ($since_ns::BIGINT IS NULL OR started_ns >= $since_ns::BIGINT)
      AND ($session::TEXT IS NULL OR session_id = $session)
      AND {where}
)
SELECT
    key, label,
    quantile_cont(duration_ms, [0.5, 0.95]) AS duration_ms,
    quantile_cont(ttft_ms, [0.5, 0.95]) AS ttft_ms,
    median(tokens_per_s) AS tokens_per_s
FROM chosen
GROUP BY key, label
ORDER BY count(*) DESC, key, label
LIMIT $most::BIGINT
