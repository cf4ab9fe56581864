-- Files for the activity tree: what processes did to a path, equal things together. Of each thing
-- that a process did (read, write, unlink...) there are $few: sensitive ones and failures first,
-- libraries and files that were not there last; of those in $wide (node, a space, what was done)
-- there are $many. $keys: programs, $nodes: the process of each; and, with $tools (call id, a
-- space, tool call id), what these tool calls did through processes of the agent's own. {where}: a
-- condition on `said`; $since_ns: when the first program began.
WITH wanted AS (SELECT unnest($keys::TEXT[]) AS process_key, unnest($nodes::TEXT[]) AS node),
named AS (
    SELECT action_id AS file_event_id, call_id || ' ' || tool_call_id AS node, how, confidence
    FROM tool_action
    WHERE kind = 'file' AND how <> 'descendant' AND session_id IN ({sessions})
        AND call_id || ' ' || tool_call_id IN (SELECT unnest($tools::TEXT[]))
),
done AS (
    SELECT node, NULL AS how, NULL AS confidence, event.*
    FROM file_event AS event JOIN wanted USING (process_key)
    WHERE last_ns >= $since_ns
    UNION ALL
    SELECT node, how, confidence, event.*
    FROM file_event AS event JOIN named USING (file_event_id)
),
together AS (
    SELECT
        node, coalesce(access, operation) AS verb, path, new_path, error, sensitive,
        min(how) AS how, min(confidence) AS confidence, min(file_event_id) AS id,
        sum(count)::BIGINT AS times, min(first_ns) AS first_ns, max(last_ns) AS last_ns,
        any_value(pid) AS pid,
        lower(concat_ws(' ', verb, path, new_path, error, sensitive)) AS said,
        regexp_matches(path, '^/(usr|lib|lib64|proc|sys|dev|nix/store)/|^/etc/ld[.]so|[.]so[.0-9]*$')
            AS usual
    FROM done
    GROUP BY node, verb, path, new_path, error, sensitive
),
numbered AS (
    SELECT
        *, count(*) OVER (PARTITION BY node, verb) AS alike,
        row_number() OVER (
            PARTITION BY node, verb
            ORDER BY
                sensitive IS NULL, coalesce(error = 'ENOENT', FALSE), usual, error IS NULL,
                first_ns, id
        ) AS ordinal
    FROM together
    WHERE {where}
)
SELECT
    node, verb, path, new_path, error, sensitive, how, confidence, id, times, first_ns, last_ns,
    pid, alike
FROM numbered
WHERE ordinal <= $few
    OR (ordinal <= $many AND node || ' ' || verb IN (SELECT unnest($wide::TEXT[])))
ORDER BY node, verb, first_ns, id
LIMIT $limit
