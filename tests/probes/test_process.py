"""What the probe process does when its reader is slow; rings and session are played."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from probes.process import ProbeProcess, ReaderGone, ReaderPriority
from tests.e2e.conftest import wait_for

SENT = b"a frame " * 1_000_000


@dataclass
class Ring:
    used_bytes: int
    size_bytes: int = 100


@dataclass
class Session:
    attached: int = 0
    rings: list[Ring] = field(default_factory=lambda: [Ring(0), Ring(0)])


@pytest.fixture
def reader() -> Iterator[int]:
    """The process that is to be lowered and raised."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process.pid


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_reader_that_holds_up_the_rings_gets_its_share(
    reader: int, ends: tuple[socket.socket, socket.socket]
) -> None:
    session = Session()
    process = ProbeProcess(ends[0], cast(Any, session))
    process._reader = ReaderPriority(reader)
    assert os.sched_getscheduler(reader) == os.SCHED_IDLE
    sender = threading.Thread(target=process._send_views, args=([SENT[:8], SENT[8:]],))
    sender.start()
    session.rings[1].used_bytes = 90
    wait_for(lambda: os.sched_getscheduler(reader) == os.SCHED_OTHER, "it may run")
    assert sender.is_alive()
    received = bytearray()
    while len(received) < len(SENT):
        received += ends[1].recv(1 << 20)
    sender.join()
    assert received == SENT
    session.rings[1].used_bytes = 0
    process._reader.adapt(cast(Any, session.rings))
    assert os.sched_getscheduler(reader) == os.SCHED_IDLE


def test_a_reader_whom_others_wait_for_has_its_share_whatever_the_rings_hold(
    reader: int, ends: tuple[socket.socket, socket.socket]
) -> None:
    session = Session()
    process = ProbeProcess(ends[0], cast(Any, session))
    process._obey({"operation": "claim", "on": True})  # of one that was not made to yield
    process._reader = ReaderPriority(reader)
    for claimed, policy in ((True, os.SCHED_OTHER), (False, os.SCHED_IDLE)):
        process._obey({"operation": "claim", "on": claimed})
        process._reader.adapt(cast(Any, session.rings))
        assert os.sched_getscheduler(reader) == policy
    process._obey({"operation": "stop"})
    process._obey({"operation": "claim", "on": False})
    assert os.sched_getscheduler(reader) == os.SCHED_OTHER


def test_a_reader_that_goes_while_it_is_waited_for(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    process = ProbeProcess(ends[0], cast(Any, Session()))
    said: list[BaseException] = []

    def send() -> None:
        try:
            process._send_views([SENT])
        except ReaderGone as gone:
            said.append(gone)

    sender = threading.Thread(target=send)
    sender.start()
    ends[1].recv(1 << 16)
    ends[1].close()
    sender.join(20)
    assert len(said) == 1
