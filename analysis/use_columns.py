"""Columns of `underglass context` and `underglass spend`, as those of `analysis.columns`."""

from __future__ import annotations

import re

from analysis import cells
from analysis.cells import Cell
from analysis.table_layout import Column, Table
from analysis.table_layout import number as _number


def percent(part: float | None) -> Cell:
    """A share as a whole number of per cent."""
    return cells.UNKNOWN if part is None else Cell(f"{100 * part:.0f}%", "" if part else "dim")


def money(cost_usd: float | None) -> Cell:
    """US dollars, from a hundred thousand on without cents."""
    return _short(cells.dollars(cost_usd))


def cost(cost_usd: float | None, unpriced_calls: int | None, estimated_calls: int | None) -> Cell:
    """A sum of costs with its marks, as short as `money`."""
    return _short(cells.total_cost(cost_usd, unpriced_calls, estimated_calls))


def wasted(cost_usd: float | None) -> Cell:
    """Money for nothing."""
    return Cell(money(cost_usd).text, "warn") if cost_usd else money(cost_usd)


def _short(cell: Cell) -> Cell:
    return cell if len(cell.text) <= 10 else Cell(re.sub(r"\.\d\d", "", cell.text), cell.style)


CONTEXTS = Table(
    "context",
    "Context",
    ("session_id",),
    (
        Column("session_id", "session", 10, "Identifies the session.", max_width=38),
        Column("agent", "agent", 11, "The program that called the model.", max_width=24),
        _number("requests", "calls", 5, "Requests whose messages are known."),
        _number("messages", "msgs", 5, "Messages in the last request."),
        _number("total_bytes", "bytes", 6, "Size of the last request's content.", cells.tokens),
        _number("input_tokens", "tokens", 6, "Input tokens of the last request.", cells.tokens),
        _number("peak_bytes", "peak", 6, "The largest request's bytes.", cells.tokens, 2),
        _number(
            "fixed_bytes", "fixed", 5, "Share of system prompt and tool schemas.", cells.share, 2,
            ("fixed_bytes", "total_bytes"),
        ),
        _number(
            "tool_result_bytes", "tools", 5, "Share of tool results.", cells.share,
            fields=("tool_result_bytes", "total_bytes"),
        ),
        _number("resent_share", "again", 5, "Share of all bytes that were sent before.", percent),
        _number("compactions", "cut", 3, "Compactions.", cells.busy_count),
        Column("last_at", "last", 14, "The last request.", cells.day_and_clock, priority=4),
        _number("dropped_bytes", "dropped", 7, "Bytes that they dropped.", cells.tokens, 5),
        _number("peak_tokens", "peak tok", 8, "Most input tokens.", cells.tokens, 6),
    ),
    newest="last_at",
)  # fmt: skip

SPENT = Table(
    "spend",
    "Spend",
    ("key", "label"),
    (
        Column("key", "what", 17, "The model, session, agent or day.", max_width=38),
        _number("calls", "calls", 5, "LLM calls.", cells.tokens),
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
            "cost_usd", "cost", 10, "Known prices; + when some calls have none.", cost,
            fields=("cost_usd", "unpriced_calls", "estimated_calls"),
        ),
        _number("cache_savings_usd", "saved", 10, "What caches saved.", money),
        _number("wasted_usd", "wasted", 8, "Failed, cut and repeated calls.", wasted),
        _number("failed_calls", "err", 6, "Calls that failed or were cut.", cells.bad_count, 2),
        Column("label", "of", 10, "A model's provider, a session's agent.", priority=4),
        _number("cache_write_tokens", "c.write", 7, "Written to caches.", cells.tokens, 5),
        Column("last_at", "last", 14, "End of the last call.", cells.day_and_clock, priority=6),
    ),
    newest="last_at",
    has_session=False,
)  # fmt: skip
