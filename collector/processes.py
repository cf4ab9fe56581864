"""Processes in scope, and the session that each works for.

In: process events. Out: `ProcessRow`s. A row is one program run by one process: a process that
executes a second program gets a second row, so that `exec sudo ...` is not hidden by what sudo
then became. A process works for the session of its nearest ancestor that talks to a model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from collector.capture_info import CaptureInfo
from collector.rows import ProcessRow
from probes.events import (
    PathKind,
    ProcessExecuted,
    ProcessExited,
    ProcessForked,
    ProcessPath,
    ProcessSeen,
)

ENDED_PROCESSES = 1 << 12  # that late events may still be of
_TICK_NS = 10_000_000  # /proc rounds starts to clock ticks, so keys do too
_KEPT_PROGRAMS = 16  # of a process, for events that come after its next exec
_MAX_ANCESTORS = 64


@dataclass(slots=True)
class _Process:
    row: ProcessRow
    base_key: str  # as `ProcessTable.key` has it
    programs: int = 0  # executed so far
    began: list[tuple[int, str]] = field(default_factory=list)  # programs: time of exec, key
    ran_before: bool = False  # its program began before it came into scope
    session_id: str | None = None
    speaks: bool = False  # to a model, itself
    children: list[int] = field(default_factory=list)


class ProcessTable:
    """Living processes by pid; rows that changed since the last `take`."""

    def __init__(self, info: CaptureInfo) -> None:
        self._info = info
        self._living: dict[int, _Process] = {}
        self._ended: dict[str, _Process] = {}  # newest last
        self._changed: dict[str, ProcessRow] = {}
        self._boot = info.boot_id[:8]

    def key(self, pid: int, start_ns: int) -> str:
        """Identifies a process for as long as the machine is up, and across captures."""
        return f"{self._boot}:{pid}:{start_ns // _TICK_NS}"

    def key_at(self, pid: int, start_ns: int, ktime_ns: int) -> str:
        """The `process_key` of the program that a process ran at some time, by which its row is
        found: also of one that ended lately, whose events may come after its end."""
        base_key = self.key(pid, start_ns)
        process = self._known(pid, base_key)
        if process is not None:
            for began_ns, key in reversed(process.began):
                if began_ns <= ktime_ns:
                    return key
        return base_key

    def root(self, pid: int, start_ns: int) -> str:
        """The `key` of a process's topmost ancestor in scope that lives: one for a whole tree."""
        base_key = self.key(pid, start_ns)
        process = self._known(pid, base_key)
        for _ in range(_MAX_ANCESTORS):
            above = process and self._living.get(process.row.ppid or 0)
            if above is None:
                break
            process = above
        return process.base_key if process is not None else base_key

    def _known(self, pid: int, base_key: str) -> _Process | None:
        process = self._living.get(pid)
        if process is None or process.base_key != base_key:
            process = self._ended.get(base_key)
        return process

    def comm(self, pid: int) -> str | None:
        """Command name of a living process."""
        process = self._living.get(pid)
        return process.row.comm if process else None

    def ran_before(self, pid: int) -> bool:
        """Is its program known to be older than the capture of it?"""
        process = self._living.get(pid)
        return process is not None and process.ran_before

    def row(self, pid: int) -> ProcessRow | None:
        """The program that a living process runs."""
        process = self._living.get(pid)
        return process.row if process else None

    def take(self) -> list[ProcessRow]:
        """Rows that are new or changed."""
        rows = list(self._changed.values())
        self._changed = {}
        return rows

    def _set(self, process: _Process, row: ProcessRow) -> None:
        process.row = row
        self._changed[row.process_key] = row

    def _started_ns(self, start_ns: int) -> int:
        return start_ns + self._info.boottime_offset_ns

    def seen(self, event: ProcessSeen) -> None:
        """A process that ran before it came into scope."""
        if event.pid in self._living:
            return
        row = ProcessRow(
            process_key=self.key(event.pid, event.start_ns),
            pid=event.pid,
            ppid=event.ppid,
            started_ns=self._started_ns(event.start_ns),
            ended_ns=None,
            comm=event.comm,
            exe=event.exe,
            argv=event.argv,
            cwd=event.cwd,
            uid=event.uid,
            cgroup_id=None,
            exit_code=None,
            signal=None,
            session_id=None,
        )
        self._add(event.pid, event.ppid, row)
        self._living[event.pid].ran_before = True

    def forked(self, event: ProcessForked) -> None:
        """A child of a process in scope."""
        parent = self._living.get(event.ppid)
        row = ProcessRow(
            process_key=self.key(event.pid, event.start_ns),
            pid=event.pid,
            ppid=event.ppid,
            started_ns=self._started_ns(event.start_ns),
            ended_ns=None,
            comm=event.comm,
            exe=parent.row.exe if parent else None,
            argv=(),
            cwd=parent.row.cwd if parent else None,
            uid=event.uid,
            cgroup_id=event.cgroup_id,
            exit_code=None,
            signal=None,
            session_id=None,
        )
        self._add(event.pid, event.ppid, row)

    def _add(self, pid: int, ppid: int | None, row: ProcessRow) -> None:
        parent = self._living.get(ppid) if ppid is not None else None
        session_id = parent.session_id if parent else None
        process = _Process(row, row.process_key, session_id=session_id)
        self._living[pid] = process
        if parent is not None:
            parent.children.append(pid)
        self._set(process, replace(row, session_id=session_id))

    def executed(self, event: ProcessExecuted) -> None:
        """A process runs another program."""
        process = self._living.get(event.pid)
        key = self.key(event.pid, event.start_ns)
        started_ns: int | None = self._started_ns(event.start_ns)
        if process is None:
            self._add(
                event.pid,
                event.ppid,
                ProcessRow(
                    key, event.pid, event.ppid, started_ns, *((None,) * 3), (), *((None,) * 6)
                ),
            )
            process = self._living[event.pid]
        elif process.programs or process.row.argv:
            executed_ns = self._info.wall_ns(event.ktime_ns)
            self._set(process, replace(process.row, ended_ns=executed_ns))
            process.programs = max(process.programs, 1)
            key, started_ns = f"{key}:{process.programs}", executed_ns
            process.began = [*process.began[1 - _KEPT_PROGRAMS :], (event.ktime_ns, key)]
        process.programs += 1
        process.ran_before = False
        self._set(
            process,
            replace(
                process.row,
                process_key=key,
                ppid=event.ppid,
                started_ns=started_ns,
                ended_ns=None,
                comm=event.comm,
                exe=None,
                argv=event.argv,
                cwd=None,
                uid=event.uid,
                cgroup_id=event.cgroup_id,
                argv_truncated=event.argv_truncated,
            ),
        )

    def path(self, event: ProcessPath) -> None:
        """Executable or working directory of the program that was just executed."""
        process = self._living.get(event.pid)
        if process is None:
            return
        if event.kind is PathKind.EXECUTABLE:
            self._set(process, replace(process.row, exe=event.path))
        else:
            self._set(process, replace(process.row, cwd=event.path))

    def exited(self, event: ProcessExited) -> None:
        """A process ended."""
        process = self._living.pop(event.pid, None)
        if process is None:
            return
        self._set(
            process,
            replace(
                process.row,
                ended_ns=self._info.wall_ns(event.ktime_ns),
                exit_code=event.exit_code,
                signal=event.signal,
            ),
        )
        self._ended[process.base_key] = process
        if len(self._ended) > ENDED_PROCESSES:
            del self._ended[next(iter(self._ended))]
        parent = self._living.get(process.row.ppid or 0)
        if parent is not None and event.pid in parent.children:
            parent.children.remove(event.pid)

    def give_away(self, pids: Iterable[int]) -> None:
        """Another capture watches these processes: rows of this one would replace its rows."""
        for pid in pids:
            process = self._living.pop(pid, None)
            if process is None:
                continue
            for key in (process.base_key, *(key for _, key in process.began)):
                self._changed.pop(key, None)
            parent = self._living.get(process.row.ppid or 0)
            if parent is not None and pid in parent.children:
                parent.children.remove(pid)

    def is_gone(self, process_key: str) -> bool:
        """Is the process that `key` names known no more?"""
        process = self._living.get(int(process_key.split(":")[1]))
        return process is None or not f"{process.row.process_key}:".startswith(f"{process_key}:")

    def spoken_above(self, pid: int) -> str | None:
        """The session of the nearest ancestor that speaks to a model itself."""
        process, seen = self._living.get(pid), {pid}
        while process is not None and (above := process.row.ppid or 0) not in seen:
            seen.add(above)
            process = self._living.get(above)
            if process is not None and process.speaks:
                return process.session_id
        return None

    def link(self, pid: int, session_id: str) -> None:
        """A process speaks for a session: so do its ancestors and descendants without one."""
        process = self._living.get(pid)
        if process is None:
            return
        process.speaks = True
        if process.session_id == session_id:
            return
        process.session_id = session_id
        self._set(process, replace(process.row, session_id=session_id))
        above = self._living.get(process.row.ppid or 0)
        while above is not None and above.session_id is None:
            above.session_id = session_id
            self._set(above, replace(above.row, session_id=session_id))
            above = self._living.get(above.row.ppid or 0)
        below = list(process.children)
        while below:
            child = self._living.get(below.pop())
            if child is not None and child.session_id is None:
                child.session_id = session_id
                self._set(child, replace(child.row, session_id=session_id))
                below.extend(child.children)
