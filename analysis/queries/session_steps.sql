-- analysis.steps.SessionStep, in the order of its fields: the sessions, with all that descend from
-- the same first session. $sessions: a list.
WITH RECURSIVE above AS (
    SELECT session_id, parent_session_id FROM session
    WHERE session_id IN (SELECT unnest($sessions::TEXT[]))
    UNION
    SELECT parent.session_id, parent.parent_session_id
    FROM above JOIN session AS parent ON parent.session_id = above.parent_session_id
),
below AS (
    SELECT session_id FROM above
    UNION
    SELECT child.session_id
    FROM below JOIN session AS child ON child.parent_session_id = below.session_id
)
SELECT
    session_id, confidence, agent, agent_version, parent_session_id, root_pid, started_ns
FROM session
WHERE session_id IN (FROM below)
ORDER BY started_ns, session_id
