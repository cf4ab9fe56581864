-- Every message of the sessions' requests and answers: its node, the one before it, its place, and
-- the hash of its content (see contents). $sessions, $since_ns as in call_steps; $until_ns: start of
-- the last of their calls. As in call_messages, nodes that came in that time are looked through
-- first, and older ones only for what is missing.
WITH RECURSIVE near AS MATERIALIZED (
    SELECT node, parent_node, position, content_hash
    FROM message_node
    WHERE at_ns BETWEEN $since_ns AND $until_ns
),
leaves AS (
    SELECT DISTINCT unnest([input_node, output_node]) AS node
    FROM llm_call
    WHERE session_id IN (SELECT unnest($sessions::TEXT[])) AND started_ns >= $since_ns
),
own AS (
    SELECT near.* FROM leaves JOIN near USING (node)
    UNION
    SELECT near.* FROM own JOIN near ON near.node = own.parent_node
),
wanted AS (
    SELECT parent_node AS node FROM own
    UNION
    FROM leaves
),
missing AS MATERIALIZED (
    SELECT node FROM wanted WHERE node IS NOT NULL AND node NOT IN (SELECT node FROM own)
),
older AS (
    SELECT node, parent_node, position, content_hash
    FROM message_node
    WHERE node IN (FROM missing)
    UNION
    SELECT link.node, link.parent_node, link.position, link.content_hash
    FROM message_node AS link  -- IN: a join would hash the whole table
    WHERE link.node IN (SELECT parent_node FROM older)
)
FROM own
UNION
FROM older
