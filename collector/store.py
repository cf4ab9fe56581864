"""The store: one DuckDB file with everything that was captured.

In: a `Batch` of rows at a time, from the pipeline. Out: the tables and views of
`collector/schema`, which `analysis.reading` reads. One collector owns a store; a batch is one
transaction, durable when `write` returns, and a reader sees all of it or nothing. Bodies are
kept once, compressed; known rows are not sent to DuckDB again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from collector.database import attach, create_private, first_line, run, wal_path
from collector.migrations import check_version, migrate
from collector.ownership import Ownership
from collector.rows import Batch
from collector.store_errors import StoreError, StoreUnreadable, StoreWriteFailed
from collector.tables import TABLES, Table

_KNOWN_KEYS = 1 << 17
_KNOWN_ROWS = 1 << 11
_T = TypeVar("_T")


class Store:
    """A store opened for writing. `write`, `cursor` and `close` may be called from any thread."""

    def __init__(self, path: Path, ownership: Ownership, *, content: bool) -> None:
        self.path = path
        self._ownership = ownership
        self._content = content
        self._known = {table.name: _Known(table) for table in TABLES}
        self._lock = threading.Lock()
        connection = self._connect()
        self._connection: duckdb.DuckDBPyConnection | None = connection
        self._writes = 0
        self._touched = _TouchedSessions()
        self._stale: dict[str, int] = {}
        self._read_stale(connection)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, content: bool = True) -> Store:
        """Open or create the store at `path`, and own it until `close`.

        Without `content`, bodies, tool arguments, result previews, request parameters and error
        messages are stored as NULL. Raises `StoreLocked`, `NotAStore`, `StoreTooNew` or
        `StoreUnreadable`; each leaves the file as it was.
        """
        place = Path(os.path.abspath(path))
        try:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnreadable(place, error.strerror or str(error)) from error
        ownership = Ownership(place)
        try:
            return cls(place, ownership, content=content)
        except BaseException:
            ownership.release()
            raise

    @property
    def ownership(self) -> Ownership:
        """The lock that this store holds, where its query socket is announced."""
        return self._ownership

    def write(self, batch: Batch) -> None:
        """Store the batch in one transaction. `StoreWriteFailed` when it cannot; none is kept."""
        with self._lock:
            fresh = [(table, self._fresh(table, batch)) for table in TABLES]
            sessions = self._touched.by(batch)
            changed = [(table, keyed) for table, keyed in fresh if keyed]
            if changed:
                with self._transaction() as connection:
                    self._insert(connection, changed)
                    _mark_stale(connection, [one for one in sessions if one not in self._stale])
            for table, keyed in changed:
                self._known[table.name].add(keyed)
            self._writes += 1
            self._stale.update(dict.fromkeys(sessions, self._writes))

    def stale_sessions(self) -> dict[str, int]:
        """Sessions of which rows were written since `derive` named them; each with a number that
        changes when more are written."""
        with self._lock:
            return dict(self._stale)

    def mark_all_stale(self) -> None:
        """As if rows of every session had been written just now."""
        with self._lock:
            connection = self._open_connection()
            run(
                connection,
                "INSERT INTO stale_session SELECT session_id FROM session"
                " WHERE session_id NOT IN (FROM stale_session)",
            )
            self._read_stale(connection)

    def _read_stale(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._writes += 1
        marked = run(connection, "SELECT session_id FROM stale_session")
        self._stale = dict.fromkeys((session_id for (session_id,) in marked), self._writes)

    def derive(
        self,
        change: Callable[[duckdb.DuckDBPyConnection], None],
        analysed: Mapping[str, int] | None = None,
    ) -> None:
        """Let `change` alter tables that no batch writes, in one transaction.

        Of the sessions `analysed`, as `stale_sessions` told them, those of which nothing was
        written since are no longer stale. Fails as `transact` does.
        """
        with self._lock:
            current = [one for one, at in (analysed or {}).items() if self._stale.get(one) == at]
            with self._transaction() as connection:
                change(connection)
                if current:
                    run(
                        connection,
                        "DELETE FROM stale_session WHERE session_id IN (SELECT unnest(?::TEXT[]))",
                        current,
                    )
            for session_id in current:
                del self._stale[session_id]

    def transact(self, change: Callable[[duckdb.DuckDBPyConnection], _T]) -> _T:
        """What `change` returns, which it may alter the store for in one transaction.

        When it or the commit fails the store is as before, and `StoreWriteFailed` is raised for
        what DuckDB refused.
        """
        with self._lock:
            try:
                with self._transaction() as connection:
                    result = change(connection)
                self._read_stale(connection)
            finally:
                self._known = {table.name: _Known(table) for table in TABLES}
            return result

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One transaction; when it fails nothing of it is kept. Raises `StoreWriteFailed`."""
        try:
            connection = self._open_connection()
        except (duckdb.Error, StoreError) as error:
            raise StoreWriteFailed(self.path, first_line(error)) from error
        try:
            create_private(wal_path(self.path))
            run(connection, "BEGIN")
            yield connection
            run(connection, "COMMIT")
        except duckdb.Error as error:
            self._recover()
            raise StoreWriteFailed(self.path, first_line(error)) from error
        except BaseException:
            self._recover()
            raise

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection to the same store, for reading beside the writer. The caller closes it."""
        with self._lock:
            cursor = self._open_connection().cursor()
        run(cursor, "USE store")
        return cursor

    def checkpoint(self) -> None:
        """Move everything from the write-ahead log into the file."""
        with self._lock:
            try:
                run(self._open_connection(), "CHECKPOINT store")
            except duckdb.Error as error:
                self._recover()
                raise StoreWriteFailed(self.path, first_line(error)) from error

    def close(self) -> None:
        """Checkpoint, close and give the store up. What was written stays even if that fails."""
        with self._lock:
            connection, self._connection = self._connection, None
            try:
                if connection is not None:
                    run(connection, "CHECKPOINT store")
                    run(connection, "USE memory")
                    run(connection, "DETACH store")
            except duckdb.Error:
                pass  # the write-ahead log has it; the next open replays it
            finally:
                if connection is not None:
                    connection.close()
                self._ownership.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fresh(self, table: Table, batch: Batch) -> dict[Hashable, Any]:
        """The batch's rows that the table does not hold yet, by key."""
        keyed = table.rows_of(batch)
        known = self._known[table.name]
        if table.write_once:
            return {key: row for key, row in keyed.items() if key not in known}
        return {key: row for key, row in keyed.items() if known.get(key) != row}

    def _insert(
        self,
        connection: duckdb.DuckDBPyConnection,
        changed: list[tuple[Table, dict[Hashable, Any]]],
    ) -> None:
        for table, keyed in changed:
            source = f"incoming_{table.name}"
            connection.register(source, table.arrow(keyed.values(), content=self._content))
            try:
                run(connection, table.merge_sql(source))
            finally:
                try:
                    connection.unregister(source)
                except duckdb.Error:
                    pass  # the connection is lost; `_recover` opens another

    def _open_connection(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            if self._ownership.released:
                raise StoreError(f"the store {self.path} is closed")
            self._connection = self._connect()
        return self._connection

    def _recover(self) -> None:
        """Leave no transaction open; when DuckDB gave the database up, open it anew."""
        connection = self._connection
        if connection is None:
            return
        try:
            run(connection, "ROLLBACK")
        except duckdb.Error:
            pass  # the failed commit ended it, or the database is gone
        try:
            run(connection, "SELECT count(*) FROM capture")
        except duckdb.Error:
            self._connection = None
            connection.close()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = attach(self.path, writing=True)
        try:
            applied = check_version(connection, self.path, reading=False)
            migrate(connection, applied)
        except duckdb.Error as error:
            connection.close()
            raise StoreUnreadable(self.path, first_line(error)) from error
        except BaseException:
            connection.close()
            raise
        return connection


def _mark_stale(connection: duckdb.DuckDBPyConnection, session_ids: list[str]) -> None:
    if session_ids:
        run(connection, "INSERT INTO stale_session SELECT unnest(?::TEXT[])", session_ids)


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
