-- analysis.steps.FileStep, in the order of its fields. $sessions: a list.
SELECT
    file_event_id, process_key, pid, of_session.session_id, first_ns, last_ns, count, operation,
    access, path, new_path, error, creates, exclusive, truncates, appends, mode, sensitive,
    device, inode
FROM file_event
JOIN (
    SELECT process_key, any_value(session_id) AS session_id FROM process
    WHERE session_id IN (SELECT unnest($sessions::TEXT[]))
    GROUP BY process_key
) AS of_session USING (process_key)
ORDER BY first_ns, file_event_id
