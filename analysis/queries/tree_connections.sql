-- Connections for the activity tree: where processes connected to, equal ones together, at most
-- $many of a process. Parameters as in tree_files.
WITH wanted AS (SELECT unnest($keys::TEXT[]) AS process_key, unnest($nodes::TEXT[]) AS node),
named AS (
    SELECT action_id AS network_event_id, call_id || ' ' || tool_call_id AS node, how, confidence
    FROM tool_action
    WHERE kind = 'connection' AND how <> 'descendant' AND session_id IN ({sessions})
        AND call_id || ' ' || tool_call_id IN (SELECT unnest($tools::TEXT[]))
),
done AS (
    SELECT node, NULL AS how, NULL AS confidence, event.*
    FROM network_event AS event JOIN wanted USING (process_key)
    WHERE last_ns >= $since_ns
    UNION ALL
    SELECT node, how, confidence, event.*
    FROM network_event AS event JOIN named USING (network_event_id)
),
together AS (
    SELECT
        node, transport, address, port, name, error,
        min(how) AS how, min(confidence) AS confidence, min(network_event_id) AS id,
        sum(count)::BIGINT AS times, min(first_ns) AS first_ns, max(last_ns) AS last_ns,
        any_value(pid) AS pid,
        lower(concat_ws(' ', 'connect', name, address, port, transport, error)) AS said
    FROM done
    GROUP BY node, transport, address, port, name, error
),
numbered AS (
    SELECT
        *, count(*) OVER (PARTITION BY node) AS alike,
        row_number() OVER (PARTITION BY node ORDER BY name IS NULL, first_ns, id) AS ordinal
    FROM together
    WHERE {where}
)
SELECT
    node, transport, address, port, name, error, how, confidence, id, times, first_ns, last_ns,
    pid, alike
FROM numbered
WHERE ordinal <= $many
ORDER BY node, first_ns, id
LIMIT $limit
