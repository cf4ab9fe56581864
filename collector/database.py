"""One DuckDB file, opened as a store should be.

In: a path. Out: a connection whose current catalog is the file, cut off from every other file
and from extension downloads, and the store's own errors instead of DuckDB's. `collector.store`
opens for writing, `analysis.reading` for reading.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import duckdb

from collector.store_errors import NotAStore, StoreError, StoreLocked, StoreUnreadable

# Storage version 1.4 is the oldest that every supported DuckDB writes with zstd text; small blocks
# keep small stores small, small row groups bound what a checkpoint rewrites.
_CREATING = "STORAGE_VERSION 'v1.4.0', BLOCK_SIZE 16384, ROW_GROUP_SIZE 2048"
_WRITING = "ROW_GROUP_SIZE 2048"
_READING = "READ_ONLY"
_MAGIC_AT, _MAGIC = 8, b"DUCK"
_BEFORE = (
    "SET GLOBAL TimeZone = 'UTC'",
    "SET enable_progress_bar = false",  # it would stand among the data on standard output
    "SET wal_autocheckpoint = '4MB'",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET late_materialization_max_rows = 100000",  # sorts first, then reads the rows that are left
    "SET temp_directory = ''",  # nothing captured is spilled to files of its own
)
_AFTER = (
    "SET enable_external_access = false",
    "SET lock_configuration = true",
    "USE store",
)


def run(connection: duckdb.DuckDBPyConnection, sql: str, *parameters: Any) -> list[Any]:
    """Execute and fetch every row, which leaves the connection free for the next statement."""
    return connection.execute(sql, list(parameters) or None).fetchall()


def attach(path: Path, *, writing: bool) -> duckdb.DuckDBPyConnection:
    """A connection of its own to the file, as catalog `store`, which reaches no other file.

    When `writing`, a missing file is created, readable by its owner alone. Raises
    `StoreLocked`, `NotAStore` or `StoreUnreadable`. Opens and closes the file before DuckDB
    does: call it only where this process has the file open nowhere else, for closing any
    descriptor drops the process's POSIX locks on the file.
    """
    new = _check_magic(path)
    options = _READING if not writing else _CREATING if new else _WRITING
    quoted = str(path).replace("'", "''")
    connection = duckdb.connect()
    mask = os.umask(0o077) if writing and new else None
    try:
        for setting in _BEFORE:
            run(connection, setting)
        run(connection, f"ATTACH '{quoted}' AS store ({options})")
        if writing:
            create_private(wal_path(path))
        for setting in _AFTER:
            run(connection, setting)
    except duckdb.Error as error:
        connection.close()
        raise _refusal(path, str(error), writing=writing) from error
    finally:
        if mask is not None:
            os.umask(mask)
    return connection


def _check_magic(path: Path) -> bool:
    """Whether the file is still to be made. `NotAStore` when it is there and not DuckDB's."""
    try:
        with path.open("rb") as file:
            head = file.read(_MAGIC_AT + len(_MAGIC))
    except FileNotFoundError:
        return True
    except IsADirectoryError as error:
        raise NotAStore(path, "it is a directory") from error
    except OSError as error:
        raise StoreUnreadable(path, error.strerror or str(error)) from error
    if head[_MAGIC_AT:] != _MAGIC:
        raise NotAStore(path, "it is no DuckDB file" if head else "it is empty")
    return False


def wal_path(path: Path) -> Path:
    """DuckDB's write-ahead log for the file."""
    return path.with_name(path.name + ".wal")


def create_private(path: Path) -> bool:
    """Create the file, for its owner alone, before DuckDB does so with wider permissions."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        return True
    except OSError:
        return False  # it is there, or DuckDB will say what is wrong


def first_line(error: Exception) -> str:
    """The first line of what DuckDB says."""
    return str(error).partition("\n")[0]


def _refusal(path: Path, said: str, *, writing: bool) -> StoreError:
    """The error that DuckDB's words mean."""
    line = said.partition("\n")[0]
    if "onflicting lock" in said or "already attached" in said:
        number = said.partition("(PID ")[2].partition(")")[0]
        pid = int(number) if number.isdecimal() else None
        owner = f"pid {pid}" if pid is not None else "this process"
        return StoreLocked(path, pid=pid, owner=owner, writing=writing)
    if any(word in said.lower() for word in ("serialization", "checksum", "corrupt")):
        return NotAStore(path, f"it is damaged ({line})")
    return StoreUnreadable(path, line)
