-- Paths to which processes of more than one session did something, one of them at least changed
-- or locked something there; the busiest when there are very many.
WITH touched AS (
    SELECT path, session_id, access, operation, error FROM file_event
    JOIN process USING (process_key)
    WHERE session_id IS NOT NULL
    UNION ALL
    SELECT new_path, session_id, access, operation, error FROM file_event
    JOIN process USING (process_key)
    WHERE session_id IS NOT NULL AND new_path IS NOT NULL
)
SELECT path
FROM touched
GROUP BY path
HAVING count(DISTINCT session_id) > 1
    AND bool_or(operation <> 'open' OR access IN ('write', 'read_write') OR error = 'EEXIST')
ORDER BY count(*) DESC, path
LIMIT 5000
