-- analysis.steps.CallStep, in the order of its fields, then the leaf of the call's message list.
-- $session: or NULL for all.
SELECT
    call_id, session_id, coalesce(model, request_model), started_ns, input_tokens, output_tokens,
    input_node
FROM llm_call
WHERE ($session::TEXT IS NULL OR session_id = $session)
ORDER BY started_ns, call_id
