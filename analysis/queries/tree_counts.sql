-- What programs touched, for the activity tree: a row for each process of which anything is known.
-- $keys: the programs, $nodes: the process of each; $since_ns: when the first of them began.
WITH wanted AS (SELECT unnest($keys::TEXT[]) AS process_key, unnest($nodes::TEXT[]) AS node)
SELECT
    node,
    count(*) FILTER (is_file)::BIGINT AS files,
    count(*) FILTER (NOT is_file)::BIGINT AS connections,
    count(*) FILTER (sensitive IS NOT NULL)::BIGINT AS sensitive
FROM (
    SELECT process_key, TRUE AS is_file, sensitive FROM file_event WHERE last_ns >= $since_ns
    UNION ALL
    SELECT process_key, FALSE, NULL FROM network_event WHERE last_ns >= $since_ns
)
JOIN wanted USING (process_key)
GROUP BY node
