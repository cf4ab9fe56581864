"""The store: what is written is there, once, whole, and stays there."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from collector.database import run
from collector.ownership import is_owned
from collector.rows import Batch, ContentRow, ToolSetRow
from collector.store import Store
from collector.store_errors import (
    NotAStore,
    StoreError,
    StoreLocked,
    StoreTooNew,
    StoreUnreadable,
    StoreWriteFailed,
)
from probes.errors import UnderglassError
from tests.collector.store_rows import (
    START_NS,
    call,
    capture,
    contents_of,
    coverage,
    health,
    nodes_of,
    process,
    session,
    tool_call,
)


def select(store: Store, sql: str) -> list[Any]:
    cursor = store.cursor()
    try:
        return run(cursor, sql)
    finally:
        cursor.close()


def child(code: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        **options,
    )


def full_batch() -> Batch:
    return Batch(
        captures=[capture()],
        sessions=[session()],
        calls=[call()],
        tool_calls=[tool_call()],
        processes=[process()],
        contents=contents_of("a", "b"),
        nodes=nodes_of("a", "b"),
        tool_sets=[ToolSetRow("ts", 0, "h-a")],
        health=[health(7)],
        coverage=[coverage()],
    )


def test_every_kind_of_row_survives_a_reopen(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.db") as store:
        store.write(full_batch())
    with Store.open(tmp_path / "s.db") as store:
        for table, rows in {
            "capture": 1, "session": 1, "llm_call": 1, "chunk_timing": 1, "tool_call": 1,
            "process": 1, "content": 2, "message_node": 2, "tool_set_member": 1,
            "health_counter": 1, "tls_coverage": 1,
        }.items():  # fmt: skip
            assert select(store, f"SELECT count(*) FROM {table}") == [(rows,)], table
        assert select(store, "SELECT argv, hosts FROM processes, coverage") == [
            (["node", "agent.js"], ["api.anthropic.com"])
        ]
        assert select(store, "SELECT chunk_ns FROM chunk_timing") == [([250000000, 300000000],)]
        assert select(store, "SELECT epoch_ns(started_at) FROM calls") == [(START_NS,)]


def test_a_running_call_is_replaced_by_its_end(tmp_path: Path) -> None:
    running = call(status="running", ended_ns=None, output_tokens=None, chunk_ns=())
    with Store.open(tmp_path / "s.db") as store:
        store.write(Batch(calls=[running, call("c2")], health=[health(1)]))
        assert select(store, "SELECT duration_ms FROM calls WHERE call_id = 'c1'") == [(None,)]
        store.write(Batch(calls=[call()], health=[health(5), health(6)]))
        found = select(store, "SELECT call_id, status, output_tokens FROM calls ORDER BY 1")
        assert found == [("c1", "ok", 80), ("c2", "ok", 80)]
        assert select(store, "SELECT value FROM health") == [(6,)]
        assert select(store, "SELECT chunk_ms FROM chunks WHERE call_id = 'c1'") == [([250, 300],)]


def test_rows_are_replaced_that_an_earlier_collector_wrote(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.db") as store:
        store.write(full_batch())
    with Store.open(tmp_path / "s.db") as store:
        store.write(full_batch())
        ended = process(ended_ns=START_NS + 9, exit_code=3)
        store.write(Batch(processes=[ended], tool_calls=[tool_call(is_error=True)]))
        assert select(store, "SELECT exit_code FROM processes") == [(3,)]
        assert select(store, "SELECT is_error FROM tools") == [(True,)]
        assert select(store, "SELECT count(*) FROM content") == [(2,)]


def test_one_provider_id_in_two_calls_is_two_tool_calls(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.db") as store:
        store.write(Batch(tool_calls=[tool_call("call_0"), tool_call("call_0", call_id="c2")]))
        assert select(store, "SELECT call_id FROM tools ORDER BY 1") == [("c1",), ("c2",)]


def test_one_path_with_two_builds_is_two_libraries(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.db") as store:
        store.write(Batch(coverage=[coverage(), coverage(build_id="b1")]))
        store.write(Batch(coverage=[coverage(status="not_hooked"), coverage(build_id="b1")]))
        found = select(store, "SELECT build_id, status FROM coverage ORDER BY 1 NULLS FIRST")
        assert found == [(None, "not_hooked"), ("b1", "hooked")]


def test_content_is_stored_once_and_known_content_is_kept(tmp_path: Path) -> None:
    other = ContentRow("h-a", "message", "user", 1, '"changed"')
    with Store.open(tmp_path / "s.db") as store:
        store.write(Batch(contents=contents_of("a", "b")))
        store.write(Batch(contents=[other]))
    with Store.open(tmp_path / "s.db") as store:
        store.write(Batch(contents=[other]))
        assert select(store, "SELECT body FROM content ORDER BY content_hash") == [
            ('{"text":"a"}',),
            ('{"text":"b"}',),
        ]


def test_without_content_no_text_reaches_the_file(tmp_path: Path) -> None:
    secret = "hunter2" * 10
    with Store.open(tmp_path / "s.db", content=False) as store:
        store.write(
            Batch(
                calls=[call(params=secret, error_message=secret)],
                tool_calls=[tool_call(arguments=secret, result_preview=secret)],
                contents=[ContentRow("h", "message", "user", len(secret), secret)],
                processes=[process()],
            )
        )
        found = select(
            store,
            "SELECT params, error_message, arguments, result_preview, body, argv"
            " FROM llm_call, tool_call, content, process",
        )
        assert found == [(None, None, None, None, None, ["node", "agent.js"])]
        assert select(store, "SELECT size_bytes FROM content") == [(len(secret),)]
        assert secret.encode() not in (tmp_path / "s.db.wal").read_bytes()
    assert secret.encode() not in (tmp_path / "s.db").read_bytes()


def test_content_fills_in_what_a_run_without_it_left_out(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.db", content=False) as store:
        store.write(Batch(contents=contents_of("a")))
    with Store.open(tmp_path / "s.db") as store:
        store.write(Batch(contents=contents_of("a")))
        assert select(store, "SELECT body FROM content") == [('{"text":"a"}',)]


def test_hostile_values_are_stored_as_far_as_they_can_be(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.db") as store:
        store.write(
            Batch(
                calls=[call(input_tokens=10**30, model="m\udcff", error_message="a\0b'; DROP")],
                processes=[process(argv=("\ud800", "x"))],
                contents=[ContentRow("h\udcff", "message", None, -5, "\ud83d")],
            )
        )
        found = select(store, "SELECT input_tokens, model, error_message FROM llm_call")
        assert found == [(None, "m?", "a\0b'; DROP")]
        assert select(store, "SELECT argv FROM process") == [(["?", "x"],)]


def test_sums_beyond_64_bits_are_not_known(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.db") as store:
        huge = 2**63 - 1
        store.write(
            Batch(
                sessions=[session()],
                calls=[call("c1", input_tokens=huge), call("c2", input_tokens=huge)],
            )
        )
        assert select(store, "SELECT input_tokens, output_tokens FROM sessions") == [(None, 160)]


def test_files_are_private_at_all_times(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        path = tmp_path / "state" / "underglass" / "s.db"
        with Store.open(path) as store:
            for number in range(3):
                store.write(Batch(calls=[call(f"c{number}")]))
                modes = {
                    each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()
                }
                assert modes == {"s.db": 0o600, "s.db.wal": 0o600, "s.db.lock": 0o600}
                store.checkpoint()
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_an_existing_directory_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    Store.open(tmp_path / "s.db").close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_path_with_quotes_and_spaces(tmp_path: Path) -> None:
    path = tmp_path / 'it\'s a "store"; x.db'
    with Store.open(path) as store:
        store.write(Batch(calls=[call()]))
    assert path.exists()


def test_a_second_collector_is_told_who_owns_the_store(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    owner = child(
        "import sys; from collector.store import Store\n"
        "store = Store.open(sys.argv[1]); print('open', flush=True); sys.stdin.read()",
        str(path),
        stdin=subprocess.PIPE,
    )
    assert owner.stdout
    assert owner.stdout.readline() == "open\n"
    with pytest.raises(StoreLocked) as raised:
        Store.open(path)
    owner.communicate(timeout=20)
    assert raised.value.pid == owner.pid
    assert f"pid {owner.pid}" in str(raised.value)
    assert "since 20" in str(raised.value)
    assert raised.value.hint is not None
    assert f"kill -INT {owner.pid}" in raised.value.hint
    assert "--db OTHER" in raised.value.hint
    Store.open(path).close()


def test_a_second_store_in_the_same_process_is_refused(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.db") as store:
        with pytest.raises(StoreLocked, match=f"pid {os.getpid()}"):
            Store.open(tmp_path / "s.db")
        store.write(Batch(calls=[call()]))
        owned, owner = is_owned(tmp_path / "s.db")
        assert owned
        assert owner is not None
        assert owner.pid == os.getpid()
    assert is_owned(tmp_path / "s.db") == (False, None)


def test_a_file_that_someone_else_reads_names_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    Store.open(path).close()
    reader = child(
        "import sys, duckdb; c = duckdb.connect(sys.argv[1], read_only=True)\n"
        "print('open', flush=True); sys.stdin.read()",
        str(path),
        stdin=subprocess.PIPE,
    )
    assert reader.stdout
    assert reader.stdout.readline() == "open\n"
    with pytest.raises(StoreLocked) as raised:
        Store.open(path)
    reader.communicate(timeout=20)
    assert raised.value.pid == reader.pid
    assert is_owned(path) == (False, None)


WRITER = """
import sys
from collector.rows import Batch
from collector.store import Store
from tests.collector.store_rows import call, contents_of
store = Store.open(sys.argv[1])
number = 0
while True:
    names = [f"c{number}-{k}" for k in range(10)]
    store.write(Batch(calls=[call(name) for name in names], contents=contents_of(*names)))
    print(number, flush=True)
    number += 1
"""


@pytest.mark.parametrize("batches", [1, 25])
def test_what_was_written_survives_kill_9(tmp_path: Path, batches: int) -> None:
    path = tmp_path / "s.db"
    writer = child(WRITER, str(path))
    assert writer.stdout
    acknowledged = -1
    while acknowledged < batches:
        acknowledged = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    rest, _ = writer.communicate(timeout=20)
    acknowledged = int(rest.split()[-1]) if rest.split() else acknowledged
    with Store.open(path) as store:
        ((calls, contents),) = select(
            store, "SELECT (SELECT count(*) FROM calls), (SELECT count(*) FROM content)"
        )
        # The batch under way is there as a whole or not at all.
        assert calls in ((acknowledged + 1) * 10, (acknowledged + 2) * 10)
        assert contents == calls
        store.write(Batch(calls=[call("after")]))


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from collector.database import run
from collector.rows import Batch
from collector.store import Store
from collector.store_errors import StoreWriteFailed
from tests.collector.store_rows import call, contents_of
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
store = Store.open(path)
store.write(Batch(calls=[call("before")]))
full = path.with_name(path.name + ".wal").stat().st_size + 20_000
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (full, hard))
lost = Batch(calls=[call("lost")], contents=contents_of("x" * 100_000))
for _ in range(3):
    try:
        store.write(lost)
    except StoreWriteFailed as error:
        print("failed:", "df -h" in error.hint, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
store.write(Batch(calls=[call("after")]))
cursor = store.cursor()
print(run(cursor, "SELECT call_id FROM calls ORDER BY 1"), flush=True)
cursor.close()
if sys.argv[2] == "close":
    store.close()
else:
    import os
    os._exit(0)
"""


@pytest.mark.parametrize("ending", ["close", "crash"])
def test_a_full_disk_fails_a_batch_and_nothing_else(tmp_path: Path, ending: str) -> None:
    writer = child(FULL_DISK, str(tmp_path / "s.db"), ending)
    out, errors = writer.communicate(timeout=60)
    assert out.splitlines() == ["failed: True"] * 3 + ["[('after',), ('before',)]"], errors
    with Store.open(tmp_path / "s.db") as store:
        found = select(store, "SELECT call_id FROM calls ORDER BY 1")
        assert found == [("after",), ("before",)]
        assert select(store, "SELECT count(*) FROM content") == [(0,)]


def test_a_batch_that_fails_half_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(tmp_path / "s.db") as store:
        bad = Batch(sessions=[session()], calls=[call(status=None)])
        with pytest.raises(StoreWriteFailed, match="NOT NULL"):
            store.write(bad)
        assert select(store, "SELECT count(*) FROM session") == [(0,)]
        store.write(Batch(sessions=[session()], calls=[call()]))
        assert select(store, "SELECT count(*) FROM sessions") == [(1,)]


def test_a_reader_sees_a_whole_batch_or_none(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.db") as store:
        cursor = store.cursor()
        run(cursor, "BEGIN TRANSACTION READ ONLY")
        assert run(cursor, "SELECT count(*) FROM calls") == [(0,)]
        store.write(Batch(sessions=[session()], calls=[call()]))
        assert run(cursor, "SELECT count(*) FROM sessions") == [(0,)]
        run(cursor, "COMMIT")
        assert run(cursor, "SELECT count(*) FROM sessions") == [(1,)]
        cursor.close()


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    Store.open(path).close()
    with duckdb.connect(path) as connection:
        connection.execute("INSERT INTO schema_migration VALUES (99, 'future', 0)").fetchall()
    before = path.read_bytes()
    with pytest.raises(StoreTooNew, match="version 99") as raised:
        Store.open(path)
    assert raised.value.hint is not None
    assert "upgrade underglass" in raised.value.hint
    assert path.read_bytes() == before
    assert is_owned(path) == (False, None)


@pytest.mark.parametrize(
    "body", [b"", b"hello" * 1000, b"\0" * 65536], ids=["empty", "text", "zeros"]
)
def test_a_file_that_is_not_duckdb_is_refused_and_left_alone(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(body)
    with pytest.raises(NotAStore, match=r"s\.db is not an underglass store"):
        Store.open(path)
    assert path.read_bytes() == body
    assert not path.with_name("s.db.wal").exists()


def test_a_damaged_store_is_refused_with_an_error_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store.open(path) as store:
        store.write(full_batch())
    body = bytearray(path.read_bytes())
    body[12288:] = b"\x5a" * (len(body) - 12288)
    path.write_bytes(body)
    with pytest.raises(StoreError) as raised:
        Store.open(path)
    assert raised.value.hint


def test_a_foreign_duckdb_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE mine (a INT)").fetchall()
    before = path.read_bytes()
    with pytest.raises(NotAStore, match="without underglass tables"):
        Store.open(path)
    assert path.read_bytes() == before


def test_the_file_stays_readable_for_duckdb_1_4(tmp_path: Path) -> None:
    for _ in range(2):
        with Store.open(tmp_path / "s.db") as store:
            store.write(full_batch())
            store.checkpoint()
            ((tags, codecs),) = select(
                store,
                "SELECT tags, (SELECT list(DISTINCT compression) FROM"
                " pragma_storage_info('content') WHERE column_name = 'body')"
                " FROM duckdb_databases() WHERE database_name = 'store'",
            )
            assert tags["storage_version"].startswith("v1.4.0")
            assert "ZSTD" in codecs


def test_a_directory_and_an_unwritable_place_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    with pytest.raises(NotAStore, match="it is a directory"):
        Store.open(tmp_path / "dir")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnreadable):
        Store.open(tmp_path / "file" / "s.db")


def test_every_error_is_an_underglass_error_with_a_hint() -> None:
    for error in (
        NotAStore(Path("/x"), "why"),
        StoreTooNew(Path("/x"), 2, 1),
        StoreLocked(Path("/x"), pid=None, owner="pid 1", writing=True),
        StoreWriteFailed(Path("/x"), "why"),
    ):
        assert isinstance(error, UnderglassError)
        assert error.hint
        assert error.exit_code == 1
    assert UnderglassError("m", exit_code=3).exit_code == 3
    assert UnderglassError("m").hint is None


def test_writing_after_close_is_an_error(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s.db")
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.write(Batch(calls=[call()]))


def test_the_store_cannot_reach_other_files(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("x")
    with Store.open(tmp_path / "s.db") as store:
        for sql in (
            f"SELECT * FROM read_text('{tmp_path}/secret.txt')",
            f"COPY llm_call TO '{tmp_path}/out.csv'",
            f"ATTACH '{tmp_path}/other.db'",
            "SET enable_external_access = true",
        ):
            with pytest.raises(duckdb.Error):
                select(store, sql)


def test_repeated_updates_do_not_grow_the_file(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    def update(rounds: int) -> int:
        with Store.open(path) as store:
            for number in range(rounds):
                calls = [call(f"c{k}", output_tokens=number) for k in range(20)]
                store.write(Batch(calls=calls, health=[health(number)]))
        return path.stat().st_size

    after_ten = update(10)
    assert update(60) <= after_ten + 192 * 1024


def test_a_conversation_costs_what_is_new_in_it(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    texts: list[str] = []
    sizes = []
    for turns in (100, 180):  # before, blocks that are partly filled weigh most
        with Store.open(path) as store:
            while len(texts) < turns:
                texts.append(os.urandom(1000).hex())  # 1,000 bytes that no codec makes smaller
                contents, nodes = contents_of(*texts), nodes_of(*(text[:8] for text in texts))
                calls = [call(f"c{len(texts)}")]
                store.write(Batch(calls=calls, contents=contents[-1:], nodes=nodes[-1:]))
        sizes.append(path.stat().st_size)
    assert sizes[1] - sizes[0] < 12 * 80_000  # all of the list each time would be 140 times 80,000
