-- Requests to providers that infer nothing; rate limits as rows; estimated calls of a session.

CREATE TABLE provider_request (
    request_id TEXT NOT NULL,
    capture_id TEXT NOT NULL,
    session_id TEXT,
    pid BIGINT NOT NULL,
    comm TEXT,
    agent TEXT,
    agent_version TEXT,
    provider TEXT NOT NULL,
    host TEXT,
    kind TEXT NOT NULL,
    model TEXT,
    started_ns BIGINT NOT NULL,
    ended_ns BIGINT NOT NULL,
    http_status BIGINT,
    status TEXT NOT NULL,
    error_type TEXT,
    error_message TEXT,
    counted_tokens BIGINT,
    item_count BIGINT,
    batch_id TEXT,
    batch_status TEXT,
    request_bytes BIGINT NOT NULL,
    response_bytes BIGINT,
    credential TEXT,
    protocol TEXT NOT NULL
);

CREATE VIEW provider_requests AS
SELECT
    request_id, capture_id, session_id, pid, comm, agent, agent_version, provider, host, kind, model,
    make_timestamptz(started_ns // 1000) AS started_at,
    (ended_ns - started_ns) / 1e6 AS duration_ms,
    http_status, status, error_type, error_message, counted_tokens, item_count,
    batch_id, batch_status, request_bytes, response_bytes, credential, protocol
FROM provider_request;

CREATE VIEW rate_limits AS
WITH told AS (
    SELECT
        call_id, started_ns, provider, credential,
        unnest(CAST(json_extract(TRY_CAST(rate_limits AS JSON), '$.limits[*]') AS JSON[])) AS one
    FROM llm_call
    WHERE rate_limits IS NOT NULL
)
SELECT
    call_id,
    make_timestamptz(started_ns // 1000) AS started_at,
    provider, credential,
    one ->> 'name' AS name,
    TRY_CAST(one ->> 'limit' AS DOUBLE) AS "limit",
    TRY_CAST(one ->> 'remaining' AS DOUBLE) AS remaining,
    TRY_CAST(one ->> 'used_percent' AS DOUBLE) AS used_percent,
    make_timestamptz(TRY_CAST(TRY_CAST(one ->> 'reset_at' AS DOUBLE) * 1e6 AS BIGINT)) AS reset_at,
    TRY_CAST(one ->> 'window_s' AS DOUBLE) AS window_s
FROM told;

CREATE OR REPLACE VIEW sessions AS
WITH spent AS (
    SELECT
        session_id,
        any_value(agent) AS agent,
        any_value(agent_version) AS agent_version,
        count(*) AS calls,
        CASE WHEN count(*) = count(ended_ns) THEN max(ended_ns) END AS ended_ns,
        TRY_CAST(sum(input_tokens) AS BIGINT) AS input_tokens,
        TRY_CAST(sum(output_tokens) AS BIGINT) AS output_tokens,
        sum(cost_usd) AS cost_usd,
        count(*) FILTER (status = 'error') AS errors,
        count(*) FILTER (cost_usd IS NULL AND status IN ('ok', 'incomplete')) AS unpriced_calls,
        count(*) FILTER (status = 'running') AS running_calls,
        count(*) FILTER (usage_source IN ('estimated', 'output_estimated')) AS estimated_calls
    FROM llm_call
    GROUP BY session_id
),
used AS (
    SELECT session_id, count(*) AS tool_calls FROM tool_call GROUP BY session_id
)
SELECT
    session.session_id,
    coalesce(session.agent, spent.agent) AS agent,
    coalesce(session.agent_version, spent.agent_version) AS agent_version,
    session.root_pid,
    make_timestamptz(session.started_ns // 1000) AS started_at,
    make_timestamptz(spent.ended_ns // 1000) AS ended_at,
    coalesce(spent.calls, 0) AS calls,
    coalesce(used.tool_calls, 0) AS tool_calls,
    spent.input_tokens, spent.output_tokens, spent.cost_usd,
    coalesce(spent.errors, 0) AS errors,
    coalesce(spent.unpriced_calls, 0) AS unpriced_calls,
    coalesce(spent.running_calls, 0) AS running_calls,
    session.confidence, session.parent_session_id,
    coalesce(spent.estimated_calls, 0) AS estimated_calls
FROM session
LEFT JOIN spent USING (session_id)
LEFT JOIN used USING (session_id);
