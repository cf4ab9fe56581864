-- analysis.derived.FootprintRow, in the order of its fields, of several sessions together: equal
-- names as one. $sessions: a list, the first of them the one that is asked about.
SELECT
    ($sessions::TEXT[])[1] AS session_id,
    kind,
    name,
    sum(count)::BIGINT AS count,
    sum(failed)::BIGINT AS failed,
    min(first_ns) AS first_ns,
    max(last_ns) AS last_ns,
    any_value(sensitive) AS sensitive,
    bool_or(asked) AS asked,
    string_agg(DISTINCT detail, ', ' ORDER BY detail) AS detail
FROM footprint_entry
WHERE session_id IN (SELECT unnest($sessions::TEXT[]))
GROUP BY kind, name
ORDER BY kind, name
