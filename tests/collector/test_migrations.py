"""Migrations run once each, in order, whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collector import migrations
from collector.database import attach, run
from collector.migrations import Migration, check_version, migrate
from collector.rows import Batch
from collector.store import Store
from collector.store_errors import StoreUnreadable
from tests.collector.store_rows import call


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[Migration]:
    found = list(migrations.migrations())
    monkeypatch.setattr(migrations, "migrations", lambda: tuple(found))
    return found


def test_migrations_are_numbered_without_gaps() -> None:
    numbers = [migration.version for migration in migrations.migrations()]
    assert numbers == list(range(1, len(numbers) + 1))
    for path in migrations.SCHEMA.iterdir():
        assert re.fullmatch(r"\d{4}_[a-z_]+\.sql", path.name)


def test_a_later_migration_is_applied_once_to_a_store_with_data(
    tmp_path: Path, known: list[Migration]
) -> None:
    path = tmp_path / "s.db"
    with Store.open(path) as store:
        store.write(Batch(calls=[call()]))
    version = known[-1].version + 1
    known.append(Migration(version, "note", "CREATE TABLE note (text TEXT)"))
    for _ in range(2):
        with Store.open(path) as store:
            cursor = store.cursor()
            run(cursor, "INSERT INTO note VALUES ('x')")
            names = run(cursor, "SELECT version, name FROM schema_migration ORDER BY 1")
            cursor.close()
        assert names[-1] == (version, "note")
        assert len(names) == len(known)
    with Store.open(path) as store:
        cursor = store.cursor()
        assert run(cursor, "SELECT (SELECT count(*) FROM note), count(*) FROM calls") == [(2, 1)]
        cursor.close()


def test_a_migration_that_fails_leaves_no_trace(tmp_path: Path, known: list[Migration]) -> None:
    path = tmp_path / "s.db"
    Store.open(path).close()
    applied = known[-1].version
    known.append(Migration(applied + 1, "bad", "CREATE TABLE note (a INT); SELECT nonsense"))
    with pytest.raises(StoreUnreadable, match="nonsense"):
        Store.open(path)
    connection = attach(path, writing=True)
    assert check_version(connection, path, reading=False) == applied
    assert run(connection, "SELECT * FROM duckdb_tables() WHERE table_name = 'note'") == []
    del known[-1]
    migrate(connection, applied)
    connection.close()


def test_a_store_of_the_first_release_keeps_its_calls(
    tmp_path: Path, known: list[Migration]
) -> None:
    path = tmp_path / "s.db"
    later = known[1:]
    del known[1:]
    connection = attach(path, writing=True)
    migrate(connection, 0)
    run(
        connection,
        "INSERT INTO llm_call (call_id, session_id, pid, provider, api, started_ns, status,"
        " stream, complete, tool_call_count, request_bytes, lost_bytes)"
        " VALUES ('c0', 's0', 1, 'openai', 'openai.chat', 5, 'ok', true, true, 0, 9, 0)",
    )
    run(
        connection, "INSERT INTO tls_library VALUES ('k', '/lib', '', 'openssl', 'hooked', '', [1])"
    )
    connection.close()
    known += later
    with Store.open(path) as store:
        store.write(Batch(calls=[call(tls_stack="rustls", remote_address="127.0.0.1:443")]))
        cursor = store.cursor()
        found = run(cursor, "SELECT call_id, tls_stack, remote_address FROM calls ORDER BY 1")
        assert found == [("c0", None, None), ("c1", "rustls", "127.0.0.1:443")]
        assert run(cursor, "SELECT * FROM coverage") == []
        cursor.close()
