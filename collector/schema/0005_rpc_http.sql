-- JSON-RPC and A2A over HTTP; who speaks; calls, each request with its answer.

ALTER TABLE rpc_channel ALTER COLUMN inode DROP NOT NULL;
ALTER TABLE rpc_channel ADD COLUMN protocol TEXT;
ALTER TABLE rpc_channel ADD COLUMN protocol_version TEXT;
ALTER TABLE rpc_channel ADD COLUMN server_name TEXT;
ALTER TABLE rpc_channel ADD COLUMN server_version TEXT;
ALTER TABLE rpc_channel ADD COLUMN server_skills BIGINT;
ALTER TABLE rpc_channel ADD COLUMN client_name TEXT;
ALTER TABLE rpc_channel ADD COLUMN client_version TEXT;
ALTER TABLE rpc_channel ADD COLUMN url TEXT;
ALTER TABLE rpc_channel ADD COLUMN mcp_session TEXT;

ALTER TABLE rpc_message ADD COLUMN position BIGINT;
ALTER TABLE rpc_message ADD COLUMN error_code BIGINT;
ALTER TABLE rpc_message ADD COLUMN error_message TEXT;
ALTER TABLE rpc_message ADD COLUMN task_id TEXT;
ALTER TABLE rpc_message ADD COLUMN task_state TEXT;
ALTER TABLE rpc_message ADD COLUMN context_id TEXT;
ALTER TABLE rpc_message ADD COLUMN result_type TEXT;
ALTER TABLE rpc_message ADD COLUMN http_status BIGINT;
ALTER TABLE rpc_message ADD COLUMN cancelled BOOLEAN DEFAULT FALSE;

CREATE OR REPLACE VIEW rpc_messages AS
WITH answer AS (
    -- A stream may hold many answers to one request: the last one ends it.
    SELECT *, count(*) OVER every AS answer_count, sum(size_bytes) OVER every AS answer_bytes
    FROM rpc_message
    WHERE answers IS NOT NULL
    WINDOW every AS (PARTITION BY answers)
    QUALIFY row_number() OVER (
        PARTITION BY answers ORDER BY ended_ns DESC, position DESC, message_id
    ) = 1
)
SELECT
    message.capture_id, message.message_id,
    make_timestamptz(message.started_ns // 1000) AS started_at,
    make_timestamptz(message.ended_ns // 1000) AS ended_at,
    channel.writer_pid,
    make_timestamptz(channel.writer_started_ns // 1000) AS writer_started_at,
    channel.writer_comm,
    channel.reader_pid,
    make_timestamptz(channel.reader_started_ns // 1000) AS reader_started_at,
    channel.reader_comm,
    CASE channel.sender WHEN 'client' THEN 'to_server' WHEN 'server' THEN 'to_client' END
        AS direction,
    message.channel_id, channel.transport,
    message.kind,
    TRY_CAST(message.rpc_id AS JSON) AS rpc_id,
    message.method, message.tool,
    CASE
        WHEN message.kind IN ('response', 'error')
            THEN CASE WHEN message.is_error THEN 'error' ELSE 'ok' END
        WHEN message.kind = 'request' THEN CASE
            WHEN message.cancelled THEN 'cancelled'
            WHEN answer.is_error THEN 'error'
            WHEN answer.message_id IS NOT NULL THEN 'ok'
            WHEN message.http_status >= 400 THEN 'error'
            WHEN message.http_status >= 300 THEN 'redirected'
            ELSE 'open'
        END
    END AS status,
    message.answers, answer.message_id AS answered_by,
    CASE
        WHEN answer.ended_ns >= message.started_ns
            THEN (answer.ended_ns - message.started_ns) / 1e6
        WHEN message.ended_ns >= request.started_ns
            THEN (message.ended_ns - request.started_ns) / 1e6
    END AS duration_ms,
    message.size_bytes, message.truncated, message.batch_index,
    message.content_hash,
    TRY_CAST(content.body AS JSON) AS body,
    channel.writer_process, channel.reader_process,
    channel.protocol, channel.protocol_version,
    channel.server_name, channel.server_version, channel.url,
    message.http_status, message.error_code, message.error_message,
    message.task_id, message.task_state, message.context_id, message.result_type,
    message.position
FROM rpc_message AS message
LEFT JOIN rpc_channel AS channel USING (channel_id)
LEFT JOIN rpc_message AS request ON request.message_id = message.answers
LEFT JOIN answer ON answer.answers = message.message_id
LEFT JOIN content ON content.content_hash = message.content_hash;

CREATE VIEW rpc_calls AS
WITH answer AS (
    -- A stream may hold many answers to one request: the last one ends it.
    SELECT *, count(*) OVER every AS answer_count, sum(size_bytes) OVER every AS answer_bytes
    FROM rpc_message
    WHERE answers IS NOT NULL
    WINDOW every AS (PARTITION BY answers)
    QUALIFY row_number() OVER (
        PARTITION BY answers ORDER BY ended_ns DESC, position DESC, message_id
    ) = 1
),
program AS (
    -- A process that executed another program has a longer key, which begins the same.
    SELECT
        regexp_extract(process_key, '^[^:]*:[^:]*:[^:]*') AS process,
        any_value(session_id) AS session_id
    FROM process
    WHERE session_id IS NOT NULL
    GROUP BY 1
)
SELECT
    request.capture_id, request.message_id,
    make_timestamptz(request.started_ns // 1000) AS started_at,
    make_timestamptz(answer.ended_ns // 1000) AS ended_at,
    CASE WHEN answer.ended_ns >= request.started_ns
        THEN (answer.ended_ns - request.started_ns) / 1e6
    END AS duration_ms,
    CASE
        WHEN request.cancelled THEN 'cancelled'
        WHEN answer.is_error THEN 'error'
        WHEN answer.message_id IS NOT NULL THEN 'ok'
        WHEN request.http_status >= 400 THEN 'error'
        WHEN request.http_status >= 300 THEN 'redirected'
        ELSE 'open'
    END AS status,
    channel.protocol, channel.protocol_version, channel.transport,
    CASE WHEN channel.sender = 'server' THEN channel.reader_pid ELSE channel.writer_pid END
        AS client_pid,
    CASE WHEN channel.sender = 'server' THEN channel.reader_comm ELSE channel.writer_comm END
        AS client_comm,
    channel.client_name, channel.client_version,
    CASE WHEN channel.sender = 'server' THEN channel.writer_pid ELSE channel.reader_pid END
        AS server_pid,
    channel.server_name, channel.server_version, channel.server_skills,
    channel.url, channel.mcp_session,
    CASE channel.sender WHEN 'client' THEN 'to_server' WHEN 'server' THEN 'to_client' END
        AS direction,
    request.method, request.tool,
    answer.kind = 'response' AND answer.is_error AS is_tool_error,
    answer.error_code, answer.error_message,
    coalesce(answer.http_status, request.http_status) AS http_status,
    coalesce(answer.task_id, request.task_id) AS task_id,
    answer.task_state,
    coalesce(answer.context_id, request.context_id) AS context_id,
    answer.result_type,
    TRY_CAST(request.rpc_id AS JSON) AS rpc_id,
    answer.message_id AS answered_by,
    coalesce(answer.answer_count, 0) AS answer_count,
    request.size_bytes AS request_bytes,
    TRY_CAST(answer.answer_bytes AS BIGINT) AS answer_bytes,
    TRY_CAST(asked.body AS JSON) AS request_body,
    TRY_CAST(answered.body AS JSON) AS answer_body,
    request.channel_id,
    program.session_id
FROM rpc_message AS request
LEFT JOIN answer ON answer.answers = request.message_id
LEFT JOIN rpc_channel AS channel ON channel.channel_id = request.channel_id
LEFT JOIN content AS asked ON asked.content_hash = request.content_hash
LEFT JOIN content AS answered ON answered.content_hash = answer.content_hash
LEFT JOIN program ON program.process = regexp_extract(
    CASE WHEN channel.sender = 'server' THEN channel.reader_process
        ELSE channel.writer_process END,
    '^[^:]*:[^:]*:[^:]*'
)
WHERE request.kind = 'request';
