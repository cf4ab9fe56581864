-- Calls, errors, cost and output tokens in $count spans of $width_ns each, the last of which ends at
-- $until_ns. A call counts where it began, its cost and its error where it ended; its tokens are
-- spread over the time in which they came, of a running call as far as they have. $session: or NULL.
WITH span AS (
    SELECT
        number,
        $until_ns::BIGINT - ($count::BIGINT - number) * $width_ns::BIGINT AS begin_ns,
        $until_ns::BIGINT - ($count::BIGINT - number - 1) * $width_ns::BIGINT AS end_ns
    FROM range($count::BIGINT) AS each(number)
),
near AS (
    SELECT
        llm_call.started_ns, llm_call.ended_ns, llm_call.status, llm_call.cost_usd,
        coalesce(llm_call.output_tokens, said.output_tokens) AS output_tokens,
        coalesce(llm_call.ended_ns, epoch_ns(said.updated_at)) AS heard_ns,
        CASE WHEN stream AND first_token_ns < coalesce(ended_ns, epoch_ns(said.updated_at))
            THEN first_token_ns ELSE started_ns END AS said_ns
    FROM llm_call
    LEFT JOIN running_text AS said ON said.call_id = llm_call.call_id
    WHERE started_ns >= $until_ns::BIGINT - $count::BIGINT * $width_ns::BIGINT - $longest_ns::BIGINT
      AND started_ns < $until_ns::BIGINT
      AND ($session::TEXT IS NULL OR llm_call.session_id = $session)
),
counted AS (
    SELECT
        number,
        count(*) FILTER (started_ns >= begin_ns AND started_ns < end_ns) AS calls,
        count(*) FILTER (status = 'error' AND ended_ns >= begin_ns AND ended_ns < end_ns) AS errors,
        sum(cost_usd) FILTER (ended_ns >= begin_ns AND ended_ns < end_ns) AS cost_usd,
        sum(
            output_tokens
            * (least(heard_ns, end_ns) - greatest(said_ns, begin_ns)) / (heard_ns - said_ns)
        ) FILTER (heard_ns > said_ns AND heard_ns > begin_ns AND said_ns < end_ns) AS tokens
    FROM span JOIN near ON started_ns < end_ns AND coalesce(heard_ns, started_ns) >= begin_ns
    GROUP BY number
)
SELECT
    coalesce(calls, 0) AS calls, coalesce(errors, 0) AS errors,
    coalesce(cost_usd, 0) AS cost_usd,
    coalesce(tokens, 0) / ($width_ns::BIGINT / 1e9) AS tokens_per_s
FROM span LEFT JOIN counted USING (number)
ORDER BY number
