-- Coverage by process and stack, and how each call was seen.

DROP VIEW coverage;
DROP TABLE tls_library;

CREATE TABLE tls_coverage (
    capture_id TEXT NOT NULL,
    process_key TEXT NOT NULL,
    pid BIGINT NOT NULL,
    started_ns BIGINT,
    program TEXT,
    stack TEXT NOT NULL,
    path TEXT NOT NULL,
    build_id TEXT NOT NULL,
    status TEXT NOT NULL,
    method TEXT NOT NULL,
    detail TEXT NOT NULL,
    read_bytes BIGINT NOT NULL,
    written_bytes BIGINT NOT NULL,
    tls_read_bytes BIGINT NOT NULL,
    tls_written_bytes BIGINT NOT NULL,
    hosts TEXT[] NOT NULL
);

-- A stack that was found later takes the place of "unseen", and the one file of a stack that of
-- the row that knew no file.
CREATE VIEW coverage AS
WITH counted AS (
    SELECT
        *,
        count(*) FILTER (status <> 'unseen') OVER (PARTITION BY capture_id, process_key) AS known,
        count(*) FILTER (path <> '') OVER (PARTITION BY capture_id, process_key, stack) AS files
    FROM tls_coverage
)
SELECT
    capture_id, pid, program, stack, status,
    nullif(path, '') AS path,
    nullif(method, '') AS method,
    detail, read_bytes, written_bytes, tls_read_bytes, tls_written_bytes, hosts,
    nullif(build_id, '') AS build_id,
    make_timestamptz(started_ns // 1000) AS started_at,
    process_key,
    CASE
        WHEN status = 'unseen' THEN 1
        WHEN status IN ('not_hooked', 'rejected') THEN 2
        WHEN detail LIKE '%bytes of TLS records and no plaintext%' THEN 3
        WHEN status = 'on_trial' THEN 4
        ELSE 5
    END AS rank
FROM counted
WHERE path <> '' OR (status = 'unseen' AND known = 0) OR (status <> 'unseen' AND files <> 1);

ALTER TABLE llm_call ADD COLUMN tls_stack TEXT;
ALTER TABLE llm_call ADD COLUMN local_address TEXT;
ALTER TABLE llm_call ADD COLUMN remote_address TEXT;

CREATE OR REPLACE VIEW calls AS
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
    TRY_CAST(rate_limits AS JSON) AS rate_limits,
    tls_stack, local_address, remote_address
FROM llm_call;
