"""What the dashboard knows at one moment.

In: the path of a store and a `Window` into it. Out: frozen `Snapshot`s, taken in a thread by
`StoreFeed`, never in the one that draws. The store is open only while a snapshot is taken, so
that a collector may take it over at any time; a file that did not change is not read again.
"""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from analysis.columns import COVERAGE, FINDINGS, HEALTH, TABLES
from analysis.findings import finding_records, findings
from analysis.health import HOOKED
from analysis.reading import CallDetail, Reader, call_detail, open_reader, query
from analysis.report import Cost, Totals
from analysis.table_layout import Table
from collector.database import wal_path
from collector.store_errors import QueryFailed
from probes.events import Source

Row = Mapping[str, Any]
CallKey = Literal["call", "tool"]
MAX_ROWS = 500
_FINDINGS_PAUSE = 20  # as many times as long as looking for findings took
_LAST_CAPTURE = "ORDER BY started_at DESC, capture_id LIMIT 1"
_PROBES = f"""
SELECT captures.ended_at, captures.command, (
    SELECT max(value) FROM health_counter
    WHERE counter = 'attached_probes' AND health_counter.capture_id = captures.capture_id
) AS attached
FROM captures {_LAST_CAPTURE}
"""
_CALL_OF_TOOL = """
SELECT call_id FROM tools WHERE tool_call_id = $tool_call_id ORDER BY requested_at LIMIT 1
"""
_STEPS = "SELECT (SELECT count(*) FROM process), (SELECT count(result_hash) FROM tool_call)"
_KERNEL_SOURCES = frozenset({"process", *(source.name.lower() for source in Source)})


@dataclass(frozen=True, slots=True)
class Window:
    """What to look at: a table, of one session or of all, and how many rows of it."""

    table: str = "calls"
    session_id: str | None = None
    max_rows: int = MAX_ROWS


@dataclass(frozen=True, slots=True)
class Rows:
    """The newest rows of a table; `total` is how many there are. `error`: why there are none."""

    table: str
    rows: tuple[Row, ...] = ()
    total: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Losses:
    """Sums over all captures; None when no capture counted."""

    captured_events: int | None = None
    lost_events: int | None = None
    lost_bytes: int | None = None
    undecoded_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Capture:
    """The last capture. `attached`: its probes, None when it never said."""

    command: str
    ended_at: datetime.datetime | None
    attached: int | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that is on the screen. `source` is `file` or `collector pid N`."""

    window: Window
    source: str
    rows: Rows
    totals: Totals
    cost: Cost
    finding_count: int | None
    losses: Losses
    capture: Capture | None
    hooked: int
    not_hooked: tuple[Row, ...]


class StoreFeed:
    """Takes snapshots of one store. Its methods block; each is for one worker thread at a time."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._seen: Any = None
        self._basis: Any = None
        self._findings = _Findings(None, (), "Still looking for them.", 0.0)

    def take(self, window: Window) -> Snapshot | None:
        """The store through the window; None when nothing changed since the last one.

        Raises `UnderglassError` when the store cannot be read now.
        """
        found = self._findings
        seen = (window, _stamp(self.path), found)
        if self._seen == seen:
            return None
        self._seen = None
        with open_reader(self.path) as reader:
            snapshot = self._read(reader, window, found)
        if reader.source == "file":
            self._seen = seen
        return snapshot

    def call(self, kind: CallKey, key: str) -> CallDetail:
        """A call with its messages, by its own id or a tool call's. Raises `UnderglassError`."""
        with open_reader(self.path) as reader:
            if kind == "tool":
                found = reader.rows(_CALL_OF_TOOL, {"tool_call_id": key}).rows
                key = found[0][0] if found else key
            return call_detail(reader, key)

    @property
    def findings_due(self) -> bool:
        """Whether there is more to look through, and the last look has been paid for."""
        last = self._findings
        return last.basis != self._basis and self._clock() >= last.not_before

    def look_for_findings(self) -> None:
        """Look through the whole store, for the snapshots that follow. Raises `UnderglassError`."""
        basis, started = self._basis, self._clock()
        rows: tuple[Row, ...] = ()
        error = None
        with open_reader(self.path) as reader:
            try:
                rows = tuple(finding_records(findings(reader)))
            except QueryFailed as failure:
                error = str(failure)
        ended = self._clock()
        newest = tuple(sorted(rows, key=lambda row: row["last_at"] or "", reverse=True))
        self._findings = _Findings(
            basis, newest, error, ended + _FINDINGS_PAUSE * (ended - started)
        )

    def _read(self, reader: Reader, window: Window, found: _Findings) -> Snapshot:
        everything = {"since_ns": None, "session": None}
        totals = Totals(*reader.rows(query("report_totals"), everything).rows[0])
        cost = Cost(*reader.rows(query("report_cost"), everything).rows[0])
        health = _select(reader, HEALTH)
        captures = reader.rows(_PROBES).rows
        coverage = _select(reader, COVERAGE)
        self._basis = (totals, reader.rows(_STEPS).rows)
        if window.table == FINDINGS.name:
            rows = found.window(window)
        elif window.table == HEALTH.name:
            rows = Rows(HEALTH.name, health, len(health))
        else:
            rows = _window(reader, TABLES[window.table], window)
        return Snapshot(
            window=window,
            source=reader.source,
            rows=rows,
            totals=totals,
            cost=cost,
            finding_count=None if found.error else len(found.rows),
            losses=losses(health),
            capture=Capture(captures[0][1], captures[0][0], captures[0][2]) if captures else None,
            hooked=sum(row["status"] in HOOKED for row in coverage),
            not_hooked=tuple(row for row in coverage if row["status"] not in HOOKED),
        )


@dataclass(frozen=True, slots=True)
class _Findings:
    """What was found in what `basis` sums up, newest first. Not anew before `not_before`."""

    basis: Any
    rows: tuple[Row, ...]
    error: str | None
    not_before: float

    def window(self, window: Window) -> Rows:
        inside = [row for row in self.rows if window.session_id in (None, row["session_id"])]
        return Rows(FINDINGS.name, tuple(inside[: window.max_rows]), len(inside), self.error)


def losses(health: tuple[Row, ...]) -> Losses:
    """The health counters that the health line shows. Loss is counted where it happens: in the
    kernel; the gaps that it leaves in streams are the same bytes.
    """
    if not health:
        return Losses()

    def total(*counters: str, kernel: bool = True) -> int:
        return sum(
            row["value"]
            for row in health
            if row["counter"] in counters and (row["source"] in _KERNEL_SOURCES) == kernel
        )

    return Losses(
        captured_events=total("captured_events"),
        lost_events=total("lost_events"),
        lost_bytes=total("lost_bytes", "truncated_bytes"),
        undecoded_bytes=total("undecoded_bytes", kernel=False),
    )


def _window(reader: Reader, table: Table, window: Window) -> Rows:
    """The newest rows of a view. Names come from the declaration, never from a user."""
    inside = ""
    parameters: dict[str, Any] = {}
    if table.has_session and window.session_id is not None:
        inside = "WHERE session_id = $session"
        parameters["session"] = window.session_id
    total = reader.rows(f"SELECT count(*) FROM {table.name} {inside}", parameters or None)
    rows = _select(reader, table, inside, parameters, window.max_rows)
    return Rows(table.name, rows, total.rows[0][0])


def _select(
    reader: Reader,
    table: Table,
    inside: str = "",
    parameters: dict[str, Any] | None = None,
    max_rows: int = MAX_ROWS,
) -> tuple[Row, ...]:
    newest = f"{table.newest} DESC NULLS LAST, " if table.newest else ""
    if table.order:
        newest = f"{table.order}, {newest}"
    result = reader.rows(
        f"SELECT {', '.join(table.fields)} FROM {table.name} {inside} "
        f"ORDER BY {newest}{', '.join(table.identity)} LIMIT {max_rows:d}",
        parameters or None,
    )
    return tuple(dict(zip(result.columns, row, strict=True)) for row in result)


def _stamp(path: Path) -> Any:
    """Changes whenever the file or its write-ahead log does."""
    found: list[tuple[int, int, int] | None] = []
    for each in (path, wal_path(path)):
        try:
            status = os.stat(each)
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError:
            found.append(None)
    return tuple(found)
