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
