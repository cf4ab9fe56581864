-- Milliseconds of the calls of two sets of sessions: for each set, measure and quantile the
-- value, and how the share of calls at or below it varies between sessions (the variance sum of
-- `analysis.intervals.share_below`). $a, $b: ids of the sessions; $quantiles: a list.
WITH sets AS (
    SELECT 'a' AS side, unnest($a::TEXT[]) AS session_id,
        unnest(range(len($a::TEXT[])))::INTEGER AS number
    UNION ALL SELECT 'b', unnest($b::TEXT[]), unnest(range(len($b::TEXT[])))::INTEGER
),
timed AS MATERIALIZED (
    SELECT side, number, (ended_ns - started_ns) / 1e6 AS latency,
        CASE WHEN stream THEN (first_token_ns - started_ns) / 1e6 END AS ttft
    FROM llm_call JOIN sets USING (session_id)
    WHERE status = 'ok' AND operation IN ('chat', 'generate_content', 'text_completion')
),
found AS (
    SELECT side, quantile_cont(latency, $quantiles::DOUBLE[]) AS latency,
        quantile_cont(ttft, $quantiles::DOUBLE[]) AS ttft
    FROM timed GROUP BY side
),
below AS (
    SELECT side, number,
        count(timed.latency) AS latencies, count(timed.ttft) AS ttfts,
        count(*) FILTER (timed.latency <= found.latency[1]) AS latency_1,
        count(*) FILTER (timed.latency <= found.latency[2]) AS latency_2,
        count(*) FILTER (timed.ttft <= found.ttft[1]) AS ttft_1,
        count(*) FILTER (timed.ttft <= found.ttft[2]) AS ttft_2
    FROM timed JOIN found USING (side)
    GROUP BY side, number
),
spread AS (
    SELECT side,
        count(*) FILTER (latencies > 0) AS latency_sessions,
        count(*) FILTER (ttfts > 0) AS ttft_sessions,
        sum(latencies)::BIGINT AS latencies, sum(ttfts)::BIGINT AS ttfts,
        [sum((latency_1 - $quantiles[1] * latencies) ** 2),
         sum((latency_2 - $quantiles[2] * latencies) ** 2)] AS latency_variance,
        [sum((ttft_1 - $quantiles[1] * ttfts) ** 2),
         sum((ttft_2 - $quantiles[2] * ttfts) ** 2)] AS ttft_variance
    FROM below GROUP BY side
)
SELECT side, measure, quantile, ms, sessions, calls, variance_sum
FROM (
    SELECT side, 'latency' AS measure, unnest($quantiles::DOUBLE[]) AS quantile,
        unnest(latency) AS ms, latency_sessions AS sessions, latencies AS calls,
        unnest(latency_variance) AS variance_sum
    FROM found JOIN spread USING (side)
    UNION ALL
    SELECT side, 'ttft', unnest($quantiles::DOUBLE[]), unnest(ttft), ttft_sessions, ttfts,
        unnest(ttft_variance)
    FROM found JOIN spread USING (side)
)
WHERE ms IS NOT NULL
ORDER BY side, measure, quantile
