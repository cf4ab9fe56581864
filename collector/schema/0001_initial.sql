-- Tables hold what was captured, one row per thing, times in nanoseconds since the epoch (UTC).
-- Views are the contract: docs/tables.md names every column. Keys are held unique by the one
-- writer (collector/tables.py): a DuckDB index costs four times the keys that it holds.

CREATE TABLE capture (
    capture_id TEXT NOT NULL,
    started_ns BIGINT NOT NULL,
    ended_ns BIGINT,
    command TEXT NOT NULL,
    version TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    kernel TEXT NOT NULL
);

CREATE TABLE session (
    session_id TEXT NOT NULL,
    confidence TEXT NOT NULL,
    agent TEXT,
    agent_version TEXT,
    parent_session_id TEXT,
    root_pid BIGINT,
    started_ns BIGINT NOT NULL
);

CREATE TABLE llm_call (
    call_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    agent TEXT,
    agent_version TEXT,
    pid BIGINT NOT NULL,
    comm TEXT,
    provider TEXT NOT NULL,
    api TEXT NOT NULL,
    model TEXT,
    request_model TEXT,
    host TEXT,
    started_ns BIGINT NOT NULL,
    first_byte_ns BIGINT,
    first_token_ns BIGINT,
    ended_ns BIGINT,
    status TEXT NOT NULL,
    http_status BIGINT,
    error_type TEXT,
    error_message TEXT,
    stream BOOLEAN NOT NULL,
    complete BOOLEAN NOT NULL,
    input_tokens BIGINT,
    output_tokens BIGINT,
    cache_read_tokens BIGINT,
    cache_write_tokens BIGINT,
    reasoning_tokens BIGINT,
    cost_usd DOUBLE,
    cost_source TEXT,
    finish_reason TEXT,
    tool_call_count BIGINT NOT NULL,
    request_bytes BIGINT NOT NULL,
    response_bytes BIGINT,
    lost_bytes BIGINT NOT NULL,
    response_id TEXT,
    provider_request_id TEXT,
    retry_of TEXT,
    credential TEXT,
    params TEXT,
    rate_limits TEXT,
    input_node TEXT,
    output_node TEXT,
    tool_set TEXT
);

CREATE TABLE chunk_timing (
    call_id TEXT NOT NULL,
    chunk_ns BIGINT[] NOT NULL
);

CREATE TABLE tool_call (
    tool_call_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    name TEXT NOT NULL,
    arguments TEXT,
    arguments_hash TEXT NOT NULL,
    result_preview TEXT,
    result_hash TEXT,
    is_error BOOLEAN,
    requested_ns BIGINT NOT NULL,
    result_ns BIGINT,
    result_call_id TEXT
);

CREATE TABLE process (
    process_key TEXT NOT NULL,
    pid BIGINT NOT NULL,
    ppid BIGINT,
    started_ns BIGINT,
    ended_ns BIGINT,
    comm TEXT,
    exe TEXT,
    argv TEXT[] NOT NULL,
    cwd TEXT,
    uid BIGINT,
    cgroup_id BIGINT,
    exit_code BIGINT,
    signal BIGINT,
    session_id TEXT,
    argv_truncated BOOLEAN NOT NULL
);

CREATE TABLE content (
    content_hash TEXT NOT NULL,
    kind TEXT NOT NULL,
    role TEXT,
    size_bytes BIGINT NOT NULL,
    body TEXT USING COMPRESSION zstd
);

CREATE TABLE message_node (
    node TEXT NOT NULL,
    parent_node TEXT,
    position BIGINT NOT NULL,
    content_hash TEXT NOT NULL
);

CREATE TABLE tool_set_member (
    tool_set TEXT NOT NULL,
    position BIGINT NOT NULL,
    content_hash TEXT NOT NULL
);

CREATE TABLE health_counter (
    capture_id TEXT NOT NULL,
    source TEXT NOT NULL,
    counter TEXT NOT NULL,
    cause TEXT NOT NULL,
    value BIGINT NOT NULL
);

CREATE TABLE tls_library (
    capture_id TEXT NOT NULL,
    path TEXT NOT NULL,
    build_id TEXT NOT NULL,
    stack TEXT NOT NULL,
    status TEXT NOT NULL,
    detail TEXT NOT NULL,
    pids BIGINT[] NOT NULL
);

CREATE VIEW calls AS
SELECT
    call_id, session_id, agent, pid, comm, provider, api, model, request_model, host,
    make_timestamptz(started_ns // 1000) AS started_at,
    (ended_ns - started_ns) / 1e6 AS duration_ms,
    CASE WHEN stream THEN (first_token_ns - started_ns) / 1e6 END AS ttft_ms,
    status, error_type, stream, complete,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,
    cost_usd, cost_source, finish_reason, tool_call_count,
    request_bytes, response_bytes, lost_bytes,
    make_timestamptz(ended_ns // 1000) AS ended_at,
    (first_byte_ns - started_ns) / 1e6 AS first_byte_ms,
    http_status, error_message, agent_version, response_id, provider_request_id, retry_of,
    credential,
    TRY_CAST(params AS JSON) AS params,
    TRY_CAST(rate_limits AS JSON) AS rate_limits
FROM llm_call;

CREATE VIEW chunks AS
SELECT call_id, list_transform(chunk_ns, lambda ns: ns / 1e6) AS chunk_ms
FROM chunk_timing;

CREATE VIEW tools AS
SELECT
    tool_call_id, session_id, call_id, name,
    CASE WHEN json_valid(arguments) THEN arguments::JSON ELSE to_json(arguments) END AS arguments,
    result_preview, is_error,
    make_timestamptz(requested_ns // 1000) AS requested_at,
    make_timestamptz(result_ns // 1000) AS result_at,
    (result_ns - requested_ns) / 1e6 AS duration_ms,
    arguments_hash, result_hash, result_call_id
FROM tool_call;

CREATE VIEW processes AS
SELECT
    pid, ppid,
    make_timestamptz(started_ns // 1000) AS started_at,
    make_timestamptz(ended_ns // 1000) AS ended_at,
    exe, argv, cwd, exit_code, signal, session_id,
    comm, uid, cgroup_id, argv_truncated, process_key
FROM process;

CREATE VIEW sessions AS
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
        count(*) FILTER (status = 'running') AS running_calls
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
    session.confidence, session.parent_session_id
FROM session
LEFT JOIN spent USING (session_id)
LEFT JOIN used USING (session_id);

CREATE VIEW health AS
SELECT source, counter, cause, TRY_CAST(sum(value) AS BIGINT) AS value
FROM health_counter
GROUP BY source, counter, cause;

CREATE VIEW coverage AS
SELECT capture_id, path, nullif(build_id, '') AS build_id, stack, status, detail, pids
FROM tls_library;

CREATE VIEW captures AS
SELECT
    capture_id,
    make_timestamptz(started_ns // 1000) AS started_at,
    make_timestamptz(ended_ns // 1000) AS ended_at,
    command, version, boot_id, kernel
FROM capture;

CREATE VIEW messages AS
WITH RECURSIVE chain AS (
    SELECT call_id, node.parent_node, node.position, node.content_hash
    FROM llm_call JOIN message_node AS node ON node.node = coalesce(output_node, input_node)
    UNION ALL
    SELECT chain.call_id, node.parent_node, node.position, node.content_hash
    FROM chain JOIN message_node AS node ON node.node = chain.parent_node
)
SELECT
    chain.call_id, chain.position, content.role, content.kind,
    TRY_CAST(content.body AS JSON) AS body,
    CASE WHEN sent.position >= chain.position THEN 'input' ELSE 'output' END AS side,
    content.size_bytes, chain.content_hash
FROM chain
JOIN llm_call USING (call_id)
LEFT JOIN message_node AS sent ON sent.node = llm_call.input_node
LEFT JOIN content ON content.content_hash = chain.content_hash;
