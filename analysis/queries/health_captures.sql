-- The latest $limit captures with what each says of itself, and how many there are in all.
WITH counted AS (
    SELECT
        capture_id,
        max(value) FILTER (counter = 'attached_probes') AS attached,
        sum(value) FILTER (counter = 'captured_events')::BIGINT AS events
    FROM health_counter
    GROUP BY capture_id
)
SELECT
    capture_id, started_at, ended_at, command, version, raw_state, attached, events,
    count(*) OVER () AS total
FROM captures
LEFT JOIN counted USING (capture_id)
ORDER BY started_at DESC, capture_id
LIMIT $limit
