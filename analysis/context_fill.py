"""How full contexts are against what their models take: of many sessions, and of one in detail.

In: a `Reader`. Out: rows of `FULLEST`, the fullest context first; and the last requests of one
session as `SessionContext`. A model's window is what the price tables say; None: they do not.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis import cells
from analysis.fitting_rows import fitting
from analysis.reading import Reader, query
from analysis.result import Record
from analysis.state_columns import fill
from analysis.table_layout import Column, Row, Table
from analysis.table_layout import number as _number
from analysis.use_columns import percent

MOST_SESSIONS = 500
MOST_REQUESTS = 1000


@dataclass(frozen=True, slots=True)
class Fullest:
    """Sessions, rows of `FULLEST`. `hidden`: how many the filter leaves out."""

    rows: tuple[Row, ...]
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class SessionContext:
    """The last of a session's requests whose messages are known, oldest first: fields of the view
    `context`, with `turn` and `window`. `requests`: how many there are in all."""

    session_id: str
    agent: str | None
    rows: tuple[Record, ...]
    requests: int


def fullest(reader: Reader, where: str = "") -> Fullest:
    """The sessions that were active last. Raises `BadFilter` and `QueryFailed`."""
    found = reader.rows(query("context_fullest"), {"most": MOST_SESSIONS}).records()
    rows = [{**row, "window": _window(row)} for row in found]
    rows.sort(key=_fullness)
    if not where.strip():
        return Fullest(tuple(rows))
    places = fitting(reader, rows, FULLEST, FULLEST_TYPES, where, time.time_ns())
    return Fullest(tuple(rows[at] for at in places), len(rows) - len(places))


def session_context(reader: Reader, session_id: str) -> SessionContext:
    """One session; without rows where no message list is known. Raises `QueryFailed`."""
    asked = {"session": session_id, "most": MOST_REQUESTS}
    rows = reader.rows(query("context_tail"), asked).records()
    return SessionContext(
        session_id,
        next((row["agent"] for row in reversed(rows) if row["agent"]), None),
        tuple({**row, "window": _window(row)} for row in rows),
        rows[0]["requests"] if rows else 0,
    )


def _fullness(row: Mapping[str, Any]) -> tuple[float, float, str]:
    """Known shares of a window first, then tokens, then bytes."""
    tokens, window = row["input_tokens"], row["window"]
    share = tokens / window if tokens is not None and window else -1.0
    return (-share, -(tokens or 0), row["session_id"])


def _window(row: Mapping[str, Any]) -> int | None:
    if row["provider"] is None:
        return None
    from collector.pricing import context_window

    return context_window(row["answered"], row["request_model"], row["provider"], row["host"])


FULLEST = Table(
    "fullest",
    "Contexts",
    ("session_id",),
    (
        Column("session_id", "session", 8, "Identifies the session.", max_width=38),
        Column("agent", "agent", 11, "The program that called the model.", max_width=20),
        Column("model", "model", 12, "The model of the last request.", priority=2, max_width=28),
        Column(
            "input_tokens", "context", 9, "How full the model's window was at the last request; "
            "tokens alone where the window is not known.", fill,
            fields=("input_tokens", "window", "estimated"),
        ),
        _number("peak_tokens", "peak", 6, "Most input tokens of a request.", cells.tokens, 2),
        _number("requests", "calls", 5, "Requests whose messages are known."),
        _number("total_bytes", "bytes", 6, "Size of the last request's content.", cells.tokens, 3),
        _number(
            "fixed_bytes", "fixed", 5, "Share of system prompt and tool schemas.", cells.share, 3,
            ("fixed_bytes", "total_bytes"),
        ),
        _number(
            "tool_result_bytes", "tools", 5, "Share of tool results.", cells.share,
            fields=("tool_result_bytes", "total_bytes"),
        ),
        _number("resent_share", "again", 5, "Share of all bytes that were sent before.", percent),
        _number("compactions", "cut", 3, "Compactions.", cells.busy_count),
        Column("last_at", "last", 14, "The last request.", cells.day_and_clock, priority=5),
    ),
    newest="last_at",
)  # fmt: skip
FULLEST_TYPES: dict[str, str] = {
    "session_id": "VARCHAR", "agent": "VARCHAR", "model": "VARCHAR", "input_tokens": "BIGINT",
    "window": "BIGINT", "estimated": "BOOLEAN", "peak_tokens": "BIGINT", "requests": "BIGINT",
    "total_bytes": "BIGINT", "fixed_bytes": "BIGINT", "tool_result_bytes": "BIGINT",
    "resent_share": "DOUBLE", "compactions": "BIGINT", "last_at": "TIMESTAMPTZ",
}  # fmt: skip
"""Fields by DuckDB's types, for `analysis.where`."""
