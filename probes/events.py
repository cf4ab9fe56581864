"""Probe events: the nouns with which a capture, live or recorded, is told.

In: `probes.frames` builds them from bytes. Out: to the collector. Times are nanoseconds of
the kernel's monotonic clock (`ktime_ns`); process starts are CLOCK_BOOTTIME nanoseconds and,
with the pid, identify a process for as long as the machine is up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple


class Direction(IntEnum):
    """From the observed process's side: READ is what it received, WRITE what it sent."""

    READ = 0
    WRITE = 1


class ConnectionKey(NamedTuple):
    """One TLS session object of one process. `epoch` tells apart reuses of the same address."""

    tgid: int
    start_ns: int
    handle: int
    epoch: int


@dataclass(frozen=True, slots=True)
class TlsData:
    """Plaintext of (a part of) one TLS call. `position` counts from the connection's start."""

    ktime_ns: int
    connection: ConnectionKey
    direction: int
    position: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """A TLS session object was used for the first time since capture began."""

    ktime_ns: int
    connection: ConnectionKey
    tid: int
    fd: int | None
    cgroup_id: int
    comm: str


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The session object was freed or its process ended; positions are the final ones."""

    ktime_ns: int
    connection: ConnectionKey
    read_position: int
    write_position: int


@dataclass(frozen=True, slots=True)
class ProcessSeen:
    """A process that already ran when it came into scope, read from /proc."""

    ktime_ns: int
    pid: int
    start_ns: int
    ppid: int
    comm: str
    exe: str | None
    argv: tuple[str, ...]
    cwd: str | None
    uid: int | None


@dataclass(frozen=True, slots=True)
class ProcessForked:
    """A child in scope exists; it runs its parent's program until it executes another."""

    ktime_ns: int
    pid: int
    start_ns: int
    ppid: int
    uid: int
    cgroup_id: int
    comm: str


@dataclass(frozen=True, slots=True)
class ProcessExecuted:
    """A process in scope began a program. `argv_size` exceeds what `argv` holds when cut."""

    ktime_ns: int
    pid: int
    start_ns: int
    ppid: int
    uid: int
    cgroup_id: int
    comm: str
    argv: tuple[str, ...]
    argv_truncated: bool


class PathKind(IntEnum):
    """What a ProcessPath names."""

    EXECUTABLE = 0
    WORKING_DIRECTORY = 1


@dataclass(frozen=True, slots=True)
class ProcessPath:
    """Path of a process's executable or working directory at the time of its exec."""

    ktime_ns: int
    pid: int
    start_ns: int
    kind: PathKind
    path: str
    truncated: bool


@dataclass(frozen=True, slots=True)
class ProcessExited:
    """A process in scope ended, by `exit_code` or by `signal`."""

    ktime_ns: int
    pid: int
    start_ns: int
    exit_code: int | None
    signal: int | None


@dataclass(frozen=True, slots=True)
class LibraryMapped:
    """A process in scope mapped a file executable: perhaps a TLS library."""

    ktime_ns: int
    pid: int
    start_ns: int
    address: int


@dataclass(frozen=True, slots=True)
class LibrarySeen:
    """A TLS library in a process's memory, and whether it is hooked."""

    ktime_ns: int
    path: str
    build_id: str | None
    stack: str
    hooked: bool
    detail: str
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Counters:
    """Totals since capture began, by name (see `probes.frames.COUNTERS`)."""

    ktime_ns: int
    values: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProbeState:
    """`state` is ready, failed or detached."""

    ktime_ns: int
    state: str
    message: str
    hint: str | None
    attached: int


@dataclass(frozen=True, slots=True)
class UnknownFrame:
    """A frame of a kind or version that this reader does not know; skipped and counted."""

    ktime_ns: int
    kind: int
    version: int
    size: int


ProbeEvent = (
    TlsData
    | ConnectionOpened
    | ConnectionClosed
    | ProcessSeen
    | ProcessForked
    | ProcessExecuted
    | ProcessPath
    | ProcessExited
    | LibraryMapped
    | LibrarySeen
    | Counters
    | ProbeState
    | UnknownFrame
)
