-- Every message of the sessions' requests as a link to the one before; `body` only of users'
-- messages. $session: or NULL for all.
WITH RECURSIVE sent AS (
    SELECT input_node AS node
    FROM llm_call
    WHERE ($session::TEXT IS NULL OR session_id = $session) AND input_node IS NOT NULL
    UNION
    SELECT link.parent_node
    FROM sent JOIN message_node AS link USING (node)
    WHERE link.parent_node IS NOT NULL
)
SELECT
    link.node, link.parent_node, link.position,
    CASE WHEN content.role = 'user' THEN content.body END AS body
FROM sent
JOIN message_node AS link USING (node)
LEFT JOIN content USING (content_hash)
