-- Calls, tokens and cost by $by (model | session | agent | day: days since the epoch, UTC): all
-- together first (`whole`), then the dearest $most. A model's `label` is its provider, a session's
-- its agent. A call that another repeats is wasted as `retried`, whatever it ended with.
-- $since_ns: nanoseconds since the epoch, or NULL. $session: or NULL. WHERE names which calls.
WITH parts AS (
    -- By what became of the calls, too: sums without conditions are cheap.
    SELECT
        CASE $by::TEXT
            WHEN 'model' THEN coalesce(model, request_model)
            WHEN 'session' THEN session_id
            WHEN 'agent' THEN agent
        END AS key,
        CASE $by::TEXT WHEN 'day' THEN started_ns // 86400000000000 END AS day,
        CASE $by::TEXT WHEN 'model' THEN provider WHEN 'session' THEN agent END AS label,
        status,
        call_id IN (SELECT retry_of FROM llm_call WHERE retry_of IS NOT NULL) AS retried,
        count(*) AS calls,
        sum(input_tokens) AS input_tokens,
        sum(output_tokens) AS output_tokens,
        sum(cache_read_tokens) AS cache_read_tokens,
        sum(cache_write_tokens) AS cache_write_tokens,
        sum(input_tokens) FILTER (cache_read_tokens IS NOT NULL) AS cacheable_tokens,
        sum(input_tokens + output_tokens) AS tokens,
        sum(cost_usd) AS cost_usd,
        count(cost_usd) AS priced_calls,
        count(*) FILTER (usage_source IN ('estimated', 'output_estimated')) AS estimated_calls,
        min(started_ns) AS first_ns,
        max(greatest(coalesce(ended_ns, started_ns), started_ns)) AS last_ns
    FROM llm_call
    WHERE ($since_ns::BIGINT IS NULL OR started_ns >= $since_ns::BIGINT)
      AND ($session::TEXT IS NULL OR session_id = $session)
      AND {where}
    GROUP BY ALL
),
named AS (
    SELECT
        * EXCLUDE (key, day),
        coalesce(CAST(day AS TEXT), key) AS key,
        status = 'error' AS failed,
        status = 'incomplete' AS cut
    FROM parts
),
grouped AS (
    SELECT
        grouping(key) = 1 AS whole,
        key, label,
        TRY_CAST(coalesce(sum(calls), 0) AS BIGINT) AS calls,
        TRY_CAST(coalesce(sum(calls) FILTER (failed OR cut), 0) AS BIGINT) AS failed_calls,
        TRY_CAST(sum(input_tokens) AS BIGINT) AS input_tokens,
        TRY_CAST(sum(output_tokens) AS BIGINT) AS output_tokens,
        TRY_CAST(sum(cache_read_tokens) AS BIGINT) AS cache_read_tokens,
        TRY_CAST(sum(cache_write_tokens) AS BIGINT) AS cache_write_tokens,
        sum(cache_read_tokens) / nullif(sum(cacheable_tokens), 0) AS cache_hit_rate,
        sum(cost_usd) AS cost_usd,
        TRY_CAST(
            coalesce(sum(calls - priced_calls) FILTER (status IN ('ok', 'incomplete')), 0) AS BIGINT
        ) AS unpriced_calls,
        TRY_CAST(coalesce(sum(estimated_calls), 0) AS BIGINT) AS estimated_calls,
        sum(cost_usd) FILTER (failed OR cut OR retried) AS wasted_usd,
        min(first_ns) AS first_ns,
        max(last_ns) AS last_ns,
        TRY_CAST(coalesce(sum(calls) FILTER (retried), 0) AS BIGINT) AS retried_count,
        TRY_CAST(sum(tokens) FILTER (retried) AS BIGINT) AS retried_tokens,
        sum(cost_usd) FILTER (retried) AS retried_usd,
        TRY_CAST(coalesce(sum(calls) FILTER (failed AND NOT retried), 0) AS BIGINT) AS failed_count,
        TRY_CAST(sum(tokens) FILTER (failed AND NOT retried) AS BIGINT) AS failed_tokens,
        sum(cost_usd) FILTER (failed AND NOT retried) AS failed_usd,
        TRY_CAST(coalesce(sum(calls) FILTER (cut AND NOT retried), 0) AS BIGINT) AS cut_count,
        TRY_CAST(sum(tokens) FILTER (cut AND NOT retried) AS BIGINT) AS cut_tokens,
        sum(cost_usd) FILTER (cut AND NOT retried) AS cut_usd
    FROM named
    GROUP BY GROUPING SETS ((key, label), ())
)
SELECT *, count(*) OVER () - 1 AS groups
FROM grouped
ORDER BY whole DESC, cost_usd DESC NULLS LAST, calls DESC, key, label
LIMIT $most::BIGINT + 1
