-- How many calls of the sessions run. {sessions}: their ids as parameters.
SELECT count(*) FROM llm_call WHERE status = 'running' AND session_id IN ({sessions})
