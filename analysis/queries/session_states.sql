-- What analysis.session_states judges by: a row a session, at most $most of them and the parents of
-- these. Those with calls after $active_ns come first, then those that began last. $session: only
-- this one and its sub-agents, or NULL. Times are nanoseconds since the epoch.
WITH RECURSIVE active AS (
    SELECT session_id, max(started_ns) AS at_ns
    FROM llm_call
    WHERE started_ns >= $active_ns OR status = 'running'
    GROUP BY session_id
),
newest AS (
    SELECT session.session_id
    FROM session LEFT JOIN active USING (session_id)
    WHERE $session::TEXT IS NULL OR session.session_id = $session
       OR session.parent_session_id = $session
    ORDER BY active.at_ns DESC NULLS LAST, session.started_ns DESC, session.session_id
    LIMIT $most::BIGINT
),
chosen_ids AS (
    FROM newest
    UNION
    SELECT session.parent_session_id
    FROM chosen_ids JOIN session USING (session_id)
    WHERE session.parent_session_id IS NOT NULL AND $session::TEXT IS NULL
),
chosen AS MATERIALIZED (
    SELECT * FROM session WHERE session_id IN (FROM chosen_ids)
),
-- The last call is one of the main line, as in analysis.outcomes: where calls offer tools, those that
-- offer none do not count. So those that offer some have the later places, whatever the time.
own AS MATERIALIZED (
    SELECT
        call_id, session_id, capture_id, agent, agent_version, provider, host, model, request_model,
        started_ns, first_token_ns, ended_ns, status, stream, http_status, error_type,
        finish_reason, retry_after_s, tool_call_count, lost_bytes, tool_set,
        input_tokens, output_tokens, cost_usd, usage_source,
        coalesce(operation, 'chat') IN ('chat', 'text_completion', 'generate_content') AS answers,
        greatest(
            started_ns, coalesce(first_token_ns, started_ns), coalesce(ended_ns, started_ns)
        ) AS heard_ns,
        max(started_ns) OVER (PARTITION BY session_id) AS asked_ns,
        row_number() OVER (
            PARTITION BY session_id ORDER BY tool_set IS NOT NULL, started_ns, call_id
        ) AS place
    FROM llm_call
    WHERE session_id IN (SELECT session_id FROM chosen)
      AND started_ns >= (SELECT min(started_ns) FROM chosen)
),
spent AS MATERIALIZED (
    SELECT
        session_id,
        any_value(agent) AS agent,
        any_value(agent_version) AS agent_version,
        count(*) AS calls,
        count(*) FILTER (status = 'error') AS errors,
        count(*) FILTER (status = 'running') AS open_calls,
        TRY_CAST(sum(input_tokens) AS BIGINT) AS input_tokens,
        TRY_CAST(sum(output_tokens) AS BIGINT) AS output_tokens,
        sum(cost_usd) AS cost_usd,
        count(*) FILTER (cost_usd IS NULL AND status IN ('ok', 'incomplete')) AS unpriced_calls,
        count(*) FILTER (usage_source IN ('estimated', 'output_estimated')) AS estimated_calls,
        max(heard_ns) AS heard_ns,
        sum(cost_usd) FILTER (started_ns > asked_ns - $burn_ns::BIGINT) AS recent_usd,
        min(started_ns) FILTER (started_ns > asked_ns - $burn_ns::BIGINT) AS recent_first_ns,
        median(ended_ns - started_ns) FILTER (status = 'ok' AND answers) AS usual_ns,
        count(*) FILTER (status = 'ok' AND answers) AS usual_of,
        max(place) FILTER (answers) AS last_place,
        max(place) FILTER (answers AND input_tokens IS NOT NULL) AS sized_place,
        max(place) FILTER (
            answers AND stream AND ended_ns > first_token_ns AND output_tokens > 0
        ) AS paced_place,
        max(place) FILTER (answers AND stream AND first_token_ns IS NOT NULL) AS streamed_place
    FROM own
    GROUP BY session_id
),
last AS (
    SELECT own.* FROM own JOIN spent USING (session_id) WHERE place = last_place
),
program AS (
    SELECT
        chosen.session_id,
        arg_max(
            {'ended_ns': process.ended_ns, 'exit_code': process.exit_code, 'signal': process.signal},
            coalesce(process.started_ns, 0)
        ) AS root
    FROM chosen
    JOIN spent USING (session_id)
    JOIN process ON process.pid = chosen.root_pid
    WHERE (process.session_id IS NULL OR process.session_id = chosen.session_id)
      AND coalesce(process.started_ns, 0) <= spent.heard_ns
    GROUP BY chosen.session_id
),
asked AS (
    SELECT
        tool_call.session_id,
        list(tool_call.name ORDER BY requested_ns, tool_call_id)[:20] AS tools,
        list(left(arguments, 2000) ORDER BY requested_ns, tool_call_id)[:20] AS tool_arguments,
        min(requested_ns) AS tools_ns
    FROM tool_call
    JOIN last ON tool_call.session_id = last.session_id AND tool_call.call_id = last.call_id
    WHERE result_ns IS NULL AND requested_ns >= (SELECT min(started_ns) FROM chosen)
    GROUP BY tool_call.session_id
),
found AS (
    SELECT
        finding.session_id,
        count(*) AS findings,
        max(CASE severity WHEN 'critical' THEN 3 WHEN 'warning' THEN 2 ELSE 1 END) AS worst,
        arg_max({'kind': kind, 'title': title, 'last_ns': finding.last_ns}, finding.last_ns)
            FILTER (severity <> 'info' AND kind IN (
                'repeat', 'cycle', 'error_repeat', 'text_chant', 'compaction_spiral', 'no_progress'
            )) AS loop
    FROM finding
    WHERE finding.session_id IN (SELECT session_id FROM chosen)
    GROUP BY finding.session_id
),
since_loop AS (
    SELECT session_id, count(*) AS calls_since_loop
    FROM own JOIN found USING (session_id)
    WHERE answers AND started_ns > found.loop.last_ns
    GROUP BY session_id
)
SELECT
    chosen.session_id, chosen.parent_session_id,
    coalesce(chosen.agent, spent.agent) AS agent,
    coalesce(chosen.agent_version, spent.agent_version) AS agent_version,
    chosen.started_ns, chosen.root_pid,
    coalesce(spent.calls, 0) AS calls, coalesce(spent.errors, 0) AS errors,
    coalesce(spent.open_calls, 0) AS open_calls,
    spent.input_tokens, spent.output_tokens, spent.cost_usd,
    coalesce(spent.unpriced_calls, 0) AS unpriced_calls,
    coalesce(spent.estimated_calls, 0) AS estimated_calls,
    spent.heard_ns, spent.usual_ns, spent.usual_of,
    spent.recent_usd, spent.recent_first_ns,
    last.call_id AS last_call_id, last.status, last.stream, last.started_ns AS last_started_ns,
    last.first_token_ns AS last_first_token_ns, last.ended_ns AS last_ended_ns,
    last.finish_reason, last.error_type, last.http_status, last.retry_after_s,
    last.tool_call_count, last.lost_bytes, coalesce(last.model, last.request_model) AS model,
    (streamed.first_token_ns - streamed.started_ns) / 1e6 AS ttft_ms,
    paced.output_tokens / ((paced.ended_ns - paced.first_token_ns) / 1e9) AS paced_tokens_per_s,
    sized.input_tokens AS context_tokens, sized.usage_source = 'estimated' AS context_estimated,
    sized.model AS sized_model, sized.request_model AS sized_request_model,
    sized.provider AS sized_provider, sized.host AS sized_host,
    said.output_tokens AS said_tokens, epoch_ns(said.updated_at) AS said_ns,
    program.root IS NOT NULL AS process_known,
    program.root.ended_ns AS process_ended_ns,
    program.root.exit_code AS exit_code, program.root.signal AS signal,
    asked.tools, asked.tool_arguments, asked.tools_ns,
    coalesce(found.findings, 0) AS findings, found.worst,
    found.loop.kind AS loop_kind, found.loop.title AS loop_title, found.loop.last_ns AS loop_ns,
    coalesce(since_loop.calls_since_loop, 0) AS calls_since_loop,
    session_outcome.outcome, session_outcome.reason,
    CASE WHEN capture.capture_id IS NULL
        THEN (SELECT bool_or(ended_ns IS NULL) FROM capture)
        ELSE capture.ended_ns IS NULL
    END AS capture_open
FROM chosen
LEFT JOIN spent USING (session_id)
LEFT JOIN last USING (session_id)
LEFT JOIN own AS sized ON sized.session_id = spent.session_id AND sized.place = sized_place
LEFT JOIN own AS paced ON paced.session_id = spent.session_id AND paced.place = paced_place
LEFT JOIN own AS streamed
    ON streamed.session_id = spent.session_id AND streamed.place = streamed_place
LEFT JOIN running_text AS said ON said.call_id = last.call_id
LEFT JOIN program USING (session_id)
LEFT JOIN asked USING (session_id)
LEFT JOIN found USING (session_id)
LEFT JOIN since_loop USING (session_id)
LEFT JOIN session_outcome USING (session_id)
LEFT JOIN capture ON capture.capture_id = last.capture_id
ORDER BY chosen.started_ns DESC, chosen.session_id
