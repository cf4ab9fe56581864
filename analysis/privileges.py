"""Processes by which an agent's tree gains privileges.

In: the processes of agents' trees, and what the kernel said of changes of credentials. Out:
findings of kind `privilege_escalation`, one for each chain: a process that runs a privilege tool
(sudo, su, ...), a set-uid program or a namespace tool, that changes its user, capabilities or
namespaces or traces another process, or that runs as root below a parent that does not; and what
its descendants and the programs that it then becomes do of the same. Tries that failed are found
too, with a lower severity. The kernel's word is needed to see a renamed copy of a tool before
what it starts shows by its user.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from analysis.privilege_changes import Act, Held, act
from analysis.steps import Evidence, Finding, PrivilegeStep, ProcessStep, Severity

PRIVILEGE_TOOLS = frozenset(
    {"sudo", "sudoedit", "su", "doas", "pkexec", "runuser", "run0", "setpriv", "sg"}
)
SETUID_ROOT_PROGRAMS = frozenset(
    {"passwd", "chsh", "chfn", "chage", "gpasswd", "newgrp", "mount", "umount", "fusermount",
     "fusermount3", "newuidmap", "newgidmap", "crontab", "at"}
)  # fmt: skip
"""Set-uid (or set-gid) in the usual distributions; `ping` is left out, it is not any more."""
NAMESPACE_TOOLS = frozenset({"unshare", "nsenter"})
MAX_EVIDENCE = 30
"""Of one chain: enough to follow it; sudo alone changes its ids a dozen times."""

_ARGV_CHARS = 200
_RANK: dict[Severity, int] = {"info": 0, "warning": 1, "critical": 2}


def privilege_escalations(
    processes: Iterable[ProcessStep], changes: Iterable[PrivilegeStep] = ()
) -> list[Finding]:
    """Findings in order of start; each names the processes, with their arguments' beginning."""
    family = _Family(processes, changes)
    chains: list[_Chain] = []
    belongs: dict[str, _Chain] = {}  # process_key -> the chain that it is part of
    for process in family.in_order:
        chain = _owner(family, belongs, process)
        steps = _steps(family, process, in_chain=chain is not None)
        if steps:
            if chain is None:
                chain = _Chain(family.session_id(process))
                chains.append(chain)
            steps.join(chain)
        if chain is not None:
            belongs[process.process_key] = chain
    chains.extend(_of_unknown_processes(family))
    return [chain.finding() for chain in sorted(chains, key=lambda one: one.first_ns or 0)]


@dataclass(slots=True)
class _Chain:
    """One finding under way."""

    session_id: str | None
    title: str = ""
    severity: Severity = "info"
    first_ns: int | None = None
    last_ns: int | None = None
    count: int = 0  # processes and changes
    evidence: list[Evidence] = field(default_factory=list)

    def take(self, title: str, severity: Severity, at_ns: int | None, evidence: Evidence) -> None:
        """One more thing that happened. The first gives the title."""
        self.title = self.title or title
        self.severity = max(self.severity, severity, key=_rank)
        if at_ns is not None:
            self.first_ns = at_ns if self.first_ns is None else self.first_ns
            self.last_ns = max(at_ns, self.last_ns or at_ns)
        self.count += 1
        if len(self.evidence) < MAX_EVIDENCE:
            self.evidence.append(evidence)

    def finding(self) -> Finding:
        """What was taken, as a finding."""
        return Finding(
            kind="privilege_escalation",
            session_id=self.session_id,
            severity=self.severity,
            first_at_ns=self.first_ns,
            last_at_ns=self.last_ns,
            title=self.title,
            evidence=tuple(self.evidence),
            count=self.count,
        )


@dataclass(frozen=True, slots=True)
class _Steps:
    """What one process did towards more privileges."""

    process: ProcessStep
    reason: str | None  # by its name
    gained_root: bool  # by its user, against what started it
    was_root: bool
    acts: list[tuple[PrivilegeStep, Act]]

    def __bool__(self) -> bool:
        return bool(self.reason or self.gained_root or self.acts)

    def join(self, chain: _Chain) -> None:
        """Make it part of the chain."""
        did = self.reason
        if did and self.was_root and not self.gained_root:
            did += ", as root already"
        if did is None and self.acts:
            did = max((each for _, each in self.acts), key=lambda one: _rank(one.severity)).did
        did = did or "runs as root, its parent does not"
        title = f"The agent's process {self.process.pid} {did}"
        chain.take(title, self._severity(), self.process.started_ns, _evidence(self.process))
        for step, each in self.acts:
            chain.take(title, "info", step.at_ns, _change_evidence(step, each))

    def _severity(self) -> Severity:
        if self.gained_root:
            return "critical"
        found: list[Severity] = [each.severity for _, each in self.acts]
        if self.reason:
            # A tool is root itself before it asks for a password: what it starts shows the rest.
            return "info" if self.was_root else "warning"
        return max(found, key=_rank)


def _rank(severity: Severity) -> int:
    return _RANK[severity]


class _Family:
    """Parents of processes: the pid's latest bearer at the time of the child's start."""

    def __init__(self, processes: Iterable[ProcessStep], changes: Iterable[PrivilegeStep]) -> None:
        self.in_order = sorted(processes, key=_start)
        self._bearers: dict[int, list[ProcessStep]] = {}
        self._children: dict[int, set[int]] = {}
        for process in self.in_order:
            self._bearers.setdefault(process.pid, []).append(process)
            if process.ppid is not None:
                self._children.setdefault(process.ppid, set()).add(process.pid)
        self.changes: dict[str, list[PrivilegeStep]] = {}
        for change in sorted(changes, key=lambda one: one.at_ns):
            self.changes.setdefault(change.process_key, []).append(change)

    def parent(self, process: ProcessStep) -> ProcessStep | None:
        bearers = self._bearers.get(process.ppid, []) if process.ppid is not None else []
        before = bisect_right(bearers, _start(process), key=_start)
        parent = bearers[before - 1] if before else None
        return None if parent is process else parent

    def program_before(self, process: ProcessStep) -> ProcessStep | None:
        """The program that the same process ran until it executed this one."""
        if process.started_ns is None:
            return None
        for other in self._bearers[process.pid]:
            if other is not process and other.ended_ns == process.started_ns:
                return other
        return None

    def is_agent(self, process: ProcessStep) -> bool:
        """Is it the first of its session? What it starts later is not of one chain with it."""
        parent = self.parent(process)
        if parent is None:
            return True
        return self.session_id(parent) is None and self.session_id(process) is not None

    def uid_at(self, process: ProcessStep, at_ns: int) -> int | None:
        """Whom the process ran as by then; root if it was so really or effectively."""
        uid = process.uid
        for change in self.changes.get(process.process_key, ()):
            if change.at_ns > at_ns:
                break
            uid = min(change.uid, change.euid)
        return uid

    def descendants(self, pid: int) -> set[int]:
        """Pids below this one."""
        found: set[int] = set()
        left = [pid]
        while left:
            fresh = self._children.get(left.pop(), set()) - found
            found |= fresh
            left.extend(fresh)
        return found

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


def _owner(family: _Family, belongs: dict[str, _Chain], process: ProcessStep) -> _Chain | None:
    """The chain of the program that the process ran before, or of its parent."""
    before = family.program_before(process)
    if before is not None and before.process_key in belongs:
        return belongs[before.process_key]
    parent = family.parent(process)
    if parent is None or family.is_agent(parent):
        return None
    return belongs.get(parent.process_key)


def _steps(family: _Family, process: ProcessStep, *, in_chain: bool) -> _Steps:
    started_by = family.program_before(process) or family.parent(process)
    uid = None if started_by is None else family.uid_at(started_by, _start(process))
    # Within a chain, root is gained against whom its program was started by, whatever it has
    # become since: sudo is root itself when it starts what it was asked for.
    before = uid if started_by is None or not in_chain else started_by.uid
    return _Steps(
        process=process,
        reason=_reason(process),
        gained_root=process.uid == 0 and before not in (None, 0),
        was_root=uid == 0,
        acts=_acts(family, process, uid),
    )


def _acts(
    family: _Family, process: ProcessStep, started_by_uid: int | None
) -> list[tuple[PrivilegeStep, Act]]:
    """What the changes of one process are, in order of time."""
    changes = family.changes.get(process.process_key, [])
    if not changes:
        return []
    executed = changes[0].change == "exec" and started_by_uid is not None
    held = Held.of_user(started_by_uid if executed else process.uid)
    traces = any(change.change == "ptrace" for change in changes)
    kin = family.descendants(process.pid) if traces else ()
    return _gains(changes, held, _names(process), kin)


def _gains(
    changes: list[PrivilegeStep], held: Held, names: Collection[str], kin: Collection[int]
) -> list[tuple[PrivilegeStep, Act]]:
    found = []
    for change in changes:
        each = act(change, held, names, kin)
        if each is not None:
            found.append((change, each))
        held = Held.after(change)
    return found


def _of_unknown_processes(family: _Family) -> Iterator[_Chain]:
    """Changes of processes that are not among those given: one chain a process."""
    known = {process.process_key for process in family.in_order}
    for key, changes in family.changes.items():
        gains = [] if key in known else _gains(changes, Held.of_user(None), (), ())
        if gains:
            chain = _Chain(changes[0].session_id)
            for step, each in gains:
                title = f"The agent's process {step.pid} {each.did}"
                chain.take(title, each.severity, step.at_ns, _change_evidence(step, each))
            yield chain


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


def _evidence(process: ProcessStep) -> Evidence:
    argv = " ".join(process.argv)[:_ARGV_CHARS] or process.exe or "arguments not seen"
    uid = "" if process.uid is None else f", uid {process.uid}"
    note = f"pid {process.pid}{uid}: {argv}"
    return Evidence("process", process.process_key, note, process.started_ns, process.pid)


def _change_evidence(step: PrivilegeStep, each: Act) -> Evidence:
    note = f"pid {step.pid} {each.did}; then uid {step.uid}, effective uid {step.euid}"
    return Evidence("privilege", step.privilege_change_id, note, step.at_ns, step.pid)
