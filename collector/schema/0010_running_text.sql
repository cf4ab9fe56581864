-- What running calls have said so far. A row is there while its call runs.

CREATE TABLE running_answer (
    call_id TEXT NOT NULL,
    body TEXT,
    output_tokens BIGINT,
    updated_ns BIGINT NOT NULL
);

-- After a crash rows may be left of calls that nobody follows any more.
CREATE VIEW running_text AS
SELECT
    running_answer.call_id, llm_call.session_id,
    make_timestamptz(running_answer.updated_ns // 1000) AS updated_at,
    running_answer.output_tokens,
    running_answer.body::JSON AS body
FROM running_answer
JOIN llm_call USING (call_id)
JOIN capture USING (capture_id)
WHERE llm_call.status = 'running' AND capture.ended_ns IS NULL;
