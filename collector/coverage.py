"""Coverage: for each process that speaks TLS, which stack it has and whether it is seen.

In: libraries, connections, ClientHellos and TLS traffic as the probes tell of them, and the hosts
of calls. Out: `CoverageRow`s, one a process and stack. A process that talks TLS to a model's host
and has no stack that is known gets a row that says so: silence is never mistaken for absence.

A connection belongs to the file of its source's stack when the process has one such file; with
more of them it is not known which, and the bytes stand in a row without a path.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from collector.capture_info import CaptureInfo
from collector.client_hello import server_name
from collector.llm.registry import model_provider
from collector.processes import ProcessTable
from collector.rows import CoverageRow
from collector.streams import StreamAssembler
from probes.events import (
    ConnectionClosed,
    ConnectionKey,
    LibrarySeen,
    ProcessTraffic,
    Source,
    TlsHello,
)

SILENT_RECORD_BYTES = 32 << 10  # more than handshakes take: application data that nobody saw
MAX_HOSTS = 16
_NOT_TLS = frozenset({Source.SOCKET, Source.CHANNEL})
_UNKNOWN = "unknown"

_File = tuple[str, str | None, str]  # path, build id, stack


@dataclass(slots=True)
class _Use:
    """Connections of one stack in one process; `positions` are those of closed ones."""

    positions: list[int] = field(default_factory=lambda: [0, 0])
    open: dict[ConnectionKey, None] = field(default_factory=dict)

    def moved(self, streams: StreamAssembler) -> tuple[int, int]:
        """Bytes read and written."""
        read, written = self.positions
        for key in self.open:
            position = streams.positions(key)
            read += position[0]
            written += position[1]
        return read, written


@dataclass(slots=True)
class _Program:
    """One program run by one process, as far as TLS goes."""

    process_key: str
    pid: int
    started_ns: int | None
    name: str | None
    files: dict[_File, None] = field(default_factory=dict)
    uses: dict[str, _Use] = field(default_factory=dict)  # by stack
    hosts: dict[str, None] = field(default_factory=dict)
    unseen_host: str | None = None
    before: tuple[int, int] = (0, 0)  # record bytes of what the process ran earlier
    tls_read_bytes: int = 0
    tls_written_bytes: int = 0

    @property
    def closed(self) -> bool:
        """Has every connection ended?"""
        return not any(use.open for use in self.uses.values())


class Coverage:
    """What is known of every process's TLS."""

    def __init__(self, info: CaptureInfo, processes: ProcessTable) -> None:
        self._info = info
        self._processes = processes
        self._files: dict[_File, LibrarySeen] = {}
        self._programs: dict[int, _Program] = {}  # running ones, by pid
        self._ended: list[_Program] = []
        self._uses: dict[ConnectionKey, _Use] = {}
        self._before: dict[int, tuple[int, int]] = {}
        self._told: dict[tuple[str, _File], CoverageRow] = {}

    # What happened

    def library(self, event: LibrarySeen) -> None:
        """A file with a TLS stack, new or of another status; which processes have it."""
        file = (event.path, event.build_id, event.stack)
        self._files[file] = event
        for pid in event.pids:
            program = self._of(pid)
            if program is not None:
                program.files[file] = None

    def connection(self, key: ConnectionKey, source: Source) -> None:
        """A connection was seen through a stack."""
        if source in _NOT_TLS or key in self._uses:
            return
        program = self._of(key.tgid, key.start_ns)
        if program is None:
            return
        use = program.uses.setdefault(source.name.lower(), _Use())
        use.open[key] = None
        self._uses[key] = use

    def closed(self, event: ConnectionClosed) -> None:
        """A connection ended at these positions."""
        use = self._uses.pop(event.connection, None)
        if use is not None:
            del use.open[event.connection]
            use.positions[0] += event.read_position
            use.positions[1] += event.write_position

    def hello(self, event: TlsHello) -> None:
        """A process began to speak TLS on a socket."""
        host = server_name(event.data)
        if host is None or model_provider(host) is None:
            return
        program = self._of(event.connection.tgid, event.connection.start_ns)
        if program is not None:
            program.unseen_host = program.unseen_host or host
            self._talks_to(program, host)

    def call(self, connection: ConnectionKey, host: str | None) -> None:
        """A process called a model."""
        program = self._of(connection.tgid, connection.start_ns) if host else None
        if program is not None and host:
            self._talks_to(program, host.lower())

    def traffic(self, event: ProcessTraffic) -> None:
        """TLS records of a process so far, hooked or not."""
        program = self._of(event.pid, event.start_ns)
        if program is not None:
            read, written = program.before
            program.tls_read_bytes = event.tls_read_bytes - read
            program.tls_written_bytes = event.tls_written_bytes - written

    def exited(self, pid: int) -> None:
        """The process ended."""
        self._before.pop(pid, None)
        program = self._programs.pop(pid, None)
        if program is not None:
            self._ended.append(program)

    def executed(self, pid: int) -> None:
        """The process runs another program from now on."""
        program = self._programs.pop(pid, None)
        if program is not None:
            self._ended.append(program)
            read, written = program.before
            self._before[pid] = (
                read + program.tls_read_bytes,
                written + program.tls_written_bytes,
            )

    # What is known

    def reuses_handles(self, source: Source, pid: int) -> bool:
        """May a handle of this source name another connection without a close in between?"""
        program = self._programs.get(pid)
        files = self._files_of(program, source.name.lower()) if program else []
        return any(not self._files[file].sees_ends for file in files)

    @property
    def hooked_files(self) -> tuple[int, int]:
        """Files with a stack that is hooked, and those with one that is not."""
        hooked = sum(event.hooked for event in self._files.values())
        return hooked, len(self._files) - hooked

    def take(self, streams: StreamAssembler) -> list[CoverageRow]:
        """Rows that are new or changed since the last call."""
        fresh = []
        for program in (*self._ended, *self._programs.values()):
            for row in self._rows(program, streams):
                key = (program.process_key, (row.path or "", row.build_id, row.stack))
                if self._told.get(key) != row:
                    self._told[key] = row
                    fresh.append(row)
        over = {program.process_key for program in self._ended if program.closed}
        if over:
            self._told = {key: row for key, row in self._told.items() if key[0] not in over}
        self._ended = [program for program in self._ended if not program.closed]
        return fresh

    # Steps

    def _of(self, pid: int, start_ns: int | None = None) -> _Program | None:
        """The program that a process runs; None when nothing tells which process it is."""
        program = self._programs.get(pid)
        process = self._processes.row(pid)
        if program is None:
            if process is not None:
                program = _Program(process.process_key, pid, process.started_ns, None)
                program.before = self._before.get(pid, (0, 0))
            elif start_ns is not None:
                key = self._processes.key(pid, start_ns)
                program = _Program(key, pid, start_ns + self._info.boottime_offset_ns, None)
            else:
                return None
            self._programs[pid] = program
        if process is not None:
            program.name = process.exe or process.comm
        return program

    def _files_of(self, program: _Program, stack: str) -> list[_File]:
        """The files that may hold a stack of a process: its own, else those of the nearest
        ancestor that has one, whose memory a fork shares."""
        seen: set[int] = set()
        while True:
            found = [file for file in program.files if file[2] == stack]
            row = self._processes.row(program.pid)
            seen.add(program.pid)
            if found or row is None or row.ppid is None or row.ppid in seen:
                return found
            above = self._programs.get(row.ppid)
            if above is None:
                return []
            program = above

    @staticmethod
    def _talks_to(program: _Program, host: str) -> None:
        if len(program.hosts) < MAX_HOSTS:
            program.hosts[host] = None

    def _rows(self, program: _Program, streams: StreamAssembler) -> list[CoverageRow]:
        process = self._processes.row(program.pid)
        if process is not None and process.process_key == program.process_key:
            program.name = process.exe or process.comm
        moved = {stack: use.moved(streams) for stack, use in program.uses.items()}
        silent = self._silence(program, sum(read + written for read, written in moved.values()))
        rows = []
        for file in program.files:
            event = self._files[file]
            detail = event.detail
            if event.hooked and silent:
                detail = f"{silent}; {detail}" if detail else silent
            alone = len(self._files_of(program, file[2])) == 1
            read, written = moved.pop(file[2], (0, 0)) if alone else (0, 0)
            said = (event.status, event.method, detail)
            rows.append(self._row(program, file, said, read=read, written=written))
        for stack, (read, written) in moved.items():
            files = self._files_of(program, stack)
            if len(files) == 1:  # of a parent
                event = self._files[files[0]]
                file, said = files[0], (event.status, event.method, event.detail)
            else:
                which = f"which of {len(files)} files is not known" if files else "file not known"
                file, said = ("", None, stack), ("hooked", "", which)
            rows.append(self._row(program, file, said, read=read, written=written))
        if program.unseen_host is not None and not rows:
            host = program.unseen_host
            detail = f"talks TLS to {host}; no known TLS stack found in its files"
            rows.append(self._row(program, ("", None, _UNKNOWN), ("unseen", "", detail)))
        return rows

    @staticmethod
    def _silence(program: _Program, plaintext: int) -> str:
        """What is odd about a hooked program of which so much plaintext was seen."""
        records = program.tls_read_bytes + program.tls_written_bytes
        if plaintext or records < SILENT_RECORD_BYTES:
            return ""
        return f"{records:,} bytes of TLS records and no plaintext"

    def _row(
        self,
        program: _Program,
        file: _File,
        said: tuple[str, str, str],
        *,
        read: int = 0,
        written: int = 0,
    ) -> CoverageRow:
        status, method, detail = said
        path, build_id, stack = file
        return CoverageRow(
            capture_id=self._info.capture_id,
            process_key=program.process_key,
            pid=program.pid,
            started_ns=program.started_ns,
            program=program.name,
            stack=stack,
            path=path or None,
            build_id=build_id,
            status=status,
            method=method,
            detail=detail,
            read_bytes=read,
            written_bytes=written,
            tls_read_bytes=program.tls_read_bytes,
            tls_written_bytes=program.tls_written_bytes,
            hosts=tuple(program.hosts),
        )
