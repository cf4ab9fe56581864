-- When each content chunk of one call arrived, in milliseconds from its start.
SELECT chunk_ms FROM chunks WHERE call_id = $call_id
