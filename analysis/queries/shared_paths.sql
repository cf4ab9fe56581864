-- Paths to which processes of more than one session did something, one of them at least changed
-- or locked something there, also under another name of the same file (device and inode; a number
-- that a later file has got, too, does no harm here); the busiest when there are very many.
WITH touched AS (
    SELECT
        path, new_path, session_id, device, inode,
        operation <> 'open' OR access IN ('write', 'read_write') AS changes,
        coalesce(error = 'EEXIST', FALSE) AS locks
    FROM file_event
    JOIN process USING (process_key)
    WHERE session_id IS NOT NULL
),
named AS (
    SELECT path, session_id, changes OR locks AS matters FROM touched
    UNION ALL
    SELECT new_path, session_id, changes OR locks FROM touched WHERE new_path IS NOT NULL
),
shared AS (
    SELECT path, count(*) AS events
    FROM named
    GROUP BY path
    HAVING min(session_id) <> max(session_id) AND bool_or(matters)
    UNION ALL
    SELECT unnest(list(DISTINCT path)), count(*)
    FROM touched
    WHERE device IS NOT NULL AND inode IS NOT NULL
    GROUP BY device, inode
    HAVING min(session_id) <> max(session_id) AND min(path) <> max(path) AND bool_or(changes)
)
SELECT path
FROM shared
GROUP BY path
ORDER BY max(events) DESC, path
LIMIT 5000
