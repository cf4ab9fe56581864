-- What analysis says of sessions. Rows of a session are exchanged for new ones as it goes on.

CREATE TABLE finding (
    finding_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    session_id TEXT,
    kind TEXT NOT NULL,
    severity TEXT NOT NULL,
    first_ns BIGINT,
    last_ns BIGINT,
    title TEXT NOT NULL,
    count BIGINT NOT NULL,
    wasted_tokens BIGINT,
    wasted_usd DOUBLE,
    waited_ms DOUBLE,
    evidence TEXT NOT NULL,
    found_ns BIGINT NOT NULL
);

CREATE TABLE tool_action (
    session_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    tool_call_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    action_id TEXT NOT NULL,
    at_ns BIGINT,
    how TEXT NOT NULL,
    confidence TEXT NOT NULL
);

CREATE TABLE turn_time (
    session_id TEXT NOT NULL,
    turn BIGINT NOT NULL,
    first_ns BIGINT NOT NULL,
    last_ns BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    queue_ns BIGINT NOT NULL,
    generation_ns BIGINT NOT NULL,
    stall_ns BIGINT NOT NULL,
    tools_ns BIGINT NOT NULL,
    human_ns BIGINT NOT NULL,
    retry_ns BIGINT NOT NULL,
    idle_ns BIGINT NOT NULL
);

CREATE TABLE context_use (
    session_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    at_ns BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    total_bytes BIGINT NOT NULL,
    system_bytes BIGINT NOT NULL,
    tool_schema_bytes BIGINT NOT NULL,
    user_bytes BIGINT NOT NULL,
    assistant_bytes BIGINT NOT NULL,
    tool_result_bytes BIGINT NOT NULL,
    other_bytes BIGINT NOT NULL,
    resent_bytes BIGINT NOT NULL,
    grown_bytes BIGINT,
    input_tokens BIGINT,
    cache_read_tokens BIGINT,
    compaction TEXT,
    dropped_bytes BIGINT,
    parts TEXT NOT NULL
);

CREATE TABLE session_outcome (
    session_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    wall_ns BIGINT,
    calls BIGINT NOT NULL,
    failed_calls BIGINT NOT NULL,
    tool_calls BIGINT NOT NULL,
    failed_tool_calls BIGINT NOT NULL,
    human_escalations BIGINT NOT NULL,
    cost_usd DOUBLE,
    unpriced_calls BIGINT NOT NULL,
    tokens BIGINT,
    wasted_usd DOUBLE,
    wasted_tokens BIGINT
);

CREATE TABLE footprint_entry (
    session_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    count BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    first_ns BIGINT,
    last_ns BIGINT,
    sensitive TEXT,
    asked BOOLEAN,
    detail TEXT
);

CREATE TABLE session_agent (
    session_id TEXT NOT NULL,
    agent TEXT NOT NULL,
    agent_version TEXT,
    executable TEXT NOT NULL,
    build_id TEXT,
    uid BIGINT,
    system_prompt TEXT,
    tool_set TEXT,
    models TEXT[] NOT NULL,
    calls BIGINT NOT NULL,
    first_ns BIGINT NOT NULL,
    last_ns BIGINT NOT NULL
);

-- Sessions of earlier versions are still to be analysed.
INSERT INTO stale_session SELECT session_id FROM session;

CREATE VIEW findings AS
SELECT
    finding_id, kind, session_id, severity,
    make_timestamptz(first_ns // 1000) AS first_at,
    make_timestamptz(last_ns // 1000) AS last_at,
    title, count, wasted_tokens, wasted_usd, waited_ms,
    evidence::JSON AS evidence,
    make_timestamptz(found_ns // 1000) AS found_at
FROM finding;

CREATE VIEW loops AS
FROM findings
WHERE kind IN (
    'repeat', 'cycle', 'error_repeat', 'text_chant', 'compaction_spiral', 'no_progress', 'polling',
    'agent_detected', 'runaway_steps', 'runaway_time', 'runaway_cost', 'work_after_done'
);

CREATE VIEW escalations AS
FROM findings
WHERE kind IN (
    'human_denied', 'human_asked', 'plan_approved', 'plan_rejected', 'policy_denied',
    'classifier_denied', 'infra_failed', 'handoff_agent', 'handoff_human', 'model_escalation',
    'privilege_escalation'
);

CREATE VIEW conflicts AS
FROM findings
WHERE kind IN ('write_conflict', 'overwritten_work', 'duplicate_work', 'lock_wait');

CREATE VIEW actions AS
SELECT
    session_id, call_id, tool_call_id, kind, action_id,
    make_timestamptz(at_ns // 1000) AS started_at,
    how, confidence
FROM tool_action;

CREATE VIEW turns AS
SELECT
    session_id, turn,
    make_timestamptz(first_ns // 1000) AS started_at,
    make_timestamptz(last_ns // 1000) AS ended_at,
    (last_ns - first_ns) / 1e6 AS duration_ms,
    calls,
    queue_ns / 1e6 AS queue_ms,
    generation_ns / 1e6 AS generation_ms,
    stall_ns / 1e6 AS stall_ms,
    tools_ns / 1e6 AS tools_ms,
    human_ns / 1e6 AS human_ms,
    retry_ns / 1e6 AS retry_ms,
    idle_ns / 1e6 AS idle_ms
FROM turn_time;

CREATE VIEW context AS
SELECT
    session_id, call_id, position,
    make_timestamptz(at_ns // 1000) AS started_at,
    messages, total_bytes, system_bytes, tool_schema_bytes, user_bytes, assistant_bytes,
    tool_result_bytes, other_bytes, resent_bytes, grown_bytes, input_tokens, cache_read_tokens,
    compaction, dropped_bytes,
    parts::JSON AS parts
FROM context_use;

CREATE VIEW outcomes AS
SELECT
    session_id, outcome, reason, wall_ns / 1e6 AS wall_ms, calls, failed_calls, tool_calls,
    failed_tool_calls, human_escalations, cost_usd, unpriced_calls, tokens, wasted_usd,
    wasted_tokens
FROM session_outcome;

CREATE VIEW footprint AS
SELECT
    session_id, kind, name, count, failed,
    make_timestamptz(first_ns // 1000) AS first_at,
    make_timestamptz(last_ns // 1000) AS last_at,
    sensitive, asked, detail
FROM footprint_entry;

-- What happened in a session, thing by thing.
CREATE VIEW timeline AS
SELECT
    session_id,
    make_timestamptz(at_ns // 1000) AS started_at,
    (end_ns - at_ns) / 1e6 AS duration_ms,
    kind, id, name, status, detail, pid, tool_call_id
FROM (
    SELECT
        session_id, started_ns AS at_ns, ended_ns AS end_ns, 'call' AS kind, call_id AS id,
        coalesce(model, request_model) AS name, status,
        concat_ws(', ', error_type, input_tokens || ' in', output_tokens || ' out') AS detail,
        pid, NULL AS tool_call_id
    FROM llm_call
    UNION ALL
    SELECT
        session_id, requested_ns, result_ns, 'tool', tool_call_id, name,
        CASE is_error WHEN true THEN 'error' WHEN false THEN 'ok' END,
        left(arguments, 200), NULL, tool_call_id
    FROM tool_call
    UNION ALL
    SELECT
        process.session_id, started_ns, ended_ns, 'process', process_key,
        coalesce(exe, comm),
        CASE
            WHEN signal IS NOT NULL THEN 'signal ' || signal
            WHEN exit_code IS NOT NULL THEN 'exit ' || exit_code
        END,
        left(array_to_string(argv, ' '), 200), pid, caused.tool_call_id
    FROM process
    LEFT JOIN tool_action AS caused
        ON caused.kind = 'process' AND caused.action_id = process_key
            AND caused.session_id = process.session_id
    WHERE started_ns IS NOT NULL AND len(argv) > 0
    UNION ALL
    SELECT
        process.session_id, first_ns, last_ns, 'file', file_event_id,
        coalesce(new_path, path), coalesce(error, 'ok'),
        concat_ws(
            ', ', concat_ws(' ', operation, access), sensitive,
            CASE WHEN count > 1 THEN count || ' times' END
        ),
        file_event.pid, caused.tool_call_id
    FROM file_event
    JOIN process USING (process_key)
    LEFT JOIN tool_action AS caused
        ON caused.kind = 'file' AND caused.action_id = file_event_id
            AND caused.session_id = process.session_id
    WHERE sensitive IS NOT NULL OR operation <> 'open' OR access <> 'read'
    UNION ALL
    SELECT
        process.session_id, first_ns, last_ns, 'connection', network_event_id,
        coalesce(name, address) || coalesce(':' || port, ''), coalesce(error, 'ok'),
        concat_ws(', ', transport, CASE WHEN count > 1 THEN count || ' times' END),
        network_event.pid, caused.tool_call_id
    FROM network_event
    JOIN process USING (process_key)
    LEFT JOIN tool_action AS caused
        ON caused.kind = 'connection' AND caused.action_id = network_event_id
            AND caused.session_id = process.session_id
    UNION ALL
    SELECT session_id, first_ns, last_ns, 'finding', finding_id, kind, severity, title, NULL, NULL
    FROM finding
    WHERE session_id IS NOT NULL
);

-- Rows lie in the order of time: with it, a list is found without a look at all of them.
ALTER TABLE message_node ADD COLUMN at_ns BIGINT;

ALTER TABLE session ADD COLUMN parent_source TEXT;
UPDATE session SET parent_source = 'read' WHERE parent_session_id IS NOT NULL;

CREATE OR REPLACE VIEW sessions AS
WITH spent AS (
    SELECT
        session_id,
        any_value(agent) AS agent,
        any_value(agent_version) AS agent_version,
        count(*) AS calls,
        CASE WHEN count(*) = count(ended_ns) THEN max(ended_ns) END AS ended_ns,
        TRY_CAST(sum(input_tokens) AS BIGINT) AS input_tokens,
        TRY_CAST(sum(output_tokens) AS BIGINT) AS output_tokens,
        sum(cost_usd) AS cost_usd,
        count(*) FILTER (status = 'error') AS errors,
        count(*) FILTER (cost_usd IS NULL AND status IN ('ok', 'incomplete')) AS unpriced_calls,
        count(*) FILTER (status = 'running') AS running_calls,
        count(*) FILTER (usage_source IN ('estimated', 'output_estimated')) AS estimated_calls
    FROM llm_call
    GROUP BY session_id
),
used AS (
    SELECT session_id, count(*) AS tool_calls FROM tool_call GROUP BY session_id
)
SELECT
    session.session_id,
    coalesce(session.agent, spent.agent) AS agent,
    coalesce(session.agent_version, spent.agent_version) AS agent_version,
    session.root_pid,
    make_timestamptz(session.started_ns // 1000) AS started_at,
    make_timestamptz(spent.ended_ns // 1000) AS ended_at,
    coalesce(spent.calls, 0) AS calls,
    coalesce(used.tool_calls, 0) AS tool_calls,
    spent.input_tokens, spent.output_tokens, spent.cost_usd,
    coalesce(spent.errors, 0) AS errors,
    coalesce(spent.unpriced_calls, 0) AS unpriced_calls,
    coalesce(spent.running_calls, 0) AS running_calls,
    session.confidence, session.parent_session_id,
    coalesce(spent.estimated_calls, 0) AS estimated_calls,
    session.parent_source
FROM session
LEFT JOIN spent USING (session_id)
LEFT JOIN used USING (session_id);

CREATE VIEW agents AS
SELECT
    nullif(agent, '') AS agent, agent_version, nullif(executable, '') AS executable, build_id, uid,
    count(DISTINCT session_id) AS sessions,
    TRY_CAST(sum(calls) AS BIGINT) AS calls,
    list_sort(list_distinct(flatten(list(models)))) AS models,
    list_sort(list_distinct(list(system_prompt))) AS system_prompts,
    list_sort(list_distinct(list(tool_set))) AS tool_sets,
    make_timestamptz(min(first_ns) // 1000) AS first_seen_at,
    make_timestamptz(max(last_ns) // 1000) AS last_seen_at
FROM session_agent
GROUP BY agent, agent_version, executable, build_id, uid;
