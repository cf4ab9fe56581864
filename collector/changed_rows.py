"""Which rows of a batch are news, so that known ones are not sent to a store again.

In: a `Batch`, with rows that earlier batches held, too. Out: a `Change`: Arrow tables of the new
rows, and the sessions that they belong to. It stands before `Store.merge`, in the process that owns
a store and in one that has joined it.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from collector.rows import Batch
from collector.tables import TABLES, Table

if TYPE_CHECKING:
    import pyarrow as pa

_KNOWN_KEYS = 1 << 17
_KNOWN_ROWS = 1 << 11


@dataclass(frozen=True, slots=True)
class Change:
    """New rows by table and key, as Arrow tables by table name, and their sessions' ids."""

    rows: tuple[tuple[Table, dict[Hashable, Any]], ...]
    tables: dict[str, pa.Table]
    sessions: frozenset[str]


class ChangedRows:
    """Remembers what one capture has stored lately. Without `content` no text is in a `Change`."""

    def __init__(self, *, content: bool) -> None:
        self._content = content
        self._known = {table.name: _Known(table) for table in TABLES}
        self._touched = _TouchedSessions()

    def of(self, batch: Batch) -> Change:
        """What is new in a batch. Asked again before `stored` it is the same."""
        keyed = [(table, self._fresh(table, batch)) for table in TABLES]
        rows = tuple((table, found) for table, found in keyed if found)
        tables = {
            table.name: table.arrow(found.values(), content=self._content) for table, found in rows
        }
        return Change(rows, tables, frozenset(self._touched.by(batch)))

    def stored(self, change: Change) -> None:
        """A change is durable: its rows are known from now on."""
        for table, keyed in change.rows:
            self._known[table.name].add(keyed)

    def forget(self) -> None:
        """Others may have changed the store: nothing is known of it."""
        self._known = {table.name: _Known(table) for table in TABLES}

    def _fresh(self, table: Table, batch: Batch) -> dict[Hashable, Any]:
        """The batch's rows that the table does not hold yet, by key."""
        keyed = table.rows_of(batch)
        known = self._known[table.name]
        if table.write_once:
            return {key: row for key, row in keyed.items() if key not in known}
        return {key: row for key, row in keyed.items() if known.get(key) != row}


class _TouchedSessions:
    """Which sessions the rows of a batch belong to; what processes did, to those of the latest
    processes."""

    def __init__(self) -> None:
        self._of_process: dict[str, str] = {}

    def by(self, batch: Batch) -> set[str]:
        """Their ids."""
        named: tuple[Any, ...] = (*batch.sessions, *batch.calls, *batch.tool_calls)
        sessions = {row.session_id for row in named}
        for process in batch.processes:
            if process.session_id is not None:
                sessions.add(process.session_id)
                self._of_process[process.process_key] = process.session_id
        actions: tuple[Any, ...] = (
            *(batch.file_events, batch.network_events),
            *(batch.privilege_changes, batch.content_sightings),
        )
        for row in chain.from_iterable(actions):
            session_id = self._of_process.get(row.process_key)
            if session_id is not None:
                sessions.add(session_id)
        for process_key in list(
            islice(self._of_process, max(0, len(self._of_process) - _KNOWN_KEYS))
        ):
            del self._of_process[process_key]
        return sessions


class _Known:
    """What was stored most recently, so that a row sent again costs one lookup.

    Keeps the row itself where a later one may differ, else only its key.
    """

    def __init__(self, table: Table) -> None:
        self._keep_rows = not table.write_once
        self._limit = _KNOWN_ROWS if self._keep_rows else _KNOWN_KEYS
        self._rows: dict[Hashable, Any] = {}

    def __contains__(self, key: Hashable) -> bool:
        return key in self._rows

    def get(self, key: Hashable) -> Any:
        return self._rows.get(key)

    def add(self, keyed: dict[Hashable, Any]) -> None:
        self._rows.update(keyed if self._keep_rows else dict.fromkeys(keyed))
        for key in list(islice(self._rows, max(0, len(self._rows) - self._limit))):
            del self._rows[key]
