-- Programs that speak TLS, those first of which least is seen: at most $limit, with how many there
-- are of each rank. Below stands the query of that name.
SELECT *, count(*) OVER (PARTITION BY rank) AS alike, count(*) OVER () AS total
FROM (
{coverage}
)
ORDER BY rank, len(hosts) DESC, started_at DESC NULLS LAST, pid, stack, path
LIMIT $limit
