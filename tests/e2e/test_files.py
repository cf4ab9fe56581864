"""System calls on files by real programs under real probes, against the programs' own account."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from probes.events import FileTouched, ProcessExecuted, ProcessExited
from tests.e2e.conftest import PROGRAMS
from tests.e2e.raw_capture import RawCapture, RawProbe

pytestmark = pytest.mark.privileged


def watch(
    command: list[str | Path], cwd: Path, *, file_ring_pages: int | None = None
) -> RawCapture:
    with RawProbe(file_ring_pages=file_ring_pages) as probe:
        seen = probe.watch(command, dict(os.environ), cwd=cwd)
    assert seen.exit_code == 0, seen.stderr
    return seen


def touched(seen: RawCapture, word: str) -> list[FileTouched]:
    """Events with a path that holds the word."""
    return [
        event
        for event in seen.events
        if isinstance(event, FileTouched) and word in f"{event.path} {event.new_path}"
    ]


def told(event: FileTouched) -> dict[str, object]:
    return {
        "operation": event.operation.name,
        "result": event.result,
        "flags": event.flags,
        "path": event.path,
        "new_path": event.new_path,
        "inode": event.inode,
        "truncated": event.truncated,
        "tid": event.tid,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that every user may enter, with a name that nothing else has."""
    made = tmp_path / "touched-by-the-test"
    made.mkdir()
    return made


def test_every_call_with_its_result_and_path(folder: Path) -> None:
    folder.joinpath("deep", *"e" * 120).mkdir(parents=True)
    seen = watch([sys.executable, PROGRAMS / "file_calls.py", folder], folder)
    expected = json.loads(seen.stdout)
    events = [event for event in touched(seen, folder.name) if not _of_the_start(event)]
    found = [told(event) for event in events]
    assert len(found) == len(expected), _difference(found, expected)
    for got, wanted in zip(found, expected, strict=True):
        if wanted["truncated"]:
            assert str(got.pop("path")).startswith(wanted.pop("path")[:1000])
        assert got == wanted
    (device,) = {event.device for event in events if event.inode}
    status = folder.stat()
    assert device == os.major(status.st_dev) << 20 | os.minor(status.st_dev)
    assert len({event.pid for event in events}) == 2  # the program and its child
    assert {event.operation for event in events} == set(type(events[0].operation))
    assert seen.counters["file.truncated_paths"] == 3
    assert seen.counters["file.lost_events_ring_full"] == 0
    assert seen.counters["file.events"] == len(
        [event for event in seen.events if isinstance(event, FileTouched)]
    )


def _of_the_start(event: FileTouched) -> bool:
    return event.path.endswith(("file_calls.py", "pyvenv.cfg"))


def _difference(found: list[dict[str, object]], expected: list[dict[str, object]]) -> str:
    for got, wanted in zip(found, expected, strict=False):
        if got != wanted:
            return f"{got}\n{wanted}"
    return f"{len(found)} events, {len(expected)} calls"


EXCLUSIVE = """
import os, sys
folder, rounds = sys.argv[1], int(sys.argv[2])
children = []
for _ in range(2):
    if not (child := os.fork()):
        won = 0
        for n in range(rounds):
            try:
                os.close(os.open(f"{folder}/lock{n}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                won += 1
            except FileExistsError:
                pass
        os.write(1, f"{os.getpid()} {won}\\n".encode())
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
"""


def test_of_two_processes_that_create_a_file_one_is_told_to_have_failed(folder: Path) -> None:
    rounds = 300
    seen = watch([sys.executable, "-c", EXCLUSIVE, str(folder), str(rounds)], folder)
    said = [line.split() for line in seen.stdout.decode().splitlines()]
    won = {int(pid): int(count) for pid, count in said}
    events = touched(seen, "/lock")
    assert len(events) == 2 * rounds
    by_path: dict[str, Counter[bool]] = {}
    for event in events:
        assert event.result > 0 or event.result == -17  # EEXIST
        by_path.setdefault(event.path, Counter())[event.result > 0] += 1
    assert set(by_path) == {f"{folder}/lock{n}" for n in range(rounds)}
    assert all(outcome == {True: 1, False: 1} for outcome in by_path.values())
    assert Counter(event.pid for event in events if event.result > 0) == Counter(won)


def test_what_a_storm_of_opens_loses_is_counted(folder: Path) -> None:
    program, calls = folder / "open_storm", 200_000
    source = PROGRAMS / "open_storm.c"
    subprocess.run(["gcc", "-O2", "-static", "-pthread", "-o", program, source], check=True)
    file = folder / "stormy"
    file.touch()
    seen = watch([program, file, str(calls), "4"], folder, file_ring_pages=4)
    assert seen.stdout == f"{calls}\n".encode()
    storm = touched(seen, "/stormy")
    assert all(event.path == str(file) and event.result > 0 for event in storm)
    lost = seen.counters["file.lost_events_ring_full"]
    assert lost > 0
    assert len(storm) + lost == calls
    every = [event for event in seen.events if isinstance(event, FileTouched)]
    assert seen.counters["file.events"] == len(every)
    assert seen.counters["process_lost_events_ring_full"] == 0
    times = [event.ktime_ns for event in storm]
    start = max(e.ktime_ns for e in seen.events if isinstance(e, ProcessExecuted))
    (end,) = {e.ktime_ns for e in seen.events if isinstance(e, ProcessExited)}
    assert start < min(times) <= max(times) < end
    order = [id(event) for event in seen.events]
    places = [order.index(id(event)) for event in (storm[0], storm[-1])]
    kinds = [type(event) for event in seen.events]
    assert kinds.index(ProcessExecuted) < places[0] < places[1] < kinds.index(ProcessExited)


CHROOTED = """
import os, sys
os.chroot(sys.argv[1])
os.chdir("/inner")
for name in ("/inner/here", "none", "../inner/none"):
    try:
        os.close(os.open(name, os.O_RDWR))
    except FileNotFoundError:
        pass
"""


def test_in_a_chroot_paths_are_those_of_the_mount_namespace(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "here").touch()
    seen = watch([sys.executable, "-c", CHROOTED, str(folder)], folder)
    found = [(event.path, event.result > 0) for event in touched(seen, "/inner/")]
    inner = f"{folder}/inner"
    assert found == [(f"{inner}/here", True), (f"{inner}/none", False), (f"{inner}/none", False)]


def test_in_a_mount_namespace_of_its_own_paths_are_as_there(folder: Path) -> None:
    unshare = shutil.which("unshare")
    assert unshare
    script = f"mount -t tmpfs none {folder} && echo > {folder}/made && cat < {folder}/made"
    seen = watch([unshare, "--mount", "sh", "-c", script], folder)
    paths = {event.path for event in touched(seen, "/made") if event.result >= 0}
    assert paths == {f"{folder}/made"}
    assert not (folder / "made").exists()
