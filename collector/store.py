"""The store: one DuckDB file with everything that was captured.

In: a `Batch` of rows at a time, from the pipeline. Out: the tables and views of
`collector/schema`, which `analysis.reading` reads. One collector owns a store; a batch is one
transaction, durable when `write` returns, and a reader sees all of it or nothing. Bodies are
kept once, compressed; known rows are not sent to DuckDB again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa

from collector.changed_rows import ChangedRows
from collector.database import attach, create_private, first_line, run, wal_path
from collector.migrations import check_version, migrate
from collector.ownership import Ownership
from collector.rows import Batch
from collector.store_errors import StoreError, StoreUnreadable, StoreWriteFailed
from collector.tables import TABLES, Table

_TABLES = {table.name: table for table in TABLES}
_T = TypeVar("_T")


class Store:
    """A store opened for writing. `write`, `merge`, `cursor` and `close` may be called from any
    thread."""

    def __init__(self, path: Path, ownership: Ownership, *, content: bool) -> None:
        self.path = path
        self._ownership = ownership
        self._content = content
        self._changed = ChangedRows(content=content)
        self._lock = threading.Lock()
        connection = self._connect()
        self._connection: duckdb.DuckDBPyConnection | None = connection
        self._writes = 0
        self._stale: dict[str, int] = {}
        self._read_stale(connection)
        if run(connection, "SELECT 1 FROM running_answer LIMIT 1"):  # a collector was killed
            run(connection, "DELETE FROM running_answer")

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, content: bool = True, joinable: bool = False
    ) -> Store:
        """Open or create the store at `path`, and own it until `close`.

        Without `content`, bodies, tool arguments, result previews, request parameters and error
        messages are stored as NULL. `joinable`: other captures may hand their rows over, at a
        socket that will be announced (`collector.join_service`). Raises `StoreLocked`, `NotAStore`,
        `StoreTooNew` or `StoreUnreadable`; each leaves the file as it was.
        """
        place = Path(os.path.abspath(path))
        try:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnreadable(place, error.strerror or str(error)) from error
        ownership = Ownership(place, joinable=joinable)
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
            change = self._changed.of(batch)
            self._merge(change.tables, change.sessions)
            self._changed.stored(change)

    def merge(self, tables: Mapping[str, pa.Table], sessions: Collection[str]) -> None:
        """Store rows as `collector.changed_rows` makes them, which belong to `sessions`, in one
        transaction. Raises as `write` does; `ValueError` when a table is not one of the store."""
        with self._lock:
            self._merge(
                {name: self._storable(name, rows) for name, rows in tables.items()}, sessions
            )

    def _storable(self, name: str, rows: pa.Table) -> pa.Table:
        """The rows, without content when none is kept here."""
        table = _TABLES.get(name)
        if table is None or not rows.schema.equals(table.schema):
            raise ValueError(f"rows of {name} are not as this version has them")
        if not self._content:
            for column in table.content_columns:
                place = rows.schema.get_field_index(column)
                empty = pa.nulls(len(rows), rows.schema.field(place).type)
                rows = rows.set_column(place, rows.schema.field(place), empty)
        return rows

    def _merge(self, tables: Mapping[str, pa.Table], sessions: Collection[str]) -> None:
        if tables:
            with self._transaction() as connection:
                for name, table in _TABLES.items():
                    if name in tables:
                        _insert(connection, table, tables[name])
                _mark_stale(connection, [one for one in sessions if one not in self._stale])
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
                self._changed.forget()
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


def _insert(connection: duckdb.DuckDBPyConnection, table: Table, rows: pa.Table) -> None:
    source = f"incoming_{table.name}"
    connection.register(source, rows)
    try:
        run(connection, table.merge_sql(source))
    finally:
        try:
            connection.unregister(source)
        except duckdb.Error:
            pass  # the connection is lost; `_recover` opens another
