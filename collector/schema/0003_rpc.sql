-- JSON-RPC between processes: MCP servers over stdio.

CREATE TABLE rpc_channel (
    channel_id TEXT NOT NULL,
    capture_id TEXT NOT NULL,
    inode BIGINT NOT NULL,
    transport TEXT,
    writer_pid BIGINT,
    writer_process TEXT,
    writer_started_ns BIGINT,
    writer_comm TEXT,
    reader_pid BIGINT,
    reader_process TEXT,
    reader_started_ns BIGINT,
    reader_comm TEXT,
    sender TEXT
);

CREATE TABLE rpc_message (
    message_id TEXT NOT NULL,
    capture_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    started_ns BIGINT NOT NULL,
    ended_ns BIGINT NOT NULL,
    kind TEXT NOT NULL,
    rpc_id TEXT,
    method TEXT,
    tool TEXT,
    is_error BOOLEAN,
    answers TEXT,
    size_bytes BIGINT NOT NULL,
    truncated BOOLEAN NOT NULL,
    batch_index BIGINT,
    content_hash TEXT
);

CREATE VIEW rpc_messages AS
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
        WHEN message.kind = 'request' THEN
            CASE answer.is_error WHEN TRUE THEN 'error' WHEN FALSE THEN 'ok' ELSE 'open' END
    END AS status,
    message.answers, answer.message_id AS answered_by,
    CASE WHEN answer.ended_ns >= message.started_ns THEN (answer.ended_ns - message.started_ns) / 1e6
         WHEN message.ended_ns >= request.started_ns THEN (message.ended_ns - request.started_ns) / 1e6
    END AS duration_ms,
    message.size_bytes, message.truncated, message.batch_index,
    message.content_hash,
    TRY_CAST(content.body AS JSON) AS body,
    channel.writer_process, channel.reader_process
FROM rpc_message AS message
LEFT JOIN rpc_channel AS channel USING (channel_id)
LEFT JOIN rpc_message AS request ON request.message_id = message.answers
LEFT JOIN rpc_message AS answer ON answer.answers = message.message_id
LEFT JOIN content ON content.content_hash = message.content_hash;
