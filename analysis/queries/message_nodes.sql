-- analysis.steps.ContextNode, in the order of its fields: every message of the sessions'
-- requests and answers. $sessions, $since_ns as in call_steps.
WITH RECURSIVE sent AS (
    SELECT unnest([input_node, output_node]) AS node
    FROM llm_call
    WHERE session_id IN (SELECT unnest($sessions::TEXT[])) AND started_ns >= $since_ns
    UNION
    SELECT link.parent_node
    FROM sent JOIN message_node AS link USING (node)
    WHERE link.parent_node IS NOT NULL
)
SELECT
    link.node, link.parent_node, link.position, content.kind, content.role, content.size_bytes,
    content_hash, content.body
FROM sent
JOIN message_node AS link USING (node)
LEFT JOIN content USING (content_hash)
