-- analysis.steps.ProcessStep, in the order of its fields. All: a parent may be of no session.
SELECT process_key, pid, ppid, argv, exe, uid, started_ns, session_id
FROM process
ORDER BY started_ns NULLS FIRST, process_key
