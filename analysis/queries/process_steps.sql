-- analysis.steps.ProcessStep, in the order of its fields: processes of the sessions, their
-- parents, and children of them that are of no session. $sessions: a list.
WITH own AS (
    SELECT * FROM process WHERE session_id IN (SELECT unnest($sessions::TEXT[]))
),
related AS (
    SELECT * FROM process
    WHERE (pid IN (SELECT ppid FROM own) OR session_id IS NULL AND ppid IN (SELECT pid FROM own))
        AND process_key NOT IN (SELECT process_key FROM own)
)
SELECT
    process_key, pid, ppid, argv, exe, uid, started_ns, session_id, ended_ns, cwd, exit_code,
    signal, comm
FROM (FROM own UNION ALL FROM related)
ORDER BY started_ns NULLS FIRST, process_key
