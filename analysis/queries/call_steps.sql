-- analysis.steps.CallStep, in the order of its fields. $sessions: a list; $since_ns: when the
-- first of them began, so that older parts of the table are passed over.
SELECT
    call_id, session_id, coalesce(model, request_model), started_ns, input_tokens, output_tokens,
    provider, status, first_byte_ns, first_token_ns, ended_ns, http_status, error_type,
    error_message, finish_reason, stream, cache_read_tokens, cache_write_tokens,
    reasoning_tokens, cost_usd, tool_call_count, request_bytes, response_bytes, lost_bytes,
    retry_of, retry_after_s, operation, agent, pid, input_node, output_node, tool_set,
    request_model
FROM llm_call
WHERE session_id IN (SELECT unnest($sessions::TEXT[])) AND started_ns >= $since_ns
ORDER BY started_ns, call_id
