"""What several sessions did to one file, from rows in a store to its table of findings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.analyst import SHARED, analyse
from collector.rows import Batch, FileEventRow, SessionRow
from collector.store import Store
from tests.analysis.test_findings import call_row, process_row

S = 1_000_000_000
PIDS = {"a": 10, "b": 20}
FILE, OTHER_NAME, UNRELATED = "/work/plan.md", "/work/by-another-name.md", "/work/unrelated.md"
INODE = 7


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "s.db") as store:
        for name, pid in PIDS.items():
            store.write(
                Batch(
                    sessions=[SessionRow(name, "read", name, None, None, pid, 1)],
                    calls=[call_row(1, name, None)],
                    processes=[process_row(pid, 1, name, 1000, name)],
                )
            )
        yield store


def did(
    name: str, second: int, path: str, *, operation: str = "open", inode: int | None = None
) -> FileEventRow:
    """One event; an open truncates what was there."""
    opens = operation == "open"
    return FileEventRow(
        f"{name}-{second}", "capture", f"boot-{PIDS[name]}", PIDS[name], second * S, second * S, 1,
        operation, "write" if opens else None, path, None, None, truncates=opens, creates=opens,
        device=None if inode is None else 5, inode=inode,
    )  # fmt: skip


def found(store: Store, *events: FileEventRow) -> list[tuple[Any, ...]]:
    """Kind, session and number of the findings about several sessions."""
    store.write(Batch(file_events=list(events)))
    analyse(store)
    with store.cursor() as cursor:
        return cursor.execute(
            "SELECT kind, session_id, count FROM finding WHERE scope = ?", [SHARED]
        ).fetchall()


def test_two_sessions_that_write_one_path_in_turn(store: Store) -> None:
    events = [did("ab"[n % 2], 10 * n, FILE) for n in range(1, 5)]
    others = [did(name, 100 + n, f"/work/{name}") for n, name in enumerate("aabb")]
    assert found(store, *events, *others) == [("write_conflict", "b", 3)]
    with store.cursor() as cursor:
        ((evidence,),) = cursor.execute("SELECT evidence::TEXT FROM finding").fetchall()
    assert {event.file_event_id for event in events} <= {
        one["id"] for one in json.loads(evidence) if one["kind"] == "file"
    }


def test_two_names_of_one_file(store: Store) -> None:
    events = [did("ab"[n % 2], 10 * n, (FILE, OTHER_NAME)[n % 2], inode=INODE) for n in range(1, 5)]
    unrelated = did("a", 90, UNRELATED, inode=INODE + 1)
    assert found(store, *events, unrelated) == [("write_conflict", "b", 3)]


def test_the_same_number_on_another_device_or_of_a_later_file_is_another_file(
    store: Store,
) -> None:
    events = [
        did("a", 1, FILE, inode=INODE),
        did("a", 2, FILE, operation="unlink"),
        did("b", 3, OTHER_NAME, inode=INODE),
        did("a", 4, UNRELATED),
        did("b", 5, f"{UNRELATED}.2"),
    ]
    assert found(store, *events) == []


def test_a_store_in_which_sessions_share_nothing(store: Store) -> None:
    events = [did(name, 10 * n, f"/work/{name}", inode=n) for n, name in enumerate("abab", 1)]
    assert found(store, *events) == []
    assert found(store) == []


def test_a_finding_goes_when_its_file_is_no_longer_shared(store: Store) -> None:
    assert len(found(store, did("a", 1, FILE), did("b", 20, FILE))) == 1
    store.transact(
        lambda connection: (
            connection.execute("DELETE FROM file_event WHERE file_event_id = 'b-20'")
            and connection.execute("INSERT INTO stale_session VALUES ('b')")
        )
    )
    assert found(store) == []
