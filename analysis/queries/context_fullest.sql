-- How full contexts are, and which model had the last request of each: the $most sessions whose
-- messages were known last.
WITH latest AS (
    SELECT session_id, max(at_ns) AS last_ns
    FROM context_use
    GROUP BY session_id
    ORDER BY last_ns DESC, session_id
    LIMIT $most::BIGINT
),
used AS (
    SELECT
        session_id,
        count(*) AS requests,
        max(at_ns) AS last_ns,
        arg_max(call_id, position) AS call_id,
        arg_max(total_bytes, position) AS total_bytes,
        arg_max(input_tokens, position) AS input_tokens,
        max(input_tokens) AS peak_tokens,
        arg_max(system_bytes + tool_schema_bytes, position) AS fixed_bytes,
        arg_max(tool_result_bytes, position) AS tool_result_bytes,
        sum(resent_bytes) / nullif(sum(total_bytes), 0) AS resent_share,
        count(*) FILTER (compaction IN ('after', 'generic')) AS compactions
    FROM context_use
    WHERE session_id IN (SELECT session_id FROM latest)
    GROUP BY session_id
)
SELECT
    used.* EXCLUDE (call_id, last_ns),
    make_timestamptz(last_ns // 1000) AS last_at,
    coalesce(session.agent, llm_call.agent) AS agent,
    coalesce(llm_call.model, llm_call.request_model) AS model,
    llm_call.model AS answered, request_model, provider, host,
    usage_source = 'estimated' AS estimated
FROM used
LEFT JOIN session USING (session_id)
LEFT JOIN llm_call ON llm_call.call_id = used.call_id
