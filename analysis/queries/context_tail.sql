-- As context.sql, the last $most requests of the session only; with the model of each and how many
-- requests there are in all.
WITH own AS (
    SELECT *, count(*) OVER () AS requests
    FROM context_use
    WHERE session_id = $session
    ORDER BY position DESC
    LIMIT $most::BIGINT
),
timed AS (
    SELECT own.*, turn_time.turn
    FROM own
    ASOF LEFT JOIN turn_time
        ON own.session_id = turn_time.session_id AND own.at_ns >= turn_time.first_ns
)
SELECT
    timed.* EXCLUDE (parts, at_ns),
    make_timestamptz(at_ns // 1000) AS started_at,
    parts::JSON AS parts,
    llm_call.model AS answered, request_model, provider, host, llm_call.agent,
    usage_source = 'estimated' AS estimated
FROM timed
LEFT JOIN llm_call
    ON llm_call.call_id = timed.call_id AND llm_call.started_ns = timed.at_ns
ORDER BY position
