-- analysis.steps.Finding, in the order of its fields, evidence as JSON. $kinds: a list.
SELECT
    kind, session_id, severity, first_ns, last_ns, title, evidence, count, wasted_tokens,
    wasted_usd, waited_ms
FROM finding
WHERE kind IN (SELECT unnest($kinds::TEXT[]))
    AND ($session::TEXT IS NULL OR session_id = $session)
    AND ($since_ns::BIGINT IS NULL OR coalesce(last_ns, 0) >= $since_ns)
ORDER BY coalesce(first_ns, 0), finding_id
