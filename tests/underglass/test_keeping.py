"""A store passes from owner to owner, and each row is in it exactly once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from analysis.reading import open_reader
from analysis.runaways import DEFAULT
from analysis.steps import Evidence, Finding
from collector.capture_scope import CaptureScope
from collector.ownership import is_owned
from collector.rows import Batch
from collector.store import Store
from collector.store_errors import StoreLocked, StoreWriteFailed
from probes.client import ProbeClient
from probes.events import ProbeState
from tests.collector.store_rows import call, contents_of, health, session
from underglass import keeping
from underglass.keeping import Keeping
from underglass.peers import Peers


@pytest.fixture(autouse=True)
def _runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))


class Probe:
    """Remembers what it was asked."""

    pid = 0

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def control(self, operation: str, **arguments: Any) -> None:
        self.asked.append((operation, arguments))


@contextmanager
def kept(path: Path, *, pid: int | None = None, **how: Any) -> Iterator[Keeping]:
    opened = keep(path, pid=pid, **how)
    try:
        yield opened
    finally:
        opened.close()


def keep(path: Path, *, pid: int | None = None, content: bool = True, **how: Any) -> Keeping:
    return Keeping(
        path,
        content=content,
        scope=CaptureScope(pid or os.getpid(), 0, "underglass run -- x", held=True),
        peers=Peers(cast(ProbeClient, Probe())),
        limits=DEFAULT,
        **how,
    )


def batch(number: int) -> Batch:
    return Batch(
        sessions=[session(f"s{number}")],
        calls=[call(f"c{number}-{each}", session_id=f"s{number}") for each in range(3)],
        contents=contents_of("shared", f"own{number}"),
        health=[health(number)],
    )


def select(path: Path, sql: str) -> list[Any]:
    with open_reader(path) as reader:
        return list(reader.rows(sql).rows)


CALLS = "SELECT call_id FROM llm_call ORDER BY 1"

OWNER = """
import os, signal, sys
from pathlib import Path
from collector import join_messages, store
from tests.underglass.test_keeping import keep

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

keeping = keep(Path(sys.argv[1]))
if sys.argv[2] == "in the middle of a put":
    insert = store._insert
    def insert_and_die(connection, table, rows):
        insert(connection, table, rows)
        if table.name == "llm_call" and "c2-0" in rows.column("call_id").to_pylist():
            die()
    store._insert = insert_and_die
elif sys.argv[2] == "before the ack":
    send = join_messages.Line.send
    def send_or_die(line, operation, tables=None, **head):
        if operation == "written" and head["id"] == 2:
            die()
        send(line, operation, tables, **head)
    join_messages.Line.send = send_or_die
print("owns", flush=True)
sys.stdin.read()
keeping.finish()
keeping.close()
"""


def start_owner(path: Path, dies: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(path), dies],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "owns\n"
    return process


@pytest.mark.parametrize("when", ["between two puts", "in the middle of a put", "before the ack"])
def test_an_owner_that_is_killed_costs_no_row(
    tmp_path: Path, when: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.db"
    owner = start_owner(path, when)
    try:
        with kept(path) as joined:
            joined.write(batch(1))
            _, announced = is_owned(path)
            assert announced is not None
            assert announced.pid == owner.pid
            if when == "between two puts":
                owner.kill()
                owner.wait()
            joined.write(batch(2))
            assert owner.wait() == -signal.SIGKILL
            joined.write(batch(3))
            _, announced = is_owned(path)
            assert announced is not None
            assert announced.pid == os.getpid()
            assert joined.finish() == 0
    finally:
        owner.kill()
        owner.communicate()
    assert select(path, CALLS) == [(f"c{n}-{each}",) for n in (1, 2, 3) for each in range(3)]
    assert select(path, "SELECT count(*) FROM content") == [(4,)]
    assert select(path, "SELECT value FROM health_counter") == [(3,)]
    assert select(path, "SELECT count(*) FROM stale_session") == [(0,)]  # all were analysed
    assert capsys.readouterr().err == ""


def test_an_owner_that_ends_leaves_the_store_to_its_joiners(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.db"
    first = keep(path)
    with kept(path) as second, kept(path) as third:
        for number, one in enumerate((first, second, third)):
            one.write(batch(number))
        first.finish()
        second.write(batch(3))  # first analyses what is left, and owns the store until then
        with pytest.raises(StoreLocked):
            Store.open(path)
        first.close()
        second.write(batch(4))
        third.write(batch(5))
        third.write(batch(6))
        assert select(path, "SELECT count(*) FROM llm_call") == [(21,)]
        assert third.finish() == 0
        assert second.finish() == 0
    assert select(path, "SELECT count(*), count(DISTINCT call_id) FROM llm_call") == [(21, 21)]
    assert capsys.readouterr().err == ""


def test_the_last_rows_wait_for_the_next_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.db"
    monkeypatch.setattr(keeping, "_PATIENCE_S", 0.05)
    first, second = keep(path), keep(path)
    first.finish()  # it goes on owning the store, and takes no more rows
    second.write(batch(1))
    monkeypatch.setattr(keeping, "_LAST_PATIENCE_S", 0.2)
    monkeypatch.setattr(keeping, "_QUIET_S", 0.1)
    assert second.finish() == batch(1).size
    assert "is in use by pid" in capsys.readouterr().err
    second.close()
    first.close()


def test_an_owner_that_takes_no_rows_is_named_at_once(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.db"), pytest.raises(StoreLocked, match=f"pid {os.getpid()}"):
        keep(tmp_path / "s.db")
    with kept(tmp_path / "s.db"), pytest.raises(StoreLocked):
        keep(tmp_path / "s.db", joins=False)


def test_whether_content_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.db"
    with kept(path, content=False), kept(path) as joined:
        assert not joined.content
        assert f"pid {os.getpid()}, which owns the store, keeps no content" in (
            capsys.readouterr().err
        )
    owner = keep(path)
    with kept(path, content=False) as without, kept(path) as with_content:
        assert (without.content, with_content.content) == (False, True)
        without.write(Batch(contents=contents_of("a", "b")))
        owner.close()
        without.write(Batch(contents=contents_of("c")))  # owns the store now
        with_content.write(Batch(contents=contents_of("a", "d")))
        found = "SELECT content_hash FROM content WHERE body IS NOT NULL ORDER BY 1"
        assert select(path, found) == [("h-a",), ("h-d",)]
    assert capsys.readouterr().err == ""


def test_findings_of_a_joiners_sessions_are_told_to_it(tmp_path: Path) -> None:
    alerts = tmp_path / "alerts"
    first = keep(tmp_path / "s.db")
    with kept(tmp_path / "s.db") as owner, kept(tmp_path / "s.db", alerts=alerts) as joined:
        joined.write(Batch(sessions=[session()]))
        first.finish()
        first.close()
        owner.write(Batch())  # owns the store now
        joined.write(Batch())
        assert owner._owned is not None
        evidence = (Evidence("call", "c1", "the first", 5, 6),)
        owner._owned._found(Finding("loop", "s1", "warning", 1, 2, "a loop", evidence, 3))
        owner._owned._found(Finding("loop", "s2", "warning", 1, 2, "another", ()))
        joined.finish()
    (line,) = alerts.read_text().splitlines()
    assert '"title": "a loop"' in line
    assert '"note": "the first"' in line


# Peers


def test_what_others_watch_is_left_out_until_they_are_gone() -> None:
    asked = Probe()
    peers = Peers(cast(ProbeClient, asked))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        scope = CaptureScope(other.pid, 7, "underglass run -- x", (8, 9))
        assert not peers.leave_out(scope, timeout_s=0.01)
        told = f'{{"watcher": {other.pid}, "pids": [8, 9]}}'
        peers.told(ProbeState(1, "ready", "", None, 3))
        peers.told(ProbeState(1, "left_out", '{"watcher": 1}', None, 3))
        peers.told(ProbeState(1, "left_out", told, None, 3))
        assert peers.leave_out(scope)  # asks the probe process once
        peers.look()
        other.kill()
        other.wait()
        peers.look()
        peers.look()
    assert asked.asked == [
        ("leave_out", {"watcher": other.pid, "own": [other.pid, 7], "roots": [8, 9]}),
        ("take_back", {"watcher": other.pid}),
    ]
    assert peers.leave_out(scope)  # it is gone
    peers.close()


def test_a_writer_without_an_owner_keeps_what_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_PATIENCE_S", 0.02)
    first, second = keep(tmp_path / "s.db"), keep(tmp_path / "s.db")
    first.finish()
    for number in range(5):
        second.write(batch(number))
    with pytest.raises(StoreWriteFailed):
        second._store(batch(9))
    first.close()
    second.write(Batch())
    assert select(tmp_path / "s.db", "SELECT count(*) FROM llm_call") == [(15,)]
    assert second.finish() == 0
    second.close()
