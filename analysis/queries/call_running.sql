-- What one call has said so far, while it runs.
SELECT updated_at, output_tokens, body FROM running_text WHERE call_id = $call_id
