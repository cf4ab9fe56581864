"""Changes of privileges by real programs under real probes, against their own account."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.events import CredentialChange, CredentialsChanged, ProcessExecuted, ProcessForked
from tests.e2e.conftest import PROGRAMS
from tests.e2e.raw_capture import RawCapture, RawProbe

pytestmark = pytest.mark.privileged
NOBODY = 65534
NET_RAW = 1 << 13


def watch(command: list[str | Path], cwd: Path) -> RawCapture:
    with RawProbe() as probe:
        seen = probe.watch(command, dict(os.environ), cwd=cwd)
    assert seen.exit_code == 0, seen.stderr
    return seen


def changes(seen: RawCapture) -> list[CredentialsChanged]:
    return [event for event in seen.events if isinstance(event, CredentialsChanged)]


def test_every_call_with_its_result_and_what_it_left(tmp_path: Path) -> None:
    seen = watch([sys.executable, PROGRAMS / "privilege_calls.py"], tmp_path)
    found = [
        {
            "change": event.change.name,
            "result": event.result,
            "uid": event.uid,
            "euid": event.euid,
            "capabilities": event.capabilities,
            "argument": event.argument,
            "target_pid": event.target_pid,
        }
        for event in changes(seen)
    ]
    assert found == json.loads(seen.stdout)
    assert {one["result"] for one in found} >= {0, -1, -3, -9}  # denied, no process, no descriptor
    assert {one["change"] for one in found} == {change.name for change in CredentialChange} - {
        "EXEC"
    }
    assert seen.counters["privilege.events"] == len(found)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, on a file system that honours set-uid."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        os.chmod(name, 0o755)
        yield Path(name)


AS_NOBODY = """
import os, sys
for uid, program in zip(sys.argv[1::2], sys.argv[2::2]):
    if not (child := os.fork()):
        os.setresuid(int(uid), int(uid), int(uid))
        os.execv(program, [program])
    assert os.waitpid(child, 0)[1] == 0
"""


def test_programs_whose_file_gives_privileges(open_folder: Path) -> None:
    plain, set_uid, capable = (open_folder / name for name in ("plain", "set_uid", "capable"))
    for copy in (plain, set_uid, capable):
        shutil.copy("/bin/true", copy)
        copy.chmod(0o755)
    set_uid.chmod(0o4755)
    # vfs_cap_data of revision 2, effective
    os.setxattr(capable, "security.capability", struct.pack("<IIIII", 0x02000001, NET_RAW, 0, 0, 0))
    runs = [(NOBODY, plain), (NOBODY, set_uid), (NOBODY, capable), (0, set_uid), (0, plain)]
    arguments = [str(part) for run in runs for part in run]
    seen = watch([sys.executable, "-c", AS_NOBODY, *arguments], open_folder)
    programs = {
        event.pid: event.argv[0] for event in seen.events if isinstance(event, ProcessExecuted)
    }
    gained = [event for event in changes(seen) if event.change == CredentialChange.EXEC]
    assert [(programs[event.pid], event.uid, event.euid) for event in gained] == [
        (str(set_uid), NOBODY, 0),
        (str(capable), NOBODY, NOBODY),
    ]
    full, one = (event.capabilities for event in gained)
    assert one == NET_RAW
    assert full & ~one
    order = [
        (event.pid, type(event))
        for event in seen.events
        if isinstance(event, CredentialsChanged | ProcessExecuted)
    ]
    for event in gained:
        assert order.index((event.pid, ProcessExecuted)) < len(order) - 1 - order[::-1].index(
            (event.pid, CredentialsChanged)
        )


def told(seen: RawCapture) -> list[tuple[int, ...]]:
    """pid, tid, flags and result of each event, all of which are of namespaces."""
    events = changes(seen)
    assert {event.change for event in events} <= {CredentialChange.UNSHARE}
    return [(event.pid, event.tid, event.argument, event.result) for event in events]


def test_what_is_born_into_namespaces_and_what_is_not(tmp_path: Path) -> None:
    program = tmp_path / "namespace_calls"
    source = PROGRAMS / "namespace_calls.c"
    subprocess.run(["gcc", "-O1", "-pthread", "-o", program, source], check=True)
    seen = watch([program], tmp_path)
    lines = [tuple(map(int, line.split())) for line in seen.stdout.splitlines()]
    expected = [(pid, tid, flags, -error) for pid, tid, flags, error in lines]
    assert len(expected) == 6
    assert told(seen) == expected
    forked = [event for event in seen.events if isinstance(event, ProcessForked)]
    assert len(forked) == 2 * 53 * 4 + 4


NEW_USER, NEW_UTS, NEW_NETWORK = 0x10000000, 0x04000000, 0x40000000
UNSHARED = """
import ctypes, os
libc = ctypes.CDLL(None)
assert libc.unshare({}) == 0
assert os.system("true") == 0
"""


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        (["unshare", "-r", "true"], NEW_USER),
        (["unshare", "--user", "--net", "--fork", "true"], NEW_USER | NEW_NETWORK),
        ([sys.executable, "-c", UNSHARED.format(NEW_UTS)], NEW_UTS),
    ],
)
def test_what_parts_itself_is_told_once(command: list[str], flags: int, tmp_path: Path) -> None:
    seen = watch([shutil.which(command[0]) or command[0], *command[1:]], tmp_path)
    ((pid, tid, *found),) = told(seen)
    assert found == [flags, 0]
    assert pid == tid
