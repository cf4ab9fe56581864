"""What a real program does, in the store: each call of it once, against the program's own log."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.collector.captures import tables_of
from tests.e2e.conftest import PROGRAMS, UNDERGLASS, Watched

pytestmark = pytest.mark.privileged
NAME_SERVER = "127.0.53.54"  # nobody else's
RESOLVED = "127.0.0.95"
ACTIONS = ("file_event", "network_event", "privilege_change")
Record = dict[str, Any]


@pytest.fixture
def name_server() -> Iterator[None]:
    """Has the address RESOLVED for every name."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((NAME_SERVER, 53))

    def serve() -> None:
        while (asked := server.recvfrom(512))[0] != b"end":
            question, peer = asked
            record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(RESOLVED)
            server.sendto(
                question[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0) + question[12:] + record, peer
            )

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    server.sendto(b"end", (NAME_SERVER, 53))
    thread.join()
    server.close()


@pytest.fixture
def listener() -> Iterator[int]:
    """A port where every connection is answered in plain HTTP and ended."""
    server = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    ending = False

    def serve() -> None:
        while True:
            connection, _ = server.accept()
            if ending:
                return
            connection.settimeout(5)
            with connection:
                if connection.recv(4096).startswith(b"GET"):
                    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    port = int(server.getsockname()[1])
    yield port
    ending = True
    socket.create_connection(("::1", port)).close()
    thread.join()
    server.close()


@pytest.fixture
def acted(tmp_path: Path, name_server: None, listener: int) -> tuple[Watched, Record, Path]:
    """The store, the program's log, and the recording of it."""
    folder = tmp_path / "acted-on"
    folder.mkdir()
    store, recording = tmp_path / "s.db", tmp_path / "s.uglass"
    command: list[str | Path] = [
        sys.executable,
        PROGRAMS / "acting.py",
        folder,
        NAME_SERVER,
        str(listener),
    ]
    done = subprocess.run(
        [UNDERGLASS, "run", "--db", store, "--record", recording, "--", *command],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return Watched(store, 0, done.stdout, done.stderr), json.loads(done.stdout), recording


FILE_FIELDS = (
    *("pid", "operation", "access", "path", "new_path", "error", "creates", "exclusive"),
    *("truncates", "appends", "mode", "size_bytes"),
)
FLAGS = frozenset({"creates", "exclusive", "truncates", "appends"})
CONNECT_FIELDS = ("pid", "transport", "address", "port", "error", "name", "name_source")


def counted(rows: Iterable[Record], fields: tuple[str, ...]) -> Counter[tuple[Any, ...]]:
    """How often each event was, by what the program's log says of it."""
    found: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        key = tuple(row.get(name, False if name in FLAGS else None) for name in fields)
        found[key] += row.get("count", 1)
    return found


def test_every_call_is_in_the_store_once(acted: tuple[Watched, Record, Path]) -> None:
    watched, log, _ = acted
    files = watched.rows("FROM file_events WHERE path LIKE '%acted-on/%' ORDER BY first_at")
    assert counted(files, FILE_FIELDS) == counted(log["files"], FILE_FIELDS)
    assert len(files) < len(log["files"])
    (program,) = watched.rows(
        "FROM processes WHERE process_key IN (SELECT process_key FROM file_events"
        f" WHERE pid = {log['files'][0]['pid']} AND path LIKE '%acted-on/%')"
    )
    assert str(PROGRAMS / "acting.py") in program["argv"]
    assert {row["comm"] for row in files} == {program["comm"]}
    assert all((row["inode"] is not None) == (row["operation"] == "open" and not row["error"])
               for row in files)  # fmt: skip

    connects = watched.rows("FROM network_events ORDER BY first_at")
    assert counted(connects, CONNECT_FIELDS) == counted(log["connects"], CONNECT_FIELDS)

    for source in ("file", "network", "privilege", "process"):
        assert watched.health(source, "lost_events") == 0
    assert watched.health("file", "truncated_paths") == 0
    assert watched.health("probe", "unknown_frames") == 0
    assert watched.health("file", "received_events") == watched.health("file", "captured_events")
    assert watched.health("dns", "received_events") == 1
    for view, source in (("file_events", "file"), ("network_events", "network")):
        (row,) = watched.rows(f"SELECT sum(count)::BIGINT AS events FROM {view}")
        assert row["events"] == watched.health(source, "received_events")


def test_a_replay_gives_the_same_rows(acted: tuple[Watched, Record, Path], tmp_path: Path) -> None:
    watched, _, recording = acted
    again = tmp_path / "again.db"
    subprocess.run([UNDERGLASS, "replay", recording, "--db", again], check=True, timeout=60)
    live, replayed = tables_of(watched.store), tables_of(again)
    for table in ACTIONS:
        assert live[table] == replayed[table]
    assert live["file_event"]
