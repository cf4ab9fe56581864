-- Tokens that caches read and wrote, in priced calls, by what sets their price: see
-- analysis.cache_savings. `size_class`: how many of its SIZES the input is beyond. Sessions other
-- than $keys come together, under NULL. Other parameters as in spend.sql.
SELECT
    CASE $by::TEXT
        WHEN 'model' THEN coalesce(model, request_model)
        WHEN 'session' THEN CASE WHEN session_id IN (SELECT unnest($keys::TEXT[])) THEN session_id END
        WHEN 'agent' THEN agent
        ELSE CAST(started_ns // 86400000000000 AS TEXT)
    END AS key,
    CASE $by::TEXT WHEN 'model' THEN provider WHEN 'session' THEN agent END AS label,
    provider, model, request_model, host, service_tier,
    started_ns // 86400000000000 AS day,
    CASE
        WHEN input_tokens <= 32000 THEN 0
        WHEN input_tokens <= 100000 THEN 1
        WHEN input_tokens <= 128000 THEN 2
        WHEN input_tokens <= 200000 THEN 3
        WHEN input_tokens <= 256000 THEN 4
        WHEN input_tokens <= 272000 THEN 5
        WHEN input_tokens <= 512000 THEN 6
        ELSE 7
    END AS size_class,
    TRY_CAST(sum(cache_read_tokens) AS BIGINT) AS read_tokens,
    TRY_CAST(sum(cache_write_tokens) AS BIGINT) AS write_tokens
FROM llm_call
WHERE (cache_read_tokens > 0 OR cache_write_tokens > 0)
  AND cost_usd IS NOT NULL
  AND ($since_ns::BIGINT IS NULL OR started_ns >= $since_ns::BIGINT)
  AND ($session::TEXT IS NULL OR session_id = $session)
  AND {where}
GROUP BY ALL
