-- JSON-RPC messages. $since_ns: nanoseconds since the epoch, or NULL. $session: or NULL for all.
-- A process that executed another program has a longer key, which begins the same.
WITH members AS (
    SELECT DISTINCT regexp_extract(process_key, '^[^:]*:[^:]*:[^:]*') AS process
    FROM processes
    WHERE session_id = $session
)
SELECT *
FROM rpc_messages
WHERE ($since_ns::BIGINT IS NULL OR started_at >= make_timestamptz($since_ns::BIGINT // 1000))
  AND ($session::TEXT IS NULL
       OR writer_process IN (SELECT process FROM members)
       OR reader_process IN (SELECT process FROM members))
