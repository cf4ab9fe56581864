-- Bytes of the tool schemas that the sessions' requests offered, by tool set.
SELECT tool_set, sum(content.size_bytes)::BIGINT
FROM tool_set_member LEFT JOIN content USING (content_hash)
WHERE tool_set IN (
    SELECT tool_set FROM llm_call
    WHERE session_id IN (SELECT unnest($sessions::TEXT[])) AND started_ns >= $since_ns
)
GROUP BY tool_set
