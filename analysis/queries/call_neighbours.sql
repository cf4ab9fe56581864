-- The calls of the same session before and after one; and the latest before it whose whole list
-- its own goes on from ($nodes: the nodes of its list).
WITH own AS (
    SELECT call_id, session_id, started_ns FROM llm_call WHERE call_id = $call_id
),
before AS (
    SELECT llm_call.call_id, llm_call.started_ns, llm_call.input_node
    FROM llm_call
    JOIN own ON llm_call.session_id = own.session_id
    WHERE (llm_call.started_ns, llm_call.call_id) < (own.started_ns, own.call_id)
),
after AS (
    SELECT llm_call.call_id, llm_call.started_ns
    FROM llm_call
    JOIN own ON llm_call.session_id = own.session_id
    WHERE (llm_call.started_ns, llm_call.call_id) > (own.started_ns, own.call_id)
)
SELECT
    (SELECT max_by(call_id, (started_ns, call_id)) FROM before),
    (SELECT min_by(call_id, (started_ns, call_id)) FROM after),
    (
        SELECT max_by(call_id, (started_ns, call_id)) FROM before
        WHERE input_node IN (SELECT unnest($nodes::TEXT[]))
    )
