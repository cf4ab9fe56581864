from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from probes import procfs

GONE = 1 << 30


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A Python process with a child of its own; both wait for their standard input to close."""
    inner = "import sys; sys.stdout.write('up'); sys.stdout.flush(); sys.stdin.read()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}, 'a b', ''])"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.read(2) == b"up"
    yield process
    process.stdin.close()
    process.wait(timeout=10)
    process.stdout.close()


def test_this_process() -> None:
    before = time.monotonic_ns()
    event = procfs.seen(os.getpid())
    assert event is not None
    assert (event.pid, event.ppid, event.uid) == (os.getpid(), os.getppid(), os.geteuid())
    assert event.exe == os.path.realpath("/proc/self/exe")
    assert event.cwd == os.getcwd()
    assert event.argv == tuple(sys.orig_argv)
    assert before <= event.ktime_ns <= time.monotonic_ns()
    age_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - event.start_ns
    assert 0 < age_ns < 3600 * 10**9


def test_descendants_come_parents_first(child: subprocess.Popen[bytes]) -> None:
    below = procfs.descendants(child.pid)
    (grandchild,) = below
    event = procfs.seen(grandchild)
    assert event is not None
    assert (event.ppid, event.cwd) == (child.pid, "/")
    assert event.argv[-2:] == ("a b", "")
    mine = procfs.descendants(os.getpid())
    assert mine.index(child.pid) < mine.index(grandchild)
    assert procfs.descendants(grandchild) == []


def test_processes_by_name(child: subprocess.Popen[bytes]) -> None:
    event = procfs.seen(child.pid)
    assert event is not None
    assert event.exe is not None
    assert child.pid in procfs.named(os.path.basename(event.exe))
    assert child.pid in procfs.named(event.comm)
    assert procfs.named("no such process name") == []


def test_names_with_parentheses_and_spaces() -> None:
    code = (
        "import ctypes, sys;"
        "ctypes.CDLL(None).prctl(15, b') S 1 (x y', 0, 0, 0);"
        "sys.stdout.write('up'); sys.stdout.flush(); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(2) == b"up"
        event = procfs.seen(process.pid)
        process.communicate()
    assert event is not None
    assert (event.comm, event.ppid) == (") S 1 (x y", os.getpid())


def test_what_is_gone_is_left_out() -> None:
    assert procfs.seen(GONE) is None
    assert procfs.descendants(GONE) == []
    assert os.getpid() in list(procfs.pids())
