"""`underglass serve` on this host: readers beside it, its end, its restart, and who may ask."""

from __future__ import annotations

import os
import pty
import signal
import socket
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from analysis.reading_place import ReadingPlace
from collector.ownership import is_owned
from collector.recording import RecordingReader
from collector.store_errors import CollectorGone, QueryFailed, StoreError
from tests.e2e.conftest import UNDERGLASS, Record, Watched, environment, lines_of, python, wait_for
from underglass.demo.standin import StandIn

pytestmark = [pytest.mark.privileged, pytest.mark.alone]
Start = Callable[..., StandIn]
CALLS = 5
COLUMNS = "call_id, response_id, status, request_bytes, response_bytes, input_tokens"


class Service:
    """A running `underglass serve`, as systemd starts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "state" / "underglass.db"
        self.socket = folder / "run" / "query.sock"
        self.said = folder / "said"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(folder / "notify"))
            listener.settimeout(60)
            with self.said.open("ab") as said:
                self.process = subprocess.Popen(
                    [UNDERGLASS, "serve", "--group", "daemon", "--user", "root", "--keep-raw"],
                    stderr=said,
                    env={
                        **os.environ,
                        "NOTIFY_SOCKET": str(folder / "notify"),
                        "WATCHDOG_USEC": "600000",
                        "STATE_DIRECTORY": str(self.store.parent),
                        "RUNTIME_DIRECTORY": str(self.socket.parent),
                        "UNDERGLASS_DB": "",
                    },
                )
            assert listener.recv(100) == b"READY=1"
            assert listener.recv(100) == b"WATCHDOG=1"
        (folder / "notify").unlink()

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def service() -> Iterator[Service]:
    with tempfile.TemporaryDirectory(prefix="ug-serve-") as folder:  # short, for the sockets
        (Path(folder) / "state").mkdir()
        service = Service(Path(folder))
        try:
            yield service
        finally:
            if service.process.poll() is None:
                service.end(signal.SIGKILL)


@contextmanager
def agent(server: StandIn, answers: Path, calls: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        python("slow_agent.py", str(answers), str(calls)), env=environment(server)
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def calls_of(place: ReadingPlace, pid: int) -> list[Record]:
    with place.open() as reader:
        return reader.rows(
            f"SELECT {COLUMNS} FROM calls WHERE pid = $pid ORDER BY started_at", {"pid": pid}
        ).records()


def test_two_readers_beside_a_running_service(
    service: Service, standin: Start, tmp_path: Path
) -> None:
    server = standin("echo", latency_scale=0)
    place = ReadingPlace(service.store, str(service.socket))
    seen: list[list[int]] = [[], []]
    done = threading.Event()

    with agent(server, tmp_path / "answers", CALLS) as process:

        def read(which: int) -> None:
            while not done.is_set():
                seen[which].append(len(calls_of(place, process.pid)))

        readers = [threading.Thread(target=read, args=(which,)) for which in (0, 1)]
        for one in readers:
            one.start()
        process.wait(60)
        wait_for(
            lambda: sum(c["status"] == "ok" for c in calls_of(place, process.pid)) == CALLS,
            "all calls are read",
        )
        done.set()
        for one in readers:
            one.join(30)
    assert all(counts == sorted(counts) and len(counts) > 3 for counts in seen)  # never fewer

    environ = {**os.environ, "UNDERGLASS_SOCKET": str(service.socket), "UNDERGLASS_DB": ""}
    asked = [
        subprocess.Popen(
            [UNDERGLASS, "sql", "--json", f"SELECT {COLUMNS} FROM calls WHERE pid = {process.pid}"
             " ORDER BY started_at"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ,
        )
        for _ in range(2)
    ]  # fmt: skip
    (first, quiet), (second, _) = [one.communicate(timeout=60) for one in asked]
    assert first == second
    assert quiet == b""  # scripts are not told who answers
    rows = calls_of(place, process.pid)
    ledger = server.ledger(at_least=CALLS)
    assert [row["response_id"] for row in rows] == [record.response_id for record in ledger]
    assert [row["request_bytes"] for row in rows] == [record.request_bytes for record in ledger]
    with place.open() as reader, pytest.raises(QueryFailed):
        reader.rows("DELETE FROM llm_call")

    assert stat.S_IMODE(service.socket.stat().st_mode) == 0o660
    assert stat.S_IMODE(service.socket.parent.stat().st_mode) == 0o750
    assert service.socket.group() == service.socket.parent.group() == "daemon"
    assert stat.S_IMODE(service.store.parent.stat().st_mode) == 0o700
    assert service.end(signal.SIGTERM) == 0, service.said.read_text()
    assert not list(service.socket.parent.iterdir())
    (raw,) = service.store.parent.glob("*.raw/*.uglass")
    frames = list(RecordingReader(raw).frames())
    assert any(b"id=slow0" in frame for frame in frames)
    assert not any(b"WHERE pid = $pid" in frame for frame in frames)  # what readers ask is not
    assert len(calls_of(ReadingPlace(service.store), process.pid)) == CALLS


def test_a_killed_service_leaves_the_store_whole_and_readers_come_back(
    service: Service, standin: Start, tmp_path: Path
) -> None:
    server = standin("echo", latency_scale=0)
    place = ReadingPlace(service.store, str(service.socket))
    with agent(server, tmp_path / "answers", 1000) as process:
        wait_for(lambda: len(calls_of(place, process.pid)) >= 2, "calls are stored")
        with place.open() as reader:
            source = reader.source
        before = [row for row in calls_of(place, process.pid) if row["status"] == "ok"]
        service.end(signal.SIGKILL)
        assert service.socket.exists()  # left behind
        with pytest.raises(CollectorGone, match="no collector answers"), place.open():
            pass

        again = Service(service.folder)
        service.process = again.process
        with place.open() as reader:
            assert reader.source == f"collector pid {again.process.pid}" != source
        answered = len(lines_of(tmp_path / "answers"))
        wait_for(
            lambda: (
                len(lines_of(tmp_path / "answers")) >= answered + 2
                and len(calls_of(place, process.pid)) >= len(before) + 2
            ),
            "calls are captured again",
        )
        after = {row["call_id"]: row for row in calls_of(place, process.pid)}
    assert all(after[row["call_id"]] == row for row in before)
    assert service.end(signal.SIGINT) == 0, service.said.read_text()
    watched = Watched(service.store, 0, "", "")
    assert [row["command"] for row in watched.rows("SELECT command FROM captures")] == ["serve"] * 2


@contextmanager
def terminal() -> Iterator[int]:
    """The slave end of a terminal whose output is thrown away."""
    leader, follower = pty.openpty()

    def drain() -> None:
        try:
            while os.read(leader, 65536):
                pass
        except OSError:
            pass  # closed

    thread = threading.Thread(target=drain, daemon=True)
    thread.start()
    try:
        yield follower
    finally:
        os.close(follower)
        thread.join(10)
        os.close(leader)


def capabilities(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("CapEff:")[2].split()[0], 16)


def test_top_captures_by_itself_and_its_capture_ends_with_it(
    standin: Start, tmp_path: Path
) -> None:
    server = standin("echo", latency_scale=0)
    place = ReadingPlace(tmp_path / "own.db")

    def answering() -> bool:
        try:
            with place.open() as reader:
                return reader.source != "file"
        except StoreError:
            return False

    with terminal() as screen:
        view = subprocess.Popen(
            [UNDERGLASS, "top"],
            stdin=screen,
            stdout=screen,
            stderr=screen,
            env={
                **os.environ,
                "TERM": "xterm-256color",
                "UNDERGLASS_DB": str(place.path),
                "UNDERGLASS_SOCKET": "",
            },
        )
        try:
            wait_for(answering, "the collector answers")
            wait_for(lambda: capabilities(view.pid) == 0, "the view gives its privileges up")
            with agent(server, tmp_path / "answers", 1) as process:
                process.wait(60)
                wait_for(lambda: len(calls_of(place, process.pid)) == 1, "the call is seen")
            _, owner = is_owned(place.path)
            assert owner is not None
            assert owner.pid != view.pid
            with place.open() as reader:
                own = reader.rows(
                    "SELECT count(*) FROM network_events WHERE pid = $pid", {"pid": view.pid}
                ).rows
            assert own == ((0,),)  # it does not watch itself
        finally:
            view.kill()
            view.wait()
    wait_for(lambda: not is_owned(place.path)[0], "the capture ends with the view")
    (capture,) = Watched(place.path, 0, "", "").rows("SELECT * FROM captures")
    assert capture["command"] == "top"
    assert capture["ended_at"] is not None
