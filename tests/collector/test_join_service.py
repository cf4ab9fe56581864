"""Rows of other captures in a store that one of them owns."""

from __future__ import annotations

import os
import socket as sockets
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector import join_messages
from collector.capture_scope import CaptureScope, WatchedAlready, concerns
from collector.join_messages import Line
from collector.joined_store import JoinRefused, OwnerGone
from collector.ownership import is_owned
from collector.rows import Batch, RunningAnswerRow
from collector.store import Store
from collector.store_errors import StoreWriteFailed
from tests.collector.joining import Joiner, Owner, owner, scope
from tests.collector.store_rows import call, contents_of, health, process, session, tool_call


@pytest.fixture(autouse=True)
def _runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))


@pytest.fixture
def owned(tmp_path: Path) -> Iterator[Owner]:
    with owner(tmp_path / "s.db") as opened:
        yield opened


@pytest.fixture
def joiner(owned: Owner) -> Iterator[Joiner]:
    joined = Joiner(owned.store.path)
    yield joined
    joined.store.close()


def wait_until(condition: Any, timeout_s: float = 10.0) -> None:
    done = threading.Event()
    for _ in range(int(timeout_s / 0.01)):
        if condition():
            return
        done.wait(0.01)
    raise AssertionError("never happened")


def test_rows_of_a_joiner_are_durable_when_acknowledged(owned: Owner, joiner: Joiner) -> None:
    joiner.write(Batch(sessions=[session()], calls=[call()], contents=contents_of("a")))
    assert owned.select("SELECT call_id, status FROM calls") == [("c1", "ok")]
    assert set(owned.store.stale_sessions()) == {"s1"}
    wait_until(lambda: owned.awaited == [True, False])
    assert owned.written == 1
    joiner.write(Batch(calls=[call(), call("c2", session_id="s2")]))
    joiner.write(Batch())
    assert owned.select("SELECT count(*) FROM llm_call") == [(2,)]
    assert set(owned.store.stale_sessions()) == {"s1", "s2"}
    assert owned.service.joined == 1


def test_many_joiners_and_the_owner_write_at_once(owned: Owner) -> None:
    joiners = [Joiner(owned.store.path) for _ in range(4)]

    def write(number: int) -> None:
        for each in range(10):
            joiners[number].write(
                Batch(
                    calls=[call(f"c{number}-{each}", session_id=f"s{number}")],
                    health=[health(each)],
                )
            )

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for each in range(10):
        owned.store.write(Batch(calls=[call(f"own{each}")]))
    for thread in threads:
        thread.join()
    for joined in joiners:
        joined.store.close()
    assert owned.select("SELECT count(*), count(DISTINCT call_id) FROM llm_call") == [(50, 50)]
    wait_until(lambda: owned.service.joined == 0)
    assert owned.awaited.count(True) == owned.awaited.count(False)


def test_the_socket_is_private_and_announced(owned: Owner) -> None:
    _, announced = is_owned(owned.store.path)
    assert announced is not None
    assert announced.joinable
    assert announced.join is not None
    assert stat.S_IMODE(os.stat(announced.join).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(announced.join)).st_mode) == 0o700
    owned.service.close()
    _, announced = is_owned(owned.store.path)
    assert announced is not None
    assert announced.join is None


def test_an_owner_without_content_stores_none(tmp_path: Path) -> None:
    with owner(tmp_path / "s.db", content=False) as owned:
        joined = Joiner(owned.store.path)
        assert not joined.store.content
        joined.write(Batch(calls=[call()], tool_calls=[tool_call()], contents=contents_of("a")))
        assert owned.select("SELECT params FROM llm_call") == [(None,)]
        assert owned.select("SELECT arguments, result_preview FROM tool_call") == [(None, None)]
        assert owned.select("SELECT body, size_bytes > 0 FROM content") == [(None, True)]
        joined.store.close()


def test_a_joiner_without_content_sends_none(owned: Owner) -> None:
    joined = Joiner(owned.store.path, content=False)
    assert joined.store.content
    joined.write(Batch(contents=contents_of("a", "b")))
    assert owned.select("SELECT DISTINCT body FROM content") == [(None,)]
    other = Joiner(owned.store.path)
    other.write(Batch(contents=contents_of("a")))
    assert owned.select("SELECT count(body) FROM content") == [(1,)]
    joined.store.close()
    other.store.close()


def test_what_the_owner_cannot_write_is_told_and_can_be_sent_again(
    owned: Owner, joiner: Joiner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StoreWriteFailed(owned.store.path, "no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(owned.store, "merge", refuse)
        with pytest.raises(StoreWriteFailed, match=r": no space left on device$"):
            joiner.write(Batch(calls=[call()]))
    joiner.write(Batch(calls=[call()]))
    assert owned.select("SELECT count(*) FROM llm_call") == [(1,)]


def test_other_users_and_other_versions_are_refused(
    owned: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("collector.join_service.may_join", lambda uid, store: uid != os.geteuid())
        with pytest.raises(JoinRefused, match="belongs to another user") as refused:
            Joiner(owned.store.path)
        assert "--db OTHER" in str(refused.value.hint)
    with monkeypatch.context() as patched:
        patched.setattr("collector.joined_store.may_join", lambda uid, store: False)
        with pytest.raises(JoinRefused, match="runs as another user"):
            Joiner(owned.store.path)
    for theirs, fix in ((1, "upgrade this"), (9999, f"kill -INT {os.getpid()}")):
        with monkeypatch.context() as patched:
            patched.setattr("collector.joined_store.known_version", lambda theirs=theirs: theirs)
            with pytest.raises(JoinRefused, match=f"this one has {theirs}") as refused:
                Joiner(owned.store.path)
            assert fix in str(refused.value.hint)
    Joiner(owned.store.path).store.close()


def test_only_root_and_the_stores_owner_may_join(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    store.touch()
    assert join_messages.may_join(0, store)
    assert join_messages.may_join(store.stat().st_uid, store)
    assert not join_messages.may_join(store.stat().st_uid + 4711, store)
    assert not join_messages.may_join(0, tmp_path / "missing")


NO_MESSAGES = (
    b"",
    b"GET / HTTP/1.1\r\n\r\n",
    struct.pack("<IQ", 0xFFFFFFFF, 0),
    struct.pack("<IQ", 2, 1 << 60) + b"{}",
    struct.pack("<IQ", 2, 0) + b"[]",
    struct.pack("<IQ", 14, 0) + b'{"tables": []}',
    struct.pack("<IQ", 49, 4) + b'{"operation": "join", "tables": [["capture", 4]]}' + b"xxxx",
    struct.pack("<IQ", 35, 0) + b'{"operation": "write", "tables":[]}',
)


def test_what_is_no_message_ends_that_connection_alone(owned: Owner, joiner: Joiner) -> None:
    for sent in NO_MESSAGES:
        with sockets.socket(sockets.AF_UNIX) as stranger:
            stranger.connect(str(owned.store.ownership.owner.join))
            stranger.sendall(sent)
            stranger.shutdown(sockets.SHUT_WR)
            stranger.settimeout(10)
            with suppress(ConnectionResetError):  # what it sent was not read to its end
                while stranger.recv(4096):
                    pass
    joiner.write(Batch(calls=[call()]))
    assert owned.select("SELECT count(*) FROM llm_call") == [(1,)]
    assert owned.service.joined == 1


def test_rows_of_another_shape_are_refused(owned: Owner, joiner: Joiner) -> None:
    change = joiner.changed.of(Batch(calls=[call()], processes=[process()]))
    for tables in (
        {"llm_call": change.tables["process"]},
        {"no_such_table": change.tables["process"]},
        {"llm_call": change.tables["llm_call"].drop(["status"])},
    ):
        with pytest.raises(StoreWriteFailed, match="are not as this version has them"):
            joiner.store.merge(tables, ())
    assert owned.select("SELECT count(*) FROM llm_call") == [(0,)]


def test_an_owner_that_ends_is_told_to_its_joiners(tmp_path: Path) -> None:
    with owner(tmp_path / "s.db") as owned:
        joined = Joiner(owned.store.path)
        joined.write(Batch(calls=[call()]))
    wait_until(lambda: joined.store.gone)
    with pytest.raises(OwnerGone):
        joined.write(Batch(calls=[call("c2")]))
    joined.store.close()
    with Store.open(tmp_path / "s.db") as store:
        assert store.stale_sessions()


def test_an_owner_that_does_not_answer_costs_no_row(
    owned: Owner, joiner: Joiner, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, merge = threading.Event(), owned.store.merge

    def wait(*arguments: Any) -> None:
        held.wait(10)
        merge(*arguments)

    monkeypatch.setattr("collector.joined_store._ANSWER_TIMEOUT_S", 0.05)
    monkeypatch.setattr(owned.store, "merge", wait)
    with pytest.raises(StoreWriteFailed, match="does not answer"):
        joiner.write(Batch(calls=[call()]))
    held.set()
    monkeypatch.setattr("collector.joined_store._ANSWER_TIMEOUT_S", 30.0)
    joiner.write(Batch(calls=[call(), call("c2")]))
    assert owned.select("SELECT count(*) FROM llm_call") == [(2,)]


def test_what_killed_captures_said_last_goes(owned: Owner) -> None:
    joined = Joiner(owned.store.path)
    joined.write(
        Batch(running_answers=[RunningAnswerRow(f"c{n}", '["so far"]', 3, 5) for n in range(3)])
    )
    joined.write(Batch(running_answers=[RunningAnswerRow("c1", None, None, 6)]))
    assert owned.select("SELECT count(*) FROM running_answer") == [(2,)]
    joined.store.close()
    wait_until(lambda: owned.service.joined == 0)
    assert owned.select("SELECT count(*) FROM running_answer") == [(0,)]


# What captures leave to each other


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process of this one."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


def test_captures_that_could_see_a_new_one_leave_it_out_first(tmp_path: Path) -> None:
    python = scope(names=("python",))
    with owner(tmp_path / "s.db", own=python) as owned:
        first = Joiner(owned.store.path, scope(names=("node",)))
        second = Joiner(owned.store.path, scope(pids=(4,)))
        assert [one.names for one in owned.left_out] == [("node",), ()]
        assert first.left_out == [scope(pids=(4,))]  # it may have a child that is called node
        assert second.left_out == []
        third = Joiner(owned.store.path)
        assert third.store.captures == (python, scope(names=("node",)), scope(pids=(4,)))
        assert third.store.undone == ()
        assert len(first.left_out) == 2
        for joined in (first, second, third):
            joined.store.close()


def test_whom_a_new_capture_concerns(sleeper: subprocess.Popen[bytes]) -> None:
    outer, inner = scope(1, pids=(os.getpid(),)), scope(os.getpid(), pids=(sleeper.pid,))
    assert concerns(outer, inner)  # a run in a run: the outer one would see the inner one's agent
    assert not concerns(inner, outer)  # which must not leave out where it came from
    assert concerns(outer, scope(1, pids=(sleeper.pid,)))
    assert not concerns(scope(), inner)
    assert concerns(scope(names=("node",)), scope(1))


def test_a_capture_that_cannot_leave_a_new_one_out_in_time_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.join_service.LEAVE_OUT_TIMEOUT_S", 0.05)
    with owner(tmp_path / "s.db") as owned:
        busy = Joiner(owned.store.path, scope(os.getppid(), names=("node",)))
        monkeypatch.setattr(busy.store, "_leave_out", lambda other: False)
        joined = Joiner(owned.store.path)
        assert joined.store.undone == (os.getppid(),)
        joined.store.close()
        busy.store.close()


def refusal(known: CaptureScope, new: CaptureScope, path: Path) -> str:
    with owner(path, own=known) as owned:
        with pytest.raises(WatchedAlready) as refused:
            Joiner(owned.store.path, new)
        assert refused.value.exit_code == 2
        Joiner(owned.store.path, new, again=True).store.close()  # another owner had admitted it
    return str(refused.value)


def test_what_is_watched_already_is_refused(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    everything = replace(scope(), everything=True, held=False, command="underglass serve")
    above = replace(scope(), pids=(os.getpid(),), held=False)
    below = replace(scope(), pids=(sleeper.pid,), held=False)
    named = replace(scope(), names=("node",), held=False)
    said = refusal(everything, below, tmp_path / "1.db")
    assert said == (
        f"pid {sleeper.pid} is watched already by pid {os.getpid()} (`underglass serve`)"
    )
    assert said == refusal(everything, below, tmp_path / "1.db")
    assert f"pid {sleeper.pid} is" in refusal(above, below, tmp_path / "2.db")
    assert "named node are" in refusal(everything, named, tmp_path / "3.db")
    assert "named node are" in refusal(named, named, tmp_path / "4.db")
    assert "whole host is" in refusal(everything, everything, tmp_path / "5.db")
    assert "later ones cannot be left out" in refusal(named, everything, tmp_path / "6.db")
    with owner(tmp_path / "7.db", own=below) as owned:
        Joiner(owned.store.path, above).store.close()  # it leaves out what is below
        Joiner(owned.store.path, everything).store.close()


# Findings


def test_findings_of_a_joiners_sessions_reach_it(owned: Owner, joiner: Joiner) -> None:
    other = Joiner(owned.store.path)
    joiner.write(Batch(sessions=[session()]))
    other.write(Batch(sessions=[session("s2")]))
    owned.service.found("s1", {"kind": "loop", "session_id": "s1"})
    owned.service.found("s3", {"kind": "loop", "session_id": "s3"})
    owned.service.found(None, {"kind": "conflict", "session_id": None})
    owned.service.found("s2", {"kind": "stall", "session_id": "s2"})
    wait_until(lambda: other.found)
    assert [one["kind"] for one in joiner.found] == ["loop"]
    assert [one["kind"] for one in other.found] == ["stall"]
    other.store.close()


def test_a_joiner_waits_until_its_sessions_are_analysed(owned: Owner, joiner: Joiner) -> None:
    joiner.write(Batch(sessions=[session()]))
    asked = owned.written
    joiner.store.settle(0.1)  # nobody analyses
    assert owned.written > asked
    analysed = threading.Timer(
        0.05, lambda: owned.store.derive(lambda _: None, owned.store.stale_sessions())
    )
    analysed.start()
    joiner.store.settle(20)
    assert not owned.store.stale_sessions()
    analysed.join()


def test_a_line_whose_other_end_reads_nothing_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join_messages, "_SEND_TIMEOUT_MS", 50)
    ours, theirs = sockets.socketpair()
    with theirs:
        line = Line(ours)
        with pytest.raises(join_messages.LineBroken):
            line.send("finding", finding="x" * 10_000_000)
        with pytest.raises(join_messages.LineBroken):
            line.receive()
        line.close()
