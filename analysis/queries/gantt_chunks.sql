-- When the parts of answers came, nanoseconds from the call's start, of those calls in which
-- nothing came for more than $gap_ns. $calls: a list; $since_ns, $until_ns: when they began.
SELECT timing.call_id, chunk_ns
FROM chunk_timing AS timing
JOIN llm_call AS call USING (call_id)
WHERE call_id IN (SELECT unnest($calls::TEXT[]))
    AND call.started_ns BETWEEN $since_ns AND $until_ns
    AND list_max(
        list_transform(
            list_zip([0::BIGINT] || chunk_ns, chunk_ns || [coalesce(ended_ns - started_ns, 0)]),
            lambda pair: pair[2] - pair[1]
        )
    ) > $gap_ns
