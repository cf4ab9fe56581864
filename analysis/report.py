"""The report: one frozen answer to "what did the agents do".

In: a `Reader`, and which part of the store is asked about. Out: `Report`, which
`underglass report` prints and whose fields are its JSON. Numbers over no call are None.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from analysis.reading import Reader, query
from analysis.reading import health as health_counters
from analysis.result import ResultSet


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the calls; None where no call said the number.

    `estimated_calls`: whose tokens are estimated, all or some. `retries`: calls that repeat a
    failed one.
    """

    calls: int
    sessions: int
    ok: int
    errors: int
    incomplete: int
    running: int
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    request_bytes: int | None
    response_bytes: int | None
    lost_bytes: int | None
    first_started_at: datetime.datetime | None
    last_at: datetime.datetime | None
    estimated_calls: int
    retries: int


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds over `count` calls with status `ok`."""

    count: int = 0
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """What one model was used for."""

    provider: str
    model: str | None
    calls: int
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: float | None
    unpriced_calls: int
    estimated_calls: int


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of the priced calls. `unpriced_calls` may have cost something on top;
    `estimated_usd` is the part of the total whose tokens are estimated."""

    total_usd: float | None
    priced_calls: int
    unpriced_calls: int
    estimated_usd: float | None = None


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """How many calls failed with one error type."""

    error_type: str | None
    calls: int


@dataclass(frozen=True, slots=True)
class ToolUsage:
    """One tool. `error_rate` is over `known_outcomes`; `p50_ms` from request to result."""

    name: str
    calls: int
    errors: int
    known_outcomes: int
    error_rate: float | None
    p50_ms: float | None


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Where the time of the sessions' turns went, in milliseconds; the parts sum to `wall_ms`."""

    turns: int = 0
    wall_ms: float = 0.0
    queue_ms: float = 0.0
    generation_ms: float = 0.0
    stall_ms: float = 0.0
    tools_ms: float = 0.0
    human_ms: float = 0.0
    retry_ms: float = 0.0
    idle_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """How many sessions ended so."""

    outcome: str
    sessions: int


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that `underglass report` says. `sessions` are the latest, of so many more
    `sessions_omitted` are left out."""

    totals: Totals
    latency_ms: Percentiles
    ttft_ms: Percentiles
    models: tuple[ModelUsage, ...]
    cost: Cost
    errors: tuple[ErrorCount, ...]
    tools: tuple[ToolUsage, ...]
    sessions: ResultSet
    health: ResultSet
    time: TimeSplit
    outcomes: tuple[OutcomeCount, ...]
    sessions_omitted: int


def report(reader: Reader, since_ns: int | None = None, session: str | None = None) -> Report:
    """The report over calls from `since_ns` on and, when given, of one session."""

    def asked(name: str) -> ResultSet:
        return reader.rows(query(name), {"since_ns": since_ns, "session": session})

    timing = {row[0]: Percentiles(*row[1:]) for row in asked("report_timing")}
    totals = Totals(*asked("report_totals").rows[0])
    latest = asked("report_sessions")
    return Report(
        totals=totals,
        latency_ms=timing.get("latency", Percentiles()),
        ttft_ms=timing.get("ttft", Percentiles()),
        models=tuple(ModelUsage(*row) for row in asked("report_models")),
        cost=Cost(*asked("report_cost").rows[0]),
        errors=tuple(ErrorCount(*row) for row in asked("report_errors")),
        tools=tuple(ToolUsage(*row) for row in asked("report_tools")),
        sessions=latest,
        health=health_counters(reader),
        time=TimeSplit(*asked("report_time").rows[0]),
        outcomes=tuple(OutcomeCount(*row) for row in asked("report_outcomes")),
        sessions_omitted=max(0, totals.sessions - len(latest)),
    )
