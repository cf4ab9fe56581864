"""The analyst: keeps what analysis says of sessions in the store, beside what was captured.

In: a store that this process writes. Out: the derived tables (`analysis.derived`), exchanged for
new rows session by session as calls and results come in, so that whoever reads only selects.
A session is analysed as a whole each time, with all sessions of its family: detectors are pure
functions (`analysis.understanding`) and the same rows always give the same findings. How often is
bounded by what it costs.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import duckdb

from analysis.derived import (
    AgentRow,
    ContextUseRow,
    FindingRow,
    FootprintRow,
    OutcomeRow,
    ToolActionRow,
    TurnTimeRow,
)
from analysis.loops import loops
from analysis.reading import Reader, query
from analysis.runaways import DEFAULT, RunawayLimits
from analysis.session_rows import Family, families
from analysis.shared_paths import shared_path_findings
from analysis.steps import Finding, ToolStep
from analysis.understanding import finding_row, understand
from collector.database import run
from collector.read_query import Limits, read_query
from collector.store import Store
from collector.tables import Table

TABLES = (
    Table("", "finding", FindingRow, ("finding_id",)),
    Table("", "tool_action", ToolActionRow, ("call_id", "tool_call_id", "kind", "action_id")),
    Table("", "turn_time", TurnTimeRow, ("session_id", "turn")),
    Table("", "context_use", ContextUseRow, ("call_id",)),
    Table("", "session_outcome", OutcomeRow, ("session_id",)),
    Table("", "footprint_entry", FootprintRow, ("session_id", "kind", "name")),
    Table("", "session_agent", AgentRow, ("session_id", "agent", "executable")),
)
_FINDING = TABLES[0]
SHARED = "shared_paths"
"""The scope of findings about several sessions."""

_LIMITS = Limits(max_rows=5_000_000, max_bytes=2 << 30, timeout_s=300.0)
_REMEMBERED_FAMILIES = 64
_REMEMBERED_ROWS = 20_000  # of one family; a larger one is exchanged whole
_ROWS_AT_ONCE = 20_000
_Keyed = dict[Hashable, Any]


class Analyst:
    """Analyses the sessions of one store. Not thread-safe; the store may be written meanwhile.

    `found` is told of each finding when it is stored for the first time.
    """

    def __init__(
        self,
        store: Store,
        found: Callable[[Finding], None] | None = None,
        limits: RunawayLimits = DEFAULT,
    ) -> None:
        self._store = store
        self._found = found
        self._limits = limits
        self._last: OrderedDict[str, list[_Keyed]] = OrderedDict()  # by family; a dict each table
        self.reader = Reader(store.path, "analyst", self._select)

    def _select(self, sql: str, parameters: Any) -> Any:
        return read_query(self._store.cursor(), sql, parameters, _LIMITS)

    def analyse_stale(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Analyse all sessions of which rows were written since; how many families there were.

        `progress` is told how many of how many sessions are done.
        """
        stale = self._store.stale_sessions()
        if not stale:
            return 0
        count = self.analyse(stale, progress)
        self.analyse_shared()
        return count

    def analyse(
        self,
        stale: Mapping[str, int],
        progress: Callable[[int, int], None] | None = None,
        now_ns: int | None = None,
    ) -> int:
        """Analyse these sessions (of `Store.stale_sessions`); how many families they belong to.

        `now_ns`: the present time, while sessions may go on.
        """
        waiting: list[tuple[Family, list[list[Any]], list[Finding]]] = []
        rows = count = done = 0
        analysed: dict[str, int] = {}
        unknown = dict(stale)
        for family in families(self.reader, list(stale)):
            understanding = understand(family, self._limits, now_ns)
            derived: list[list[Any]] = [list(part) for part in understanding.rows]
            waiting.append((family, derived, list(understanding.findings)))
            count += 1
            rows += sum(map(len, derived))
            for steps in family.sessions:
                session_id = steps.session.session_id
                if session_id in unknown:
                    analysed[session_id] = unknown.pop(session_id)
                    done += 1
            if rows >= _ROWS_AT_ONCE:
                self._store_all(waiting, analysed)
                waiting, analysed, rows = [], {}, 0
                if progress is not None:
                    progress(done, len(stale))
        self._forget(unknown)
        self._store_all(waiting, {**analysed, **unknown})
        if progress is not None:
            progress(len(stale), len(stale))
        return count

    def _forget(self, gone: Collection[str]) -> None:
        """Take away what was said of sessions that the store does not hold any more."""
        if not gone:
            return

        def change(connection: duckdb.DuckDBPyConnection) -> None:
            for table in TABLES:
                column = "scope" if table is _FINDING else "session_id"
                run(
                    connection,
                    f"DELETE FROM {table.name} WHERE {column} IN (SELECT unnest(?::TEXT[]))",
                    list(gone),
                )

        self._store.derive(change)

    def raise_alarms(self, session_ids: Collection[str], since_ns: int) -> int:
        """Look for loops at the end of these sessions, and store those that are new; how many.

        Cheap: of each session only its latest tool calls since `since_ns` are read, unless they
        look like a loop. Everything else waits for `analyse`, which finds the same ones.
        """
        asked = {"sessions": list(session_ids), "since_ns": since_ns}
        recent: dict[str, list[ToolStep]] = {}
        for row in self.reader.rows(query("recent_tool_steps"), asked):
            step = ToolStep(*row)
            recent.setdefault(step.session_id, []).append(step)
        suspects = [name for name, steps in recent.items() if loops(steps)]
        if not suspects:
            return 0
        found = [
            (steps.session.session_id, one)
            for family in families(self.reader, suspects)
            for steps in family.sessions
            for one in loops(steps.tools, steps.turns, steps.calls)
        ]
        known = self._found_before({scope for scope, _ in found})
        rows = [finding_row(one, scope) for scope, one in found]
        new = [
            (one, row)
            for (_, one), row in zip(found, rows, strict=True)
            if row.finding_id not in known
        ]
        if new:
            self._store.derive(
                lambda connection: _insert(connection, _FINDING, [row for _, row in new])
            )
            for scope, _ in found:
                self._last.pop(scope, None)
            self._tell([one for one, _ in new], [row for _, row in new], known)
        return len(new)

    def running(self) -> dict[str, int]:
        """Sessions that were going on when they were analysed last."""
        return dict.fromkeys(self.reader.rows(query("running_sessions")).column("session_id"), 0)

    def analyse_shared(self) -> None:
        """Look again for what several sessions did to the same files."""
        found = shared_path_findings(self.reader)
        known = self._found_before([SHARED])
        rows = [self._dated(finding_row(one, SHARED), known) for one in found]

        def change(connection: duckdb.DuckDBPyConnection) -> None:
            run(connection, "DELETE FROM finding WHERE scope = ?", SHARED)
            _insert(connection, _FINDING, rows)

        if rows or known:
            self._store.derive(change)
        self._tell(found, rows, known)

    # Storing

    def _store_all(
        self,
        waiting: Sequence[tuple[Family, list[list[Any]], list[Finding]]],
        analysed: Mapping[str, int],
    ) -> None:
        if not waiting and not analysed:
            return
        ids = [steps.session.session_id for family, _, _ in waiting for steps in family.sessions]
        known = self._found_before(ids)
        for _, derived, _ in waiting:
            derived[0] = [self._dated(row, known) for row in derived[0]]
        fresh = [one for one in waiting if one[0].root_id not in self._last]
        again = [one for one in waiting if one[0].root_id in self._last]

        def change(connection: duckdb.DuckDBPyConnection) -> None:
            sessions = [s.session.session_id for family, _, _ in fresh for s in family.sessions]
            for number, table in enumerate(TABLES):
                if sessions:
                    column = "scope" if table is _FINDING else "session_id"
                    run(
                        connection,
                        f"DELETE FROM {table.name} WHERE {column} IN (SELECT unnest(?::TEXT[]))",
                        sessions,
                    )
                added = [row for _, derived, _ in fresh for row in derived[number]]
                changed: list[Any] = []
                gone: list[Any] = []
                for family, derived, _ in again:
                    before = self._last[family.root_id][number]
                    now = _keyed(table, derived[number])
                    changed += [row for key, row in now.items() if before.get(key) != row]
                    gone += [row for key, row in before.items() if now.get(key) != row]
                _delete(connection, table, gone)
                _insert(connection, table, [*added, *changed])

        self._store.derive(change, analysed)
        for family, derived, findings in waiting:
            self._remember(family.root_id, derived)
            self._tell(findings, derived[0], known)

    def _remember(self, root_id: str, derived: list[list[Any]]) -> None:
        self._last.pop(root_id, None)
        if sum(map(len, derived)) > _REMEMBERED_ROWS:
            return
        self._last[root_id] = [
            _keyed(table, rows) for table, rows in zip(TABLES, derived, strict=True)
        ]
        while len(self._last) > _REMEMBERED_FAMILIES:
            self._last.popitem(last=False)

    def _found_before(self, scopes: Collection[str]) -> dict[str, int]:
        """When each finding of the scopes was found first."""
        rows = self.reader.rows(query("findings_known"), {"scopes": list(scopes)})
        return dict(rows)

    def _dated(self, row: FindingRow, known: Mapping[str, int]) -> FindingRow:
        return replace(row, found_ns=known.get(row.finding_id, row.found_ns))

    def _tell(
        self, findings: Sequence[Finding], rows: Sequence[FindingRow], known: Mapping[str, int]
    ) -> None:
        if self._found is None:
            return
        for finding, row in zip(findings, rows, strict=True):
            if row.finding_id not in known:
                self._found(finding)


def _keyed(table: Table, rows: Iterable[Any]) -> _Keyed:
    return {tuple(getattr(row, name) for name in table.key): row for row in rows}


def _delete(connection: duckdb.DuckDBPyConnection, table: Table, rows: list[Any]) -> None:
    if not rows:
        return
    source = f"gone_{table.name}"
    connection.register(source, table.arrow(rows, content=True).select(table.key))
    try:
        matching = " AND ".join(f"{table.name}.{name} = {source}.{name}" for name in table.key)
        run(connection, f"DELETE FROM {table.name} USING {source} WHERE {matching}")
    finally:
        connection.unregister(source)


def _insert(connection: duckdb.DuckDBPyConnection, table: Table, rows: list[Any]) -> None:
    if not rows:
        return
    source = f"incoming_{table.name}"
    rows = list(_keyed(table, rows).values())
    connection.register(source, table.arrow(rows, content=True))
    try:
        run(connection, f"INSERT INTO {table.name} BY NAME FROM {source}")
    finally:
        connection.unregister(source)


def analyse(
    store: Store,
    found: Callable[[Finding], None] | None = None,
    limits: RunawayLimits = DEFAULT,
) -> int:
    """Bring what analysis says of a store up to date; how many families of sessions changed."""
    return Analyst(store, found, limits).analyse_stale()


class Pace:
    """When to analyse again: soon after what is short, seldom what takes long."""

    def __init__(self, share: float = 0.1, clock: Callable[[], float] = time.monotonic) -> None:
        self.share = share  # of one processor
        self._clock = clock
        self._next = 0.0

    @property
    def wait_s(self) -> float:
        """Seconds until the next time."""
        return max(0.0, self._next - self._clock())

    def took(self, seconds: float) -> None:
        """A round took this long."""
        self._next = self._clock() + seconds * (1 / self.share - 1)
