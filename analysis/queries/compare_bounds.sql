-- Milliseconds of the calls of two sets of sessions at given shares of the calls, by set.
-- $a, $b: ids of the sessions; $shares: a list.
WITH sets AS (
    SELECT 'a' AS side, unnest($a::TEXT[]) AS session_id
    UNION ALL SELECT 'b', unnest($b::TEXT[])
)
SELECT side,
    quantile_cont((ended_ns - started_ns) / 1e6, $shares::DOUBLE[]) AS latency,
    quantile_cont(
        CASE WHEN stream THEN (first_token_ns - started_ns) / 1e6 END, $shares::DOUBLE[]
    ) AS ttft
FROM llm_call JOIN sets USING (session_id)
WHERE status = 'ok' AND operation IN ('chat', 'generate_content', 'text_completion')
GROUP BY side
