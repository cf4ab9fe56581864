-- How many calls run now, or ran when the capture broke off.
SELECT count(*) FROM llm_call WHERE status = 'running'
