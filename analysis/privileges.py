"""Processes by which an agent's tree gains privileges.

In: the processes of agents' trees. Out: findings of kind `privilege_escalation`, one per process
that runs a privilege tool (sudo, su, ...), a set-uid root program, a namespace tool, or that runs
as root below a parent that does not. What a privilege tool starts as root is evidence of the same
finding. Known by base name: a renamed copy shows only by its change of user.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePosixPath

from analysis.steps import Evidence, Finding, ProcessStep, Severity

PRIVILEGE_TOOLS = frozenset(
    {"sudo", "sudoedit", "su", "doas", "pkexec", "runuser", "run0", "setpriv", "sg"}
)
SETUID_ROOT_PROGRAMS = frozenset(
    {"passwd", "chsh", "chfn", "chage", "gpasswd", "newgrp", "mount", "umount", "fusermount",
     "fusermount3", "newuidmap", "newgidmap", "crontab", "at"}
)  # fmt: skip
"""Set-uid (or set-gid) in the usual distributions; `ping` is left out, it is not any more."""
NAMESPACE_TOOLS = frozenset({"unshare", "nsenter"})

_ARGV_CHARS = 200


def privilege_escalations(processes: Iterable[ProcessStep]) -> list[Finding]:
    """Findings in order of start; each names the process and the beginning of its arguments."""
    family = _Family(processes)
    found: dict[str, Finding] = {}  # by process_key of the first process of the finding
    belongs: dict[str, str] = {}  # process_key -> process_key of the finding it is part of
    for process in family.in_order:
        parent = family.parent(process)
        owner = belongs.get(parent.process_key) if parent else None
        gained_root = _gained_root(process, parent)
        reason = _reason(process)
        if owner is not None and (gained_root or reason):
            found[owner] = _joined(found[owner], process, gained_root)
            belongs[process.process_key] = owner
        elif reason or gained_root:
            found[process.process_key] = _finding(process, parent, reason, gained_root, family)
            belongs[process.process_key] = process.process_key
    return list(found.values())


class _Family:
    """Parents of processes: the pid's latest bearer at the time of the child's start."""

    def __init__(self, processes: Iterable[ProcessStep]) -> None:
        self.in_order = sorted(processes, key=_start)
        self._bearers: dict[int, list[ProcessStep]] = {}
        for process in self.in_order:
            self._bearers.setdefault(process.pid, []).append(process)

    def parent(self, process: ProcessStep) -> ProcessStep | None:
        bearers = self._bearers.get(process.ppid, []) if process.ppid is not None else []
        before = bisect_right(bearers, _start(process), key=_start)
        parent = bearers[before - 1] if before else None
        return None if parent is process else parent

    def session_id(self, process: ProcessStep) -> str | None:
        """The session of the process or of its nearest ancestor that has one."""
        seen: set[str] = set()
        current: ProcessStep | None = process
        while current is not None and current.process_key not in seen:
            if current.session_id is not None:
                return current.session_id
            seen.add(current.process_key)
            current = self.parent(current)
        return None


def _start(process: ProcessStep) -> int:
    return process.started_ns or 0


def _name(process: ProcessStep) -> str:
    """Base name of the program: of the executable, else of the first argument."""
    path = process.exe or (process.argv[0] if process.argv else "")
    return PurePosixPath(path).name


def _names(process: ProcessStep) -> set[str]:
    first = PurePosixPath(process.argv[0]).name if process.argv else ""
    return {_name(process), first} - {""}


def _reason(process: ProcessStep) -> str | None:
    names = _names(process)
    for tools, verb in (
        (PRIVILEGE_TOOLS, "ran {} to act as another user"),
        (NAMESPACE_TOOLS, "ran {} to enter another namespace"),
        (SETUID_ROOT_PROGRAMS, "ran {}, usually a set-uid program"),
    ):
        if names & tools:
            return verb.format(min(names & tools))
    return None


def _gained_root(process: ProcessStep, parent: ProcessStep | None) -> bool:
    return process.uid == 0 and parent is not None and parent.uid not in (None, 0)


def _finding(
    process: ProcessStep,
    parent: ProcessStep | None,
    reason: str | None,
    gained_root: bool,
    family: _Family,
) -> Finding:
    was_root = parent is not None and parent.uid == 0
    severity: Severity = "critical" if gained_root else "info" if was_root else "warning"
    title = f"The agent's process {process.pid} {reason or 'runs as root, its parent does not'}"
    return Finding(
        kind="privilege_escalation",
        session_id=family.session_id(process),
        severity=severity,
        first_at_ns=process.started_ns,
        last_at_ns=process.started_ns,
        title=title + (", as root already" if was_root else ""),
        evidence=(_evidence(process),),
    )


def _joined(finding: Finding, process: ProcessStep, gained_root: bool) -> Finding:
    return replace(
        finding,
        severity="critical" if gained_root else finding.severity,
        last_at_ns=process.started_ns or finding.last_at_ns,
        evidence=(*finding.evidence, _evidence(process)),
    )


def _evidence(process: ProcessStep) -> Evidence:
    argv = " ".join(process.argv)[:_ARGV_CHARS] or process.exe or "arguments not seen"
    uid = "" if process.uid is None else f", uid {process.uid}"
    return Evidence("process", process.process_key, f"pid {process.pid}{uid}: {argv}")
