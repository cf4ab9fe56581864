-- The message list of one call: from its leaf node through the parents, in order. Looked for among
-- the nodes that came between $begun_ns and $until_ns first, which is quick; what is older, such as
-- a system prompt that sessions share, among all.
WITH RECURSIVE call AS (
    SELECT input_node, coalesce(output_node, input_node) AS leaf
    FROM llm_call
    WHERE call_id = $call_id
),
near AS MATERIALIZED (
    SELECT node, parent_node, position, content_hash
    FROM message_node
    WHERE at_ns BETWEEN $begun_ns AND $until_ns
),
own AS (
    SELECT near.* FROM call JOIN near ON near.node = call.leaf
    UNION ALL
    SELECT near.* FROM own JOIN near ON near.node = own.parent_node
),
wanted AS (
    SELECT parent_node AS node FROM own
    UNION
    SELECT leaf FROM call
),
missing AS MATERIALIZED (
    SELECT node FROM wanted WHERE node IS NOT NULL AND node NOT IN (SELECT node FROM own)
),
older AS (
    SELECT node, parent_node, position, content_hash
    FROM message_node
    WHERE node IN (FROM missing)
    UNION ALL
    SELECT link.node, link.parent_node, link.position, link.content_hash
    FROM message_node AS link  -- IN: a join would hash the whole table
    WHERE link.node IN (SELECT parent_node FROM older)
),
chain AS MATERIALIZED (
    FROM own
    UNION ALL
    FROM older
),
sent AS (
    SELECT max(position) AS position
    FROM chain
    WHERE node = (SELECT input_node FROM call)
)
SELECT
    chain.position,
    CASE WHEN chain.position <= sent.position THEN 'input' ELSE 'output' END AS side,
    chain.content_hash,
    chain.node
FROM chain
CROSS JOIN sent
ORDER BY chain.position
