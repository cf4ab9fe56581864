"""Content of files with a listed name, as real programs read it under real probes."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

import pytest

from probes.events import FileContent
from tests.e2e.conftest import PROGRAMS
from tests.e2e.in_process import session_here
from tests.e2e.raw_capture import RawCapture, RawProbe

pytestmark = pytest.mark.privileged
PIECE = 16384


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    noise = random.Random(7)
    (tmp_path / "keys").mkdir()
    (tmp_path / ".env").write_bytes(noise.randbytes(40))
    (tmp_path / "plain").write_bytes(noise.randbytes(40))
    (tmp_path / "keys" / "large").write_bytes(noise.randbytes(300_000))
    (tmp_path / "link").symlink_to(".env")
    return tmp_path


def contents(seen: RawCapture) -> list[FileContent]:
    return [event for event in seen.events if isinstance(event, FileContent)]


def watch(folder: Path, *, files: list[str], directories: list[str]) -> RawCapture:
    with RawProbe() as probe:
        probe.control("sensitive", files=files, directories=directories)
        command = [sys.executable, PROGRAMS / "content_reads.py", folder]
        seen = probe.watch(list(map(str, command)), dict(os.environ), cwd=folder)
    assert seen.exit_code == 0, seen.stderr
    return seen


def test_all_that_calls_return_is_delivered_or_counted(folder: Path) -> None:
    seen = watch(folder, files=[".env", "none"], directories=["keys"])
    expected = json.loads(seen.stdout)
    files = {(folder / name).stat().st_ino: name for name in (".env", "keys/large")}
    found = []
    for event in contents(seen):
        name = files[event.inode]
        whole = (folder / name).read_bytes()
        assert event.data == whole[event.position : event.position + len(event.data)]
        found.append((name, event.position, len(event.data)))
    assert found == [
        piece for name, at, size in expected["seen"] for piece in _pieces(name, at, size)
    ]
    assert seen.counters["file.unseen_content_bytes"] == expected["unseen"]
    assert seen.counters["file.content_bytes"] == sum(size for _, _, size in expected["seen"])
    assert seen.counters["file.lost_content_bytes_ring_full"] == 0
    status = folder.stat()
    device = os.major(status.st_dev) << 20 | os.minor(status.st_dev)
    assert {event.device for event in contents(seen)} == {device}


def _pieces(name: str, position: int, size: int) -> list[tuple[str, int, int]]:
    """A call's bytes as they are delivered, 16 KiB at a time."""
    starts = range(0, size, PIECE)
    return [(name, position + start, min(PIECE, size - start)) for start in starts]


def test_without_a_listed_name_nothing_is_delivered(folder: Path) -> None:
    seen = watch(folder, files=["keys"], directories=[".env"])
    assert not contents(seen)
    assert seen.counters["file.unseen_content_bytes"] == 0


def test_marks_go_with_their_process(folder: Path) -> None:
    with session_here() as bench:
        session = bench.session
        session.mark_sensitive([".env"], [])
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.read(read, 1)
            os.read(os.open(folder / ".env", os.O_RDONLY), 10)
            os._exit(0)
        session.follow(child)
        os.write(write, b"g")
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)
        assert session.tables.sizes()["sensitive_files"] == 1
        session.tables.sweep({child})
        assert session.tables.sizes()["sensitive_files"] == 0
