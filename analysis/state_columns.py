"""Columns of sessions and their states, for the dashboard's first view and `underglass status`.

In: rows of `analysis.overview.table_row`. Out: the table `STATES`, the types of what it shows, and
words and marks for states, which the dashboard's other views may use, too.
"""

from __future__ import annotations

from analysis import cells
from analysis.cells import UNKNOWN, Cell, Style
from analysis.table_layout import Column, Table
from analysis.table_layout import number as _number

STATE_WORDS: dict[str, tuple[str, Style]] = {
    "stuck": ("STUCK", "bad"),
    "working": ("working", "good"),
    "model": ("model", "warn"),
    "tool": ("tool", "good"),
    "human": ("human", "warn"),
    "unknown": ("unknown", "warn"),
    "completed": ("done", "dim"),
    "failed": ("failed", "bad"),
    "gave_up": ("gave up", "warn"),
    "cut_off": ("cut off", "warn"),
    "refused": ("refused", "warn"),
    "ended": ("ended?", "dim"),
}
STATE_MEANINGS = (
    "working: an answer is written; model: waits for one; tool: runs one; human: waits for one; "
    "STUCK: a loop, a stall, or a call much longer than usual; done, failed, gave up, cut off, "
    "refused: how it ended; ended?: that is not known."
)
_GOES_ON = frozenset({"stuck", "working", "model", "tool", "human", "unknown"})
_BAR_CELLS = 3
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_SEVERITY: dict[str | None, Style] = {"warning": "warn", "critical": "bad"}
_MOST_DEPTH = 6


def bar(share: float, width: int) -> str:
    """A share from 0 to 1 as a bar of exactly `width` cells."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    if share > 0:
        eighths = max(1, eighths)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[rest] if rest else "")).ljust(width)


def doing(name: str, detail: str | None) -> str:
    """The state in a word; of a running tool its name."""
    word, _ = STATE_WORDS.get(name, (name, ""))
    return cells.one_line(detail) if name == "tool" and detail else word


def state(name: str, word: str, state_ms: float | None) -> Cell:
    """What `doing` says, and for how long what goes on has done so."""
    _, style = STATE_WORDS.get(name, (name, ""))
    going_on = name in _GOES_ON and state_ms is not None
    return Cell(f"{word} {cells.age(state_ms).text}" if going_on else word, style)


def agent(name: str | None, version: str | None, depth: int) -> Cell:
    """Name and version; of a sub-agent behind a branch."""
    indent = "  " * min(depth - 1, _MOST_DEPTH) + "└ " if depth else ""
    text = cells.one_line(f"{name or '–'} {version or ''}").strip()
    return Cell(indent + text, "" if name else "dim")


def fill(tokens: int | None, window: int | None, estimated: bool) -> Cell:
    """How full a context is: a bar and per cent where the window is known, else tokens alone."""
    if tokens is None:
        return UNKNOWN
    if not window:
        return Cell((cells.estimated_tokens if estimated else cells.tokens)(tokens).text, "dim")
    share = tokens / window
    style: Style = "bad" if share >= 0.9 else "warn" if share >= 0.7 else ""
    return Cell(f"{bar(share, _BAR_CELLS)} {'~' if estimated else ''}{share:.0%}", style)


def found(count: int | None, worst: str | None) -> Cell:
    """How many findings, coloured by the worst of them."""
    if not count:
        return Cell("0", "dim") if count == 0 else UNKNOWN
    mark = "!" if worst == "critical" else ""
    return Cell(f"{mark}{count:,}", _SEVERITY.get(worst, ""))


def pace(tokens_per_s: float | None) -> Cell:
    """Tokens a second."""
    if tokens_per_s is None:
        return UNKNOWN
    return Cell(f"{tokens_per_s:,.0f}" if tokens_per_s >= 9.95 else f"{tokens_per_s:.1f}")


def rate(usd_per_hour: float | None) -> Cell:
    """US dollars an hour, in few characters."""
    if usd_per_hour is None or usd_per_hour < 1000:
        return UNKNOWN if usd_per_hour is None else Cell(f"${usd_per_hour:.2f}")
    return Cell(f"${cells.tokens(round(usd_per_hour)).text}")


def _cost(cost_usd: float | None, unpriced: int | None, estimated: int | None) -> Cell:
    """As short as its column, with its marks."""
    cost = cells.total_cost(cost_usd, unpriced, estimated)
    if cost_usd is None:
        return Cell("$?", "warn") if unpriced else cost
    if len(cost.text) <= 7:
        return cost
    amount = f"{cost_usd:.2f}" if cost_usd < 1000 else cells.tokens(round(cost_usd)).text
    marks = ("~" if estimated else "", "+" if unpriced else "")
    return Cell(f"{marks[0]}${amount}{marks[1]}", cost.style)


def _all_tokens(tokens_in: int | None, tokens_out: int | None, estimated: int | None) -> Cell:
    if tokens_in is None and tokens_out is None:
        return UNKNOWN
    return cells.partly_estimated((tokens_in or 0) + (tokens_out or 0), estimated)


STATES = Table(
    "states",
    "Sessions",
    ("session_id",),
    (
        Column(
            "agent", "agent", 12, "The program and its version; sub-agents below their parent.",
            agent, max_width=28, fields=("agent", "agent_version", "depth"),
        ),
        Column("session_id", "session", 7, "Identifies the session.", priority=2, max_width=38),
        Column(
            "state", "state", 12, STATE_MEANINGS, state, max_width=22,
            fields=("state", "doing", "state_ms"),
        ),
        Column("model", "model", 11, "The model of the last call.", priority=3, max_width=24),
        _number("tokens_per_s", "tok/s", 5, "Output tokens a second of the answer under way, else "
                "of the last one.", pace, 3),
        _number("ttft_ms", "ttft", 5, "Time to the first token of the last call.",
                cells.duration, 4),
        _number(
            "input_tokens", "tokens", 6, "Tokens in and out; ~ some estimated.", _all_tokens,
            fields=("input_tokens", "output_tokens", "estimated_calls"),
        ),
        _number(
            "cost_usd", "cost", 7, "Sum of known prices; + some calls have none, $? all.", _cost,
            fields=("cost_usd", "unpriced_calls", "estimated_calls"),
        ),
        _number("usd_per_hour", "$/h", 6, "US dollars an hour, over its last hour.", rate),
        Column(
            "context_tokens", "context", 8, "How full the model's context window was at the last "
            "request; tokens alone where the window is not known.", fill,
            fields=("context_tokens", "context_window", "context_estimated"),
        ),
        _number("open_calls", "open", 4, "Calls without an end yet.", cells.busy_count, 5),
        _number("errors", "err", 3, "Calls that failed.", cells.bad_count),
        _number("findings", "find", 4, "Findings; ! one of them is critical.", found,
                fields=("findings", "worst")),
        _number("age_ms", "age", 4, "How long ago something was last heard of it.", cells.age),
        _number("calls", "calls", 5, "LLM calls.", cells.tokens, 6),
        Column("detail", "why", 24, "What the state rests on.", priority=7, max_width=60),
    ),
    newest="last_at",
)  # fmt: skip

STATE_TYPES: dict[str, str] = {
    "session_id": "VARCHAR", "parent_session_id": "VARCHAR", "agent": "VARCHAR",
    "agent_version": "VARCHAR", "state": "VARCHAR", "doing": "VARCHAR", "detail": "VARCHAR",
    "model": "VARCHAR",
    "tokens_per_s": "DOUBLE", "ttft_ms": "DOUBLE", "calls": "BIGINT", "open_calls": "BIGINT",
    "errors": "BIGINT", "input_tokens": "BIGINT", "output_tokens": "BIGINT",
    "estimated_calls": "BIGINT", "cost_usd": "DOUBLE", "unpriced_calls": "BIGINT",
    "usd_per_hour": "DOUBLE", "context_tokens": "BIGINT", "context_window": "BIGINT",
    "context_estimated": "BOOLEAN", "findings": "BIGINT", "worst": "VARCHAR",
    "depth": "BIGINT", "age_ms": "DOUBLE", "state_ms": "DOUBLE",
    "started_at": "TIMESTAMPTZ", "last_at": "TIMESTAMPTZ",
}  # fmt: skip
"""Fields by DuckDB's types, for `analysis.where`."""
