-- How full the contexts of sessions are: of each its last request whose list is known, its fullest
-- one, its compactions, and how much of all was sent before. $since_ns: nanoseconds since the
-- epoch, or NULL.
WITH used AS (
    SELECT
        session_id,
        count(*) AS requests,
        max(at_ns) AS last_ns,
        arg_max(messages, position) AS messages,
        arg_max(total_bytes, position) AS total_bytes,
        max(total_bytes) AS peak_bytes,
        arg_max(input_tokens, position) AS input_tokens,
        max(input_tokens) AS peak_tokens,
        arg_max(system_bytes + tool_schema_bytes, position) AS fixed_bytes,
        arg_max(tool_result_bytes, position) AS tool_result_bytes,
        sum(resent_bytes) / nullif(sum(total_bytes), 0) AS resent_share,
        count(*) FILTER (compaction IN ('after', 'generic')) AS compactions,
        TRY_CAST(sum(dropped_bytes) AS BIGINT) AS dropped_bytes
    FROM context_use
    WHERE ($since_ns::BIGINT IS NULL OR at_ns >= $since_ns::BIGINT)
    GROUP BY session_id
)
SELECT
    session_id, session.agent, make_timestamptz(last_ns // 1000) AS last_at,
    requests, messages, total_bytes, peak_bytes, input_tokens, peak_tokens, fixed_bytes,
    tool_result_bytes, resent_share, compactions, dropped_bytes
FROM used
LEFT JOIN session USING (session_id)
