-- The view `turns` of one session. $session: its id.
FROM turns WHERE session_id = $session ORDER BY turn
