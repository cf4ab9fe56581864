-- A part of what happened in a family of sessions: at most $limit rows in order of time, around
-- row $row (from 0) or, when that is NULL, around the first that begins at or after $at_ns.
-- {sessions}: ids as parameters, which reach into the tables where a list would not. {where}: a
-- condition of analysis.where. $whole: also programs that are not the command itself.
-- The first row tells of all: how many there are, from when to when, and which are bad (the
-- first $most_marks).
WITH called AS MATERIALIZED (
    SELECT
        session_id, call_id, started_ns, ended_ns, stream, first_byte_ns, first_token_ns,
        coalesce(model, request_model) AS model, status, error_type, input_tokens, output_tokens,
        pid, retry_of, tool_call_count, operation
    FROM llm_call
    WHERE session_id IN ({sessions})
),
found AS MATERIALIZED (
    SELECT finding_id, session_id, kind, severity, title, first_ns, last_ns, evidence
    FROM finding
    WHERE session_id IN ({sessions})
),
waited AS (
    SELECT DISTINCT piece.id AS tool_call_id
    FROM (
        SELECT unnest(from_json(evidence, '[{"kind": "VARCHAR", "id": "VARCHAR"}]')) AS piece
        FROM found
        WHERE kind IN ('human_denied', 'human_asked', 'plan_approved', 'plan_rejected')
    )
    WHERE piece.kind = 'tool'
),
caused AS (
    SELECT
        action_id, any_value(tool_call_id) AS tool_call_id, min(how <> 'command') AS indirect
    FROM tool_action
    WHERE kind = 'process' AND session_id IN ({sessions})
    GROUP BY action_id
),
things AS (
    SELECT
        session_id, started_ns AS at_ns, ended_ns AS end_ns, 'call' AS kind, call_id AS id,
        model AS name, status,
        concat_ws(', ', error_type, input_tokens || ' in', output_tokens || ' out') AS detail,
        pid, NULL AS tool_call_id, call_id,
        CASE WHEN stream AND first_token_ns IS NOT NULL THEN first_token_ns ELSE first_byte_ns END
            AS begun_ns,
        EXISTS (FROM called AS again WHERE again.retry_of = called.call_id) AS repeated
    FROM called
    UNION ALL
    SELECT
        tool.session_id, requested_ns, coalesce(result_ns, later.started_ns), 'tool',
        tool.tool_call_id, name, CASE is_error WHEN true THEN 'error' WHEN false THEN 'ok' END,
        left(arguments, 200), NULL, tool.tool_call_id, tool.call_id, NULL,
        tool.tool_call_id IN (FROM waited)
    FROM (FROM tool_call WHERE session_id IN ({sessions})) AS tool
    ASOF LEFT JOIN called AS later
        ON later.session_id = tool.session_id AND tool.requested_ns < later.started_ns
    UNION ALL
    SELECT
        session_id, started_ns, ended_ns, 'process', process_key, coalesce(exe, comm),
        CASE
            WHEN signal IS NOT NULL THEN 'signal ' || signal
            WHEN exit_code IS NOT NULL THEN 'exit ' || exit_code
        END,
        left(array_to_string(argv, ' '), 200), pid, tool_call_id, NULL, NULL, FALSE
    FROM process
    LEFT JOIN caused ON action_id = process_key
    WHERE session_id IN ({sessions}) AND started_ns IS NOT NULL AND len(argv) > 0
        AND ($whole OR NOT indirect)
    UNION ALL
    SELECT
        session_id, first_ns, last_ns, 'finding', finding_id, kind, severity, title, NULL, NULL,
        NULL, NULL, FALSE
    FROM found
    WHERE first_ns IS NOT NULL
    UNION ALL
    SELECT
        again.session_id, failed.ended_ns, again.started_ns, 'retry', again.call_id,
        'wait to retry', NULL, failed.error_type, again.pid, NULL, again.call_id, NULL, FALSE
    FROM called AS again
    JOIN called AS failed ON failed.call_id = again.retry_of
    WHERE failed.ended_ns < again.started_ns
    UNION ALL
    SELECT
        turn.session_id, answered.ended_ns, turn.first_ns, 'human',
        turn.session_id || ' ' || turn.turn, 'waiting for the user', NULL,
        'before turn ' || (turn.turn + 1), NULL, NULL, answered.call_id, NULL, FALSE
    FROM (FROM turn_time WHERE session_id IN ({sessions}) AND turn > 0) AS turn
    ASOF JOIN (
        FROM called
        WHERE ended_ns IS NOT NULL
            AND operation IN ('chat', 'text_completion', 'generate_content')
    ) AS answered
        ON answered.session_id = turn.session_id AND turn.first_ns >= answered.ended_ns
    WHERE answered.tool_call_count = 0
),
shown AS MATERIALIZED (
    SELECT
        row_number() OVER (
            ORDER BY
                at_ns, list_position(['call', 'tool', 'process', 'retry', 'human', 'finding'], kind),
                id
        ) - 1 AS place,
        *,
        coalesce(
            kind = 'finding' OR status LIKE 'signal%'
            OR status NOT IN ('ok', 'running', 'exit 0'), FALSE
        ) AS bad
    FROM (
        SELECT
            *, make_timestamptz(at_ns // 1000) AS started_at, (end_ns - at_ns) / 1e6 AS duration_ms
        FROM things
    )
    WHERE {where}
),
page AS (
    SELECT greatest(0, least(
        total - $limit,
        coalesce($row::BIGINT, (SELECT count(*) FROM shown WHERE at_ns < $at_ns::BIGINT))
        - $limit // 2
    )) AS first
    FROM (SELECT count(*) AS total FROM shown)
)
SELECT
    place, session_id, at_ns, end_ns, kind, id, name, status, detail, pid, tool_call_id, call_id,
    begun_ns, repeated, bad,
    CASE WHEN place = page.first THEN (
        SELECT struct_pack(
            total := count(*), first_ns := min(at_ns),
            last_ns := greatest(max(at_ns), max(end_ns), max(begun_ns))
        ) FROM shown
    ) END AS extent,
    CASE WHEN place = page.first THEN (
        SELECT list(place ORDER BY place)
        FROM (SELECT place FROM shown WHERE bad ORDER BY place LIMIT $most_marks)
    ) END AS marks
FROM shown, page
WHERE place >= page.first AND place < page.first + $limit
ORDER BY place
