-- Requests over JSON-RPC or A2A with their answers. $since_ns: nanoseconds since the
-- epoch, or NULL. $session: or NULL for all; those of its processes, as client or as server.
WITH members AS (
    SELECT DISTINCT regexp_extract(process_key, '^[^:]*:[^:]*:[^:]*') AS process
    FROM processes
    WHERE session_id = $session
),
own AS (
    SELECT DISTINCT channel_id
    FROM rpc_messages
    WHERE writer_process IN (SELECT process FROM members)
       OR reader_process IN (SELECT process FROM members)
)
SELECT *
FROM rpc_calls
WHERE ($since_ns::BIGINT IS NULL OR started_at >= make_timestamptz($since_ns::BIGINT // 1000))
  AND ($session::TEXT IS NULL OR channel_id IN (SELECT channel_id FROM own))
