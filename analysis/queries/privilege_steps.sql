-- analysis.steps.PrivilegeStep, in the order of its fields. $sessions: a list.
SELECT
    privilege_change_id, process_key, pid, of_session.session_id, at_ns, change, error, uid, euid,
    capabilities, detail, target_pid
FROM privilege_change
JOIN (
    SELECT process_key, any_value(session_id) AS session_id FROM process
    WHERE session_id IN (SELECT unnest($sessions::TEXT[]))
    GROUP BY process_key
) AS of_session USING (process_key)
ORDER BY at_ns, privilege_change_id
