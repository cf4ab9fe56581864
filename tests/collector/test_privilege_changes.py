"""Privilege changes, by name."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from collector.privilege_changes import PrivilegeChanges, capability_names
from collector.processes import ProcessTable
from collector.rows import PrivilegeChangeRow
from probes.events import CredentialChange, CredentialsChanged
from tests.action_frames import privilege
from tests.frames import AGENT, INFO, STARTED_NS

UNSHARE, SETNS, PTRACE = CredentialChange.UNSHARE, CredentialChange.SETNS, CredentialChange.PTRACE


def rows_of(*events: CredentialsChanged) -> list[PrivilegeChangeRow]:
    changes = PrivilegeChanges(INFO, ProcessTable(INFO))
    for event in events:
        changes.changed(event)
    rows = changes.take()
    assert changes.take() == []
    assert changes.received == len(events) == len({row.privilege_change_id for row in rows})
    return rows


def test_a_program_that_gained_everything() -> None:
    (row,) = rows_of(privilege(CredentialChange.EXEC, 9, euid=0, capabilities=(1 << 41) - 1))
    assert asdict(row) == {
        "privilege_change_id": row.privilege_change_id,
        "capture_id": INFO.capture_id,
        "process_key": ProcessTable(INFO).key(AGENT, STARTED_NS),
        "pid": AGENT,
        "at_ns": INFO.wall_ns(9),
        "change": "exec",
        "error": None,
        "uid": 1000,
        "euid": 0,
        "capabilities": ("all",),
        "detail": None,
        "target_pid": None,
    }


def test_equal_changes_are_not_folded() -> None:
    change = CredentialChange.SETUID
    rows = rows_of(privilege(change, 1, result=-1), privilege(change, 2, result=-1))
    assert [(row.change, row.error) for row in rows] == [("setuid", "EPERM")] * 2


@pytest.mark.parametrize(
    ("bits", "names"),
    [
        (0, ()),
        (1 << 21 | 1, ("CAP_CHOWN", "CAP_SYS_ADMIN")),
        (1 << 40 | 1 << 38, ("CAP_PERFMON", "CAP_CHECKPOINT_RESTORE")),
        ((1 << 40) - 1, ("all",)),  # Linux 5.8
        ((1 << 43) - 1, ("all",)),
        (1 << 44, ("CAP_44",)),
    ],
)
def test_capabilities(bits: int, names: tuple[str, ...]) -> None:
    assert capability_names(bits) == names


def test_almost_all_capabilities_are_listed() -> None:
    assert len(capability_names((1 << 41) - 2)) == 40


@pytest.mark.parametrize(
    ("change", "argument", "detail"),
    [
        (UNSHARE, 0x10000000 | 0x00020000, "mount user"),
        (UNSHARE, 0x40000000, "network"),
        (UNSHARE, 0x00000080 | 0x1, "time 0x1"),
        (SETNS, 0x20000000, "pid"),
        (SETNS, 0, None),
        (PTRACE, 16, "PTRACE_ATTACH"),
        (PTRACE, 0, "PTRACE_TRACEME"),
        (PTRACE, 0x4206, "PTRACE_SEIZE"),
        (PTRACE, 31337, "request 31337"),
        (CredentialChange.CAPSET, 5, None),
    ],
)
def test_details(change: CredentialChange, argument: int, detail: str | None) -> None:
    (row,) = rows_of(privilege(change, argument=argument, target_pid=7))
    assert row.detail == detail
    assert row.target_pid == (7 if change is PTRACE else None)
