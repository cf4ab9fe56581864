"""Readers who ring at a collector that yields to agents."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from collector.query_client import knock
from probes import process
from probes.process import ReaderPriority
from probes.reader_door import Door
from tests.probes.test_process import Ring


@pytest.fixture
def bell(tmp_path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(tmp_path / "q.sock.bell"))
    made.listen(4)
    return made


def ring(tmp_path: Path) -> None:
    """Nothing listens at the socket itself; the bell is heard all the same."""
    with pytest.raises(FileNotFoundError):
        knock(str(tmp_path / "q.sock"))


def test_every_ring_is_heard_once(tmp_path: Path, bell: socket.socket) -> None:
    door = Door(os.getpid(), bell.fileno())
    assert not door.rung()
    for _ in range(3):
        ring(tmp_path)
    assert door.rung()
    assert not door.rung()
    bell.close()
    for _ in range(100):  # it is the door's alone now, and nobody is kept waiting
        ring(tmp_path)
    assert door.rung()
    door.close()
    assert not door.rung()
    with socket.socket(socket.AF_UNIX) as late, pytest.raises(ConnectionRefusedError):
        late.connect(str(tmp_path / "q.sock.bell"))


def test_a_door_that_is_none() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        Door(os.getpid(), 999_999)
    with socket.socket(socket.AF_UNIX) as idle:
        assert not Door(os.getpid(), idle.fileno()).rung()


def test_the_collector_gets_its_share_when_readers_ring(
    tmp_path: Path, bell: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    rings = cast(Any, [Ring(0)])
    now_s = 100.0
    monkeypatch.setattr("probes.process.time.monotonic", lambda: now_s)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as collector:
        priority = ReaderPriority(collector.pid, Door(os.getpid(), bell.fileno()))
        priority.adapt(rings)
        assert os.sched_getscheduler(collector.pid) == os.SCHED_IDLE
        ring(tmp_path)
        priority.adapt(rings)
        assert os.sched_getscheduler(collector.pid) == os.SCHED_OTHER
        now_s += process.RINGING_COUNTS_S / 2
        priority.adapt(rings)
        assert os.sched_getscheduler(collector.pid) == os.SCHED_OTHER
        priority.claim(on=True)  # it says so itself meanwhile
        now_s += process.RINGING_COUNTS_S
        priority.adapt(rings)
        assert os.sched_getscheduler(collector.pid) == os.SCHED_OTHER
        priority.claim(on=False)
        priority.adapt(rings)
        assert os.sched_getscheduler(collector.pid) == os.SCHED_IDLE
