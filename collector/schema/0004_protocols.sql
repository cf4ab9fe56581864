-- What carried a call, what kind of call it is, and where its numbers come from.

ALTER TABLE llm_call ADD COLUMN capture_id TEXT;
ALTER TABLE llm_call ADD COLUMN operation TEXT DEFAULT 'chat';
ALTER TABLE llm_call ADD COLUMN protocol TEXT;
ALTER TABLE llm_call ADD COLUMN usage_source TEXT;
ALTER TABLE llm_call ADD COLUMN attempt BIGINT;
ALTER TABLE llm_call ADD COLUMN service_tier TEXT;
ALTER TABLE llm_call ADD COLUMN initiator TEXT;
ALTER TABLE llm_call ADD COLUMN retry_after_s DOUBLE;

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
    tls_stack, local_address, remote_address,
    capture_id, operation, protocol, usage_source, attempt, service_tier, initiator, retry_after_s
FROM llm_call;
