-- analysis.steps.ConnectionStep, in the order of its fields. $sessions: a list.
SELECT
    network_event_id, process_key, pid, of_session.session_id, first_ns, last_ns, count,
    transport, address, port, name, name_source, error
FROM network_event
JOIN (
    SELECT process_key, any_value(session_id) AS session_id FROM process
    WHERE session_id IN (SELECT unnest($sessions::TEXT[]))
    GROUP BY process_key
) AS of_session USING (process_key)
ORDER BY first_ns, network_event_id
