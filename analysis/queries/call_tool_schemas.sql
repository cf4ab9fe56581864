-- The tool schemas that one call offered to the model, in order.
SELECT content.body
FROM llm_call
JOIN tool_set_member AS member ON member.tool_set = llm_call.tool_set
LEFT JOIN content USING (content_hash)
WHERE llm_call.call_id = $call_id
ORDER BY member.position
