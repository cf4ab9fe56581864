"""Numbered migrations: the SQL files of `collector/schema`, each applied once.

In: a DuckDB connection whose current catalog is the store. Out: the store at the newest schema
version, recorded in the table `schema_migration`. Each file is one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb

from collector.database import first_line, run
from collector.store_errors import NotAStore, StoreTooNew, StoreTooOld

SCHEMA = Path(__file__).parent / "schema"

_APPLIED = (
    "CREATE TABLE IF NOT EXISTS schema_migration"
    " (version BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_ns BIGINT NOT NULL)"
)
_RECORD = "INSERT INTO schema_migration VALUES (?, ?, epoch_ns(now()))"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file `NNNN_name.sql`."""

    version: int
    name: str
    sql: str


@cache
def migrations() -> tuple[Migration, ...]:
    """Every known migration, oldest first."""
    found = []
    for path in sorted(SCHEMA.glob("[0-9][0-9][0-9][0-9]_*.sql")):
        number, _, name = path.stem.partition("_")
        found.append(Migration(int(number), name, path.read_text(encoding="utf-8")))
    return tuple(found)


def known_version() -> int:
    """The schema version that this code reads and writes."""
    return migrations()[-1].version


def check_version(connection: duckdb.DuckDBPyConnection, path: Path, *, reading: bool) -> int:
    """The schema version of the file at `path`, 0 when it is new.

    Raises `NotAStore`, `StoreTooNew` and, when `reading`, `StoreTooOld`.
    """
    try:
        applied = _applied_version(connection)
    except duckdb.Error as error:
        raise NotAStore(path, f"it is damaged ({first_line(error)})") from error
    if applied is None or (reading and applied == 0):
        raise NotAStore(path, "it is a DuckDB file without underglass tables")
    if applied > known_version():
        raise StoreTooNew(path, applied, known_version())
    if reading and applied < known_version():
        raise StoreTooOld(path, applied, known_version())
    return applied


def migrate(connection: duckdb.DuckDBPyConnection, applied: int) -> None:
    """Apply what is newer than `applied`; a migration that fails leaves no trace."""
    for migration in migrations():
        if migration.version <= applied:
            continue
        run(connection, "BEGIN")
        try:
            run(connection, _APPLIED)
            run(connection, migration.sql)
            run(connection, _RECORD, migration.version, migration.name)
            run(connection, "COMMIT")
        except BaseException:
            run(connection, "ROLLBACK")
            raise


def _applied_version(connection: duckdb.DuckDBPyConnection) -> int | None:
    """0 when the catalog is empty, None when it holds something else."""
    tables = run(
        connection,
        "SELECT table_name FROM duckdb_tables() WHERE database_name = current_catalog()",
    )
    if ("schema_migration",) not in tables:
        return None if tables else 0
    ((newest,),) = run(connection, "SELECT max(version) FROM schema_migration")
    return int(newest or 0)
