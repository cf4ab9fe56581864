-- Of sessions that were not analysed: calls and failed calls, as `analysis.outcomes` counts them.
-- $sessions: ids.
SELECT
    session_id, count(*),
    count(*) FILTER (status = 'error' OR (status = 'incomplete' AND lost_bytes = 0))
FROM llm_call
WHERE session_id IN (SELECT unnest($sessions::TEXT[]))
GROUP BY session_id
