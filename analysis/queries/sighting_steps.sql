-- analysis.steps.SightingStep, in the order of its fields. $sessions: a list.
SELECT
    sighting_id, path, sensitive, read_process_key, read_ns, process_key, pid,
    of_session.session_id, sent_ns, call_id, host, url_path, encoding, matched, known, place
FROM content_sighting
JOIN (
    SELECT process_key, any_value(session_id) AS session_id FROM process
    WHERE session_id IN (SELECT unnest($sessions::TEXT[]))
    GROUP BY process_key
) AS of_session USING (process_key)
ORDER BY sent_ns, sighting_id
