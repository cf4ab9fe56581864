-- The message list of one call: from its leaf node through the parents, in order.
WITH RECURSIVE call AS (
    SELECT input_node, coalesce(output_node, input_node) AS leaf
    FROM llm_call
    WHERE call_id = $call_id
),
chain AS (
    SELECT node.parent_node, node.position, node.content_hash
    FROM call JOIN message_node AS node ON node.node = call.leaf
    UNION ALL
    SELECT node.parent_node, node.position, node.content_hash
    FROM chain JOIN message_node AS node ON node.node = chain.parent_node
),
sent AS (
    SELECT max(position) AS position
    FROM message_node
    WHERE node = (SELECT input_node FROM call)
)
SELECT
    chain.position,
    CASE WHEN chain.position <= sent.position THEN 'input' ELSE 'output' END AS side,
    content.kind, content.role, content.size_bytes, chain.content_hash, content.body
FROM chain
CROSS JOIN sent
LEFT JOIN content USING (content_hash)
ORDER BY chain.position
