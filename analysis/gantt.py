"""A session with its sub-agents as bars over time: a part of it, at most so many rows.

In: a `Reader`, a session (or none: the one that was active last), a filter, and around which row or
moment. Out: a `GanttPage`: rows of calls, tool calls, the programs they caused, waits and
findings in order of time, each with the stretches that its bar is made of; where all of the time
went (`analysis.turn_times`); and where the errors are. The database sorts and cuts, so that a
session of any length costs what one screen of it does. Drawn by `tui.views.timeline`.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from analysis import cells
from analysis.reading import Reader, query
from analysis.session_rows import root_of
from analysis.steps import SessionStep
from analysis.table_layout import Column, Table, number
from analysis.turn_times import MIN_STALL_NS, stalls
from analysis.where import condition

What = Literal["queue", "generation", "stall", "retry", "tools", "human", "process", "finding"]
PARTS: tuple[What | Literal["idle"], ...] = (
    *("queue", "generation", "stall", "tools", "human", "retry", "idle"),
)  # fmt: skip
"""Where time goes, as in the columns of the view `turns`."""
MOST_ROWS = 300
MOST_MARKS = 1000
_LAST = 1 << 60
_TYPES = {"started_at": "TIMESTAMP WITH TIME ZONE", "duration_ms": "DOUBLE", "pid": "BIGINT"}

TIMELINE = Table(
    "timeline",
    "Timeline",
    ("kind", "id"),
    (
        Column("started_at", "time", 8, "When it began, local time.", cells.clock),
        Column("kind", "kind", 8, "call, tool, process, retry, human or finding."),
        Column("name", "name", 16, "Model, tool, program or kind of finding.", max_width=28),
        Column("status", "status", 8, "How it ended.", cells.word),
        number("duration_ms", "took", 6, "From begin to end.", cells.duration),
        Column("detail", "detail", 20, "Tokens, arguments, command or title.", max_width=90),
        number("pid", "pid", 7, "Its process.", cells.plain, 3),
        Column("session_id", "session", 10, "The session it belongs to.", priority=4),
        Column("tool_call_id", "tool call", 12, "The tool call that caused it.", priority=5),
    ),
    newest="started_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a bar. Times in nanoseconds since the epoch; begin and end may be the same."""

    start_ns: int
    end_ns: int
    what: What


@dataclass(frozen=True, slots=True)
class GanttRow:
    """One thing that happened. `place` counts from 0 over the whole session.

    `end_ns` None: it runs, or its end was not seen; its bar goes to the last known moment.
    `bad`: it failed, or is a finding.
    """

    place: int
    kind: str
    id: str
    session_id: str
    start_ns: int
    end_ns: int | None
    name: str | None
    status: str | None
    detail: str | None
    pid: int | None
    tool_call_id: str | None
    call_id: str | None
    bad: bool
    stretches: tuple[Stretch, ...]

    @property
    def record(self) -> dict[str, Any]:
        """The row with the fields of `TIMELINE`."""
        return {
            "started_at": _moment(self.start_ns),
            "kind": self.kind,
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "duration_ms": None if self.end_ns is None else (self.end_ns - self.start_ns) / 1e6,
            "detail": self.detail,
            "pid": self.pid,
            "session_id": self.session_id,
            "tool_call_id": self.tool_call_id,
            "call_id": self.call_id,
        }


@dataclass(frozen=True, slots=True)
class Times:
    """Where the time of the session went, without its sub-agents: nanoseconds by part, which sum
    to `wall_ns`."""

    turns: int
    wall_ns: int
    by_part: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class GanttPage:
    """Some rows of a session. `total` rows there are; `marks` are the places of bad ones.

    `times` None: the session is not analysed yet. `agents`: session -> its number among the
    sub-agents, 0 for the first session.
    """

    session_id: str
    agent: str | None
    total: int
    first_ns: int
    last_ns: int
    running: bool
    rows: tuple[GanttRow, ...]
    marks: tuple[int, ...]
    times: Times | None
    agents: Mapping[str, int]


def gantt_page(
    reader: Reader,
    session_id: str | None = None,
    where: str = "",
    *,
    row: int | None = None,
    at_ns: int | None = None,
    whole: bool = False,
    limit: int = MOST_ROWS,
    now_ns: int = 0,
) -> GanttPage | None:
    """Rows around the row or moment; without either the first, or the last of what still runs.

    `whole`: every program, not only those that tool calls began. None: no call was seen yet.
    Raises `BadFilter`.
    """
    latest = reader.rows(query("gantt_session"), {"session": session_id}).rows
    if not latest and session_id is None:
        return None
    known = [
        SessionStep(*each)
        for each in reader.rows(query("session_steps"), {"sessions": [session_id or latest[0][0]]})
    ]
    by_id = {one.session_id: one for one in known}
    chosen = session_id or latest[0][0]
    if session_id is None and chosen in by_id:
        chosen = root_of(by_id[chosen], by_id)
    agents = _numbered(known, chosen)
    running = _running(reader, agents)
    if row is None and at_ns is None:
        row = _LAST if running else 0
    asked = {f"session{number}": each for number, each in enumerate(agents)}
    condition_ = condition(where, TIMELINE, _TYPES, now_ns)
    sql = query("gantt_rows").replace("{sessions}", ", ".join(f"${name}" for name in asked))
    found = reader.rows(
        sql.replace("{where}", condition_.sql),
        {
            **asked,
            **(condition_.parameters or {}),
            "row": row,
            "at_ns": at_ns,
            "whole": whole,
            "limit": limit,
            "most_marks": MOST_MARKS,
        },
    ).rows
    extent = found[0][-2] if found else {"total": 0, "first_ns": 0, "last_ns": 0}
    last_ns = extent["last_ns"]
    gaps = _gaps(reader, found)
    session = by_id.get(chosen)
    return GanttPage(
        session_id=chosen,
        agent=session.agent if session else None,
        total=extent["total"],
        first_ns=extent["first_ns"],
        last_ns=last_ns,
        running=running,
        rows=tuple(_row(each, last_ns, gaps) for each in found),
        marks=tuple(found[0][-1] or ()) if found else (),
        times=_times(reader, chosen),
        agents=agents,
    )


def _numbered(known: Sequence[SessionStep], chosen: str) -> dict[str, int]:
    ids = dict.fromkeys([chosen, *(one.session_id for one in known)])
    return {session_id: at for at, session_id in enumerate(ids)}


def _running(reader: Reader, agents: Mapping[str, int]) -> bool:
    names = {f"session{at}": each for at, each in enumerate(agents)}
    sql = query("gantt_running").replace("{sessions}", ", ".join(f"${name}" for name in names))
    return bool(reader.rows(sql, names).rows[0][0])


def _times(reader: Reader, session_id: str) -> Times | None:
    found = reader.rows(query("gantt_times"), {"session": session_id})
    values = dict(zip(found.columns, found.rows[0], strict=True))
    if not values["turns"]:
        return None
    return Times(values["turns"], values["wall_ns"], {part: values[f"{part}_ns"] for part in PARTS})


def _gaps(reader: Reader, rows: Sequence[tuple[Any, ...]]) -> dict[str, list[int]]:
    """Of calls in which nothing came for long: when the parts came."""
    calls = [row for row in rows if row[4] == "call"]
    if not calls:
        return {}
    asked = {
        "calls": [row[5] for row in calls],
        "since_ns": calls[0][2],
        "until_ns": calls[-1][2],
        "gap_ns": MIN_STALL_NS,
    }
    return dict(reader.rows(query("gantt_chunks"), asked).rows)


def _row(row: tuple[Any, ...], last_ns: int, gaps: Mapping[str, Sequence[int]]) -> GanttRow:
    (place, session_id, at_ns, end_ns, kind, id, name, status, detail, pid, *rest) = row
    tool_call_id, call_id, begun_ns, flag, bad, _, _ = rest
    until = max(at_ns, last_ns if end_ns is None else end_ns)
    stretches: tuple[Stretch, ...]
    if kind == "call":
        failed = status == "error" or (status == "incomplete" and flag)
        stretches = _of_call(at_ns, begun_ns, until, failed, gaps.get(id, ()))
    elif kind == "tool":
        stretches = (Stretch(at_ns, until, "human" if flag else "tools"),)
    else:
        stretches = (Stretch(at_ns, until, kind),)
    return GanttRow(
        place, kind, id, session_id, at_ns, end_ns, name, status, detail, pid,
        tool_call_id, call_id, bad, stretches,
    )  # fmt: skip


def _of_call(
    at_ns: int, begun_ns: int | None, until: int, failed: bool, offsets: Sequence[int]
) -> tuple[Stretch, ...]:
    """As `analysis.turn_times` counts it: queue, then generation broken by stalls."""
    if failed:
        return (Stretch(at_ns, until, "retry"),)
    begun = until if begun_ns is None else min(max(begun_ns, at_ns), until)
    parts = [Stretch(at_ns, begun, "queue")]
    at = begun
    for start, end in stalls(offsets, until - at_ns):
        if at_ns + start > at:
            parts.append(Stretch(at, at_ns + start, "generation"))
        parts.append(Stretch(max(at, at_ns + start), at_ns + end, "stall"))
        at = max(at, at_ns + end)
    if until > at:
        parts.append(Stretch(at, until, "generation"))
    return tuple(parts)


def _moment(at_ns: int) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromtimestamp(at_ns / 1e9, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return None
