-- analysis.steps.FileStep, in the order of its fields: what was done to these paths. $paths: a list.
SELECT
    file_event_id, process_key, file_event.pid, process.session_id, first_ns, last_ns, count,
    operation, access, path, new_path, error, creates, exclusive, truncates, appends, mode,
    sensitive, device, inode
FROM file_event
JOIN process USING (process_key)
WHERE path IN (SELECT unnest($paths::TEXT[])) OR new_path IN (SELECT unnest($paths::TEXT[]))
ORDER BY first_ns, file_event_id
