-- Sessions that were going on when they were analysed.
SELECT session_id FROM session_outcome WHERE outcome = 'running'
