"""Models and money for the dashboard: a table by model, agent, session or day, and plots over time.

In: a `Reader`, what to sum up by, and a range of time. Out: a `ModelUse`: `analysis.spend`'s sums
with latencies beside them, and for the largest groups how cost, latency, pace and cache hits went.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from analysis import cells
from analysis.columns import CALLS
from analysis.listed import Narrowed, chosen_sql
from analysis.reading import Reader, query
from analysis.result import ResultSet
from analysis.spend import MOST_ROWS, Burn, By, SpendReport, Waste, day_named, spend
from analysis.state_columns import pace, rate
from analysis.table_layout import Column, Row, Table
from analysis.table_layout import number as _number
from analysis.use_columns import cost, money, percent, wasted

MOST_LINES = 6
"""So many groups have lines in a plot: those that cost most."""
SPANS = 120
RANGES: tuple[tuple[str, int | None], ...] = (
    ("15m", 15 * 60),
    ("1h", 3600),
    ("6h", 6 * 3600),
    ("24h", 24 * 3600),
    ("7d", 7 * 86400),
    ("all", None),
)
"""Name and seconds before the last call; None is everything."""
_NS = 1_000_000_000
_LEAST_RATE_NS = 60 * _NS


@dataclass(frozen=True, slots=True)
class Line:
    """How one group went, span by span; None where it had no such call."""

    key: str
    cost_usd: tuple[float | None, ...]
    p50_ms: tuple[float | None, ...]
    p95_ms: tuple[float | None, ...]
    tokens_per_s: tuple[float | None, ...]
    cache_hit_rate: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class ModelUse:
    """`rows` are those of `MODEL_USE`, dearest first, `total` the same over all; `from_ns` and
    `until_ns`: the range of `lines`, None without a call. `left_out`: groups that have no row."""

    by: By
    rows: tuple[Row, ...]
    total: Row
    left_out: int
    waste: tuple[Waste, ...]
    burn: Burn
    lines: tuple[Line, ...]
    from_ns: int | None
    until_ns: int | None


def model_use(
    reader: Reader,
    by: By = "model",
    range_s: int | None = None,
    session: str | None = None,
    where: str = "",
) -> ModelUse:
    """Calls of the `range_s` seconds before the last call, or all; of one session or of all.

    `where`: a filter on calls. Raises `BadFilter` and `QueryFailed`.
    """
    calls = _Calls.chosen(reader, session, where)
    ((first_ns, last_ns),) = calls.rows("call_bounds")
    since_ns = None
    if range_s is not None and last_ns is not None:
        since_ns = max(first_ns, last_ns - range_s * _NS)
    found = spend(reader, by, since_ns, session, where=where)
    timed = calls.rows("model_timing", by=by, since_ns=since_ns, most=MOST_ROWS)
    timing = {(_named(key, by), label): rest for key, label, *rest in timed}
    from_ns = first_ns if since_ns is None else since_ns
    return ModelUse(
        by=by,
        rows=tuple(_row(asdict(one), timing.get((one.key, one.label))) for one in found.rows),
        total=_row(asdict(found.total), None),
        left_out=found.left_out,
        waste=found.waste,
        burn=found.burn,
        lines=() if last_ns is None else _lines(calls, found, from_ns, last_ns),
        from_ns=from_ns,
        until_ns=last_ns,
    )


@dataclass(frozen=True, slots=True)
class _Calls:
    """The calls that are looked at: a session's, and what of them fits a filter."""

    reader: Reader
    session: str | None
    text: str
    where: str
    given: Mapping[str, Any]

    @classmethod
    def chosen(cls, reader: Reader, session: str | None, text: str) -> _Calls:
        if not text.strip():
            return cls(reader, session, text, "TRUE", {})
        rows, given = chosen_sql(reader, CALLS, Narrowed(None, session, text))
        chosen = f"call_id IN (SELECT call_id {rows.replace('$since_ns', 'NULL')})"
        return cls(
            reader, session, text, chosen, {k: v for k, v in given.items() if k != "since_ns"}
        )

    def rows(self, name: str, **parameters: Any) -> ResultSet:
        """The answer of a query that holds `{where}`."""
        asked = {**self.given, "session": self.session, **parameters}
        return self.reader.rows(query(name).replace("{where}", self.where), asked)


def _lines(calls: _Calls, found: SpendReport, from_ns: int, last_ns: int) -> tuple[Line, ...]:
    """Days are not lines of their own: over time they are all calls, model by model."""
    by: By = "model" if found.by == "day" else found.by
    of = found.rows
    if by != found.by:
        of = spend(calls.reader, by, from_ns, calls.session, where=calls.text).rows
    keys = list(dict.fromkeys(one.key for one in of if one.key is not None))[:MOST_LINES]
    timed = calls.rows(
        "use_over_time",
        by=by,
        from_ns=from_ns,
        width_ns=max(1, -(-(last_ns - from_ns + 1) // SPANS)),
        count=SPANS,
        keys=keys,
    )
    spans: dict[str, dict[int, tuple[Any, ...]]] = {key: {} for key in keys}
    for key, span, *values in timed:
        spans[key][span] = tuple(values)
    return tuple(_line(key, spans[key]) for key in keys)


def _line(key: str, spans: dict[int, tuple[Any, ...]]) -> Line:
    every = [spans.get(at, (None, None, None, None)) for at in range(SPANS)]
    return Line(
        key,
        cost_usd=tuple(usd for usd, *_ in every),
        p50_ms=tuple(ms and ms[0] for _, ms, *_ in every),
        p95_ms=tuple(ms and ms[1] for _, ms, *_ in every),
        tokens_per_s=tuple(tokens for *_, tokens, _ in every),
        cache_hit_rate=tuple(hit for *_, hit in every),
    )


def _row(spent: dict[str, Any], timing: list[Any] | None) -> Row:
    duration, ttft, tokens_per_s = timing or (None, None, None)
    passed_ns = None
    if spent["first_at"] is not None:
        passed_ns = (spent["last_at"] - spent["first_at"]).total_seconds() * _NS
    known = spent["cost_usd"] is not None and passed_ns is not None
    return {
        **spent,
        "p50_ms": duration and duration[0],
        "p95_ms": duration and duration[1],
        "ttft_p50_ms": ttft and ttft[0],
        "ttft_p95_ms": ttft and ttft[1],
        "tokens_per_s": tokens_per_s,
        "usd_per_hour": spent["cost_usd"] / (passed_ns / (3600 * _NS))
        if known and passed_ns and passed_ns >= _LEAST_RATE_NS
        else None,
    }


def _named(key: str | None, by: By) -> str | None:
    return day_named(key) if by == "day" and key is not None else key


MODEL_USE = Table(
    "model_use",
    "Models",
    ("key", "label"),
    (
        Column("key", "what", 14, "The model, agent, session or day.", max_width=38),
        _number("calls", "calls", 5, "LLM calls.", cells.tokens),
        _number("failed_calls", "err", 4, "Calls that failed or were cut.", cells.bad_count),
        _number("p50_ms", "p50", 5, "Half of the answers took less.", cells.duration),
        _number("p95_ms", "p95", 5, "95 % of the answers took less.", cells.duration),
        _number("ttft_p50_ms", "ttft", 5, "Median time to the first token.", cells.duration, 2),
        _number("ttft_p95_ms", "ttft95", 6, "Its 95th percentile.", cells.duration, 5),
        _number("tokens_per_s", "tok/s", 5, "Median output tokens a second.", pace, 4),
        _number(
            "input_tokens", "in", 5, "Input tokens; ~ some estimated.", cells.partly_estimated,
            fields=("input_tokens", "estimated_calls"),
        ),
        _number(
            "output_tokens", "out", 5, "Output tokens; ~ some estimated.", cells.partly_estimated,
            fields=("output_tokens", "estimated_calls"),
        ),
        _number("cache_hit_rate", "cache", 5, "Share of input read from the cache.", percent),
        _number(
            "cost_usd", "cost", 9, "Known prices; + when some calls have none.", cost,
            fields=("cost_usd", "unpriced_calls", "estimated_calls"),
        ),
        _number("usd_per_hour", "$/h", 7, "US dollars an hour, from its first call to its last.",
                rate, 2),
        _number("wasted_usd", "wasted", 8, "Failed, cut and repeated calls.", wasted, 3),
        _number("cache_savings_usd", "saved", 9, "What caches saved.", money, 4),
        Column("label", "of", 10, "A model's provider, a session's agent.", priority=6),
    ),
    has_session=False,
)  # fmt: skip
