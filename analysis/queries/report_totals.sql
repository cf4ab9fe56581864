-- Totals over the calls in question.
SELECT
    count(*) AS calls,
    count(DISTINCT session_id) AS sessions,
    count(*) FILTER (status = 'ok') AS ok,
    count(*) FILTER (status = 'error') AS errors,
    count(*) FILTER (status = 'incomplete') AS incomplete,
    count(*) FILTER (status = 'running') AS running,
    TRY_CAST(sum(input_tokens) AS BIGINT) AS input_tokens,
    TRY_CAST(sum(output_tokens) AS BIGINT) AS output_tokens,
    TRY_CAST(sum(cache_read_tokens) AS BIGINT) AS cache_read_tokens,
    TRY_CAST(sum(cache_write_tokens) AS BIGINT) AS cache_write_tokens,
    TRY_CAST(sum(reasoning_tokens) AS BIGINT) AS reasoning_tokens,
    TRY_CAST(sum(request_bytes) AS BIGINT) AS request_bytes,
    TRY_CAST(sum(response_bytes) AS BIGINT) AS response_bytes,
    TRY_CAST(sum(lost_bytes) AS BIGINT) AS lost_bytes,
    min(started_at) AS first_started_at,
    max(coalesce(ended_at, started_at)) AS last_at,
    count(*) FILTER (usage_source IN ('estimated', 'output_estimated')) AS estimated_calls,
    count(retry_of) AS retries
FROM calls
WHERE ($since_ns::BIGINT IS NULL OR started_at >= make_timestamptz($since_ns::BIGINT // 1000))
  AND ($session::TEXT IS NULL OR session_id = $session)
