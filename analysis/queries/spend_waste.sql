-- What findings say was wasted, by cause. A compaction spiral is made of compactions, which count
-- by themselves. Parameters as in spend.sql.
SELECT
    CASE WHEN kind IN ('compaction', 'lost_context', 'reread') THEN 'compactions' ELSE 'loops' END
        AS cause,
    count(*) AS count,
    TRY_CAST(sum(wasted_tokens) AS BIGINT) AS tokens,
    sum(wasted_usd) AS cost_usd
FROM finding
WHERE kind IN (
    'compaction', 'lost_context', 'reread', 'repeat', 'cycle', 'error_repeat', 'text_chant',
    'no_progress', 'polling'
)
  AND ($since_ns::BIGINT IS NULL OR last_ns >= $since_ns::BIGINT)
  AND ($session::TEXT IS NULL OR session_id = $session)
GROUP BY cause
ORDER BY cause
