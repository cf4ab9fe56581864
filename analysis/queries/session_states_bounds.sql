-- How many sessions there are, when a call last began or ended, whether a capture has no end yet.
SELECT
    (SELECT count(*) FROM session) AS total,
    (SELECT greatest(max(started_ns), max(ended_ns)) FROM llm_call) AS last_ns,
    (SELECT bool_or(ended_ns IS NULL) FROM capture) AS any_open
