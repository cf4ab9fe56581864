-- When the parts of streamed answers arrived, nanoseconds from the call's start, by call.
SELECT chunk_timing.call_id, chunk_ns
FROM chunk_timing
WHERE call_id IN (
    SELECT call_id FROM llm_call
    WHERE session_id IN (SELECT unnest($sessions::TEXT[])) AND started_ns >= $since_ns
)
