"""Queries to a store that a collector has open, from another process."""

from __future__ import annotations

import json
import os
import socket as sockets
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.reading import Reader, open_reader, open_service
from collector.ownership import is_owned
from collector.query_client import QueryClient
from collector.query_service import LIMITS, QueryService, SocketPlace, socket_path
from collector.read_query import Limits
from collector.rows import Batch
from collector.store import Store
from collector.store_errors import CollectorDiffers, CollectorGone, QueryFailed, StoreLocked
from tests.collector.store_rows import call, health, session

READER = """
import json, sys
from analysis.reading import open_reader
with open_reader(sys.argv[1]) as reader:
    for sql in sys.argv[2:]:
        print(json.dumps([reader.source, reader.rows(sql).records()]), flush=True)
"""


@pytest.fixture(autouse=True)
def _runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "s.db") as store:
        yield store


def serve(store: Store, limits: Limits = LIMITS) -> QueryService:
    service = QueryService(store, limits)
    service.start()
    assert service.wait_until_ready(20), service.failure
    return service


@pytest.fixture
def service(store: Store) -> Iterator[QueryService]:
    service = serve(store)
    yield service
    service.close()


def read_elsewhere(path: Path, *queries: str) -> list[list[object]]:
    done = subprocess.run(
        [sys.executable, "-c", READER, str(path), *queries],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_another_process_reads_through_the_owner(store: Store, service: QueryService) -> None:
    store.write(Batch(sessions=[session()], calls=[call()]))
    (answer,) = read_elsewhere(store.path, "SELECT call_id, started_at, params FROM calls")
    source, found = answer
    assert source == f"collector pid {os.getpid()}"
    assert found == [
        {
            "call_id": "c1",
            "started_at": "2025-10-09T08:53:20.123456Z",
            "params": {"max_tokens": 4096},
        }
    ]


def test_the_same_process_reads_through_the_service_too(
    store: Store, service: QueryService
) -> None:
    with open_reader(store.path) as reader:
        assert len(reader.rows("FROM calls")) == 0
        store.write(Batch(calls=[call()]))
        assert len(reader.rows("FROM calls")) == 1


def test_socket_and_its_directory_are_private(store: Store, service: QueryService) -> None:
    _, owner = is_owned(store.path)
    assert owner is not None
    assert owner.socket is not None
    assert stat.S_IMODE(os.stat(owner.socket).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(owner.socket)).st_mode) == 0o700
    service.close()
    assert not os.path.exists(owner.socket)
    _, owner = is_owned(store.path)
    assert owner is not None
    assert owner.socket is None


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM llm_call",
        "CREATE TABLE t (a INT)",
        "EXPLAIN ANALYZE DELETE FROM llm_call",
        "SELECT 1; SELECT 2",
        "SET threads = 1",
        "ATTACH '/tmp/x.db'",
        "COPY llm_call TO '/tmp/x.csv'",
        "SELECT * FROM read_text('/etc/hostname')",
        "CHECKPOINT",
        "PRAGMA database_size",
        "",
        "nonsense",
        "SELECT * FROM no_such_table",
    ],
)
def test_what_is_no_plain_query_is_refused(store: Store, service: QueryService, sql: str) -> None:
    store.write(Batch(calls=[call()]))
    with open_reader(store.path) as reader:
        with pytest.raises(QueryFailed) as raised:
            reader.rows(sql)
        assert raised.value.hint
        assert reader.rows("SELECT count(*) FROM calls").rows == ((1,),)


def test_parameters_pass_by_name_and_by_place(store: Store, service: QueryService) -> None:
    with open_reader(store.path) as reader:
        assert reader.rows("SELECT $a + 1", {"a": 1}).rows == ((2,),)
        assert reader.rows("SELECT ?::TEXT || ?", ["x", "y"]).rows == (("xy",),)
        assert reader.rows("SELECT $a::TEXT IS NULL", {"a": None}).rows == ((True,),)


def test_a_query_without_end_is_stopped(store: Store) -> None:
    service = serve(store, Limits(timeout_s=0.2))
    try:
        with open_reader(store.path) as reader:
            with pytest.raises(QueryFailed, match=r"longer than 0\.2 s"):
                reader.rows("SELECT count(*) FROM range(10000000) a, range(10000000) b")
            store.write(Batch(calls=[call()]))
            assert reader.rows("SELECT count(*) FROM calls").rows == ((1,),)
    finally:
        service.close()


def test_closing_stops_a_query_under_way(store: Store) -> None:
    service = serve(store)
    failed: list[Exception] = []

    def ask_forever() -> None:
        with open_reader(store.path) as reader:
            try:
                reader.rows("SELECT count(*) FROM range(10000000) a, range(10000000) b")
            except (QueryFailed, StoreLocked) as error:
                failed.append(error)

    thread = threading.Thread(target=ask_forever)
    thread.start()
    deadline = time.monotonic() + 20
    while not service.running_queries and time.monotonic() < deadline:
        time.sleep(0.005)
    assert service.running_queries == 1
    service.close()
    thread.join(20)
    assert len(failed) == 1


def test_too_many_rows_are_cut_and_it_is_said(store: Store) -> None:
    service = serve(store, Limits(max_rows=5000))
    try:
        with open_reader(store.path) as reader:
            cut = reader.rows("FROM range(100000)")
            assert (len(cut), cut.truncated) == (5000, True)
            assert cut.rows[-1] == (4999,)
            whole = reader.rows("FROM range(5000)")
            assert (len(whole), whole.truncated) == (5000, False)
    finally:
        service.close()


def test_reads_beside_writes_see_whole_batches(store: Store, service: QueryService) -> None:
    torn: list[object] = []
    done = threading.Event()

    def read() -> None:
        with open_reader(store.path) as reader:
            while not done.is_set():
                ((calls, counted),) = reader.rows(
                    "SELECT (SELECT count(*) FROM calls), (SELECT sum(value) FROM health)"
                ).rows
                if calls != (counted or 0):
                    torn.append((calls, counted))

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(1, 41):
        store.write(Batch(calls=[call(f"c{number}")], health=[health(number)]))
        if number % 10 == 0:
            store.checkpoint()
    done.set()
    thread.join(30)
    assert not torn


def test_an_owner_without_a_service_is_named(store: Store) -> None:
    with pytest.raises(StoreLocked, match=f"pid {os.getpid()}"), open_reader(store.path):
        pass


def test_a_dead_socket_means_the_store_is_locked(store: Store, tmp_path: Path) -> None:
    store.ownership.announce_socket(str(tmp_path / "nobody.sock"))
    with pytest.raises(StoreLocked, match=f"pid {os.getpid()}"), open_reader(store.path):
        pass


def test_the_file_is_read_directly_once_the_owner_is_gone(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.db") as store:
        service = serve(store)
        service.close()
        store.write(Batch(calls=[call()]))
    assert read_elsewhere(tmp_path / "s.db", "SELECT count(*) AS n FROM calls") == [
        ["file", [{"n": 1}]]
    ]


def test_a_reader_in_the_writing_process_needs_no_service(store: Store) -> None:
    reader = Reader.of_store(store)
    store.write(Batch(calls=[call()]))
    assert reader.rows("SELECT call_id FROM calls").rows == (("c1",),)
    with pytest.raises(QueryFailed):
        reader.rows("DELETE FROM llm_call")


def test_a_service_that_cannot_start_breaks_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.query_service.socket_path", lambda path: Path("/proc/no/s"))
    service = QueryService(store)
    service.start()
    assert not service.wait_until_ready(20)
    assert service.failure
    service.close()
    store.write(Batch(calls=[call()]))


INTERRUPTED = """
import os, signal, sys
from collector.query_service import QueryService
from collector.store import Store
store = Store.open(sys.argv[1])
service = QueryService(store)
service.start()
assert service.wait_until_ready(20), service.failure
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: print("got", number, flush=True))
    os.kill(os.getpid(), number)
service.close()
store.close()
"""


def test_signals_still_reach_the_collector(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path / "s.db")],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("got 2\ngot 15\n", 0), done.stderr


def test_closing_a_service_that_never_started(store: Store) -> None:
    QueryService(store).close()


def test_a_stale_socket_is_replaced(store: Store) -> None:
    with sockets.socket(sockets.AF_UNIX) as stale:
        stale.bind(str(socket_path(store.path)))
    service = serve(store)
    with open_reader(store.path) as reader:
        assert reader.rows("SELECT 1").rows == ((1,),)
    service.close()


def test_a_socket_path_is_short_and_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 200) / "s.db"
    assert len(os.fsencode(socket_path(deep))) <= 107
    assert socket_path(deep) != socket_path(tmp_path / "s.db")
    for runtime in ("", "relative", str(tmp_path / ("r" * 200)), str(tmp_path / "missing")):
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        assert socket_path(deep).parent == Path(f"/tmp/underglass-{os.geteuid()}")
    (tmp_path / "open" / "underglass").mkdir(parents=True)
    (tmp_path / "open" / "underglass").chmod(0o777)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "open"))
    assert socket_path(deep).parent == Path(f"/tmp/underglass-{os.geteuid()}")


def test_nobody_answers_at_a_missing_socket(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        QueryClient(str(tmp_path / "no.sock"))


@pytest.fixture
def place(tmp_path: Path) -> SocketPlace:
    gid = next((gid for gid in os.getgroups() if gid != os.getgid()), os.getgid())
    return SocketPlace(tmp_path / "q.sock", 1 if os.geteuid() == 0 else gid)


def test_a_group_may_reach_a_service_and_nobody_else(store: Store, place: SocketPlace) -> None:
    service = QueryService(store, place=place)
    service.start()
    assert service.wait_until_ready(20), service.failure
    found = place.path.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, place.gid)
    store.write(Batch(calls=[call()]))
    with open_service(str(place.path)) as reader:
        assert (reader.path, reader.source) == (store.path, f"collector pid {os.getpid()}")
        assert reader.rows("SELECT call_id FROM calls").rows == (("c1",),)
        with pytest.raises(QueryFailed):
            reader.rows("DELETE FROM llm_call")
    with open_reader(store.path) as reader:  # it is announced, too
        assert reader.source == f"collector pid {os.getpid()}"
    service.close()
    assert not list(place.path.parent.glob("q.sock*"))
    with pytest.raises(CollectorGone), open_service(str(place.path)):
        pass


def test_a_service_never_takes_anothers_place(
    tmp_path: Path, store: Store, place: SocketPlace
) -> None:
    first = QueryService(store, place=place)
    first.start()
    assert first.wait_until_ready(20), first.failure
    with Store.open(tmp_path / "other.db") as other:
        second = QueryService(other, place=place)
        second.start()
        assert not second.wait_until_ready(20)
        assert "another collector answers" in str(second.failure)
        second.close()
    with QueryClient(str(place.path)) as client:
        assert client.about().store == store.path
    first.close()
    place.path.write_text("no socket")
    third = QueryService(store, place=place)
    third.start()
    assert not third.wait_until_ready(20)
    third.close()
    assert place.path.read_text() == "no socket"


def test_a_collector_of_another_version_is_told(
    store: Store, place: SocketPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = QueryService(store, place=place)
    service.start()
    assert service.wait_until_ready(20), service.failure
    try:
        for known, hint in ((1, "upgrade"), (10_000, "restart")):
            monkeypatch.setattr("collector.migrations.known_version", lambda known=known: known)
            with pytest.raises(CollectorDiffers) as raised, open_service(str(place.path)):
                pass
            assert hint in str(raised.value.hint)
    finally:
        service.close()


def test_what_is_no_query_at_all_is_refused(store: Store, service: QueryService) -> None:
    from pyarrow import flight

    _, owner = is_owned(store.path)
    assert owner is not None
    with flight.connect(f"grpc+unix://{owner.socket}") as client:
        for ticket in (b"", b"[]", b'{"parameters": 1}', b"\xff" * 100):
            with pytest.raises(flight.FlightServerError, match="not a query"):
                client.do_get(flight.Ticket(ticket)).read_all()
        with pytest.raises(flight.FlightServerError, match="one action"):
            list(client.do_action(flight.Action("shutdown", b"")))
    with open_reader(store.path) as reader:
        assert reader.rows("SELECT 1").rows == ((1,),)


def test_only_so_many_queries_at_once(
    store: Store, service: QueryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.query_service.MOST_AT_ONCE", 0)
    with open_reader(store.path) as reader:
        with pytest.raises(QueryFailed, match="under way") as raised:
            reader.rows("SELECT 1")
        assert "again" in str(raised.value.hint)
        monkeypatch.setattr("collector.query_service.MOST_AT_ONCE", 1)
        assert reader.rows("SELECT 1").rows == ((1,),)


def test_readers_claim_the_processor_for_the_collector(store: Store) -> None:
    claims: list[bool] = []
    service = QueryService(store, claim=claims.append)
    service.start()
    assert service.wait_until_ready(20), service.failure
    for _ in range(2):
        with open_reader(store.path) as reader:
            reader.rows("SELECT 1")
    assert claims == [True]
    service.close()
    assert claims == [True]
