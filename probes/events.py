"""Probe events: the nouns with which a capture, live or recorded, is told.

In: `probes.frames` builds them from bytes. Out: to the collector. Times are nanoseconds of
the kernel's monotonic clock (`ktime_ns`); process starts are CLOCK_BOOTTIME nanoseconds and,
with the pid, identify a process for as long as the machine is up.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple


class Direction(IntEnum):
    """From the observed process's side: READ is what it received, WRITE what it sent."""

    READ = 0
    WRITE = 1


class Source(IntEnum):
    """What delivered the bytes: a TLS stack, or system calls on sockets and pipes."""

    OPENSSL = 0
    BORINGSSL = 1
    GNUTLS = 2
    NSS = 3
    GO = 4
    RUSTLS = 5
    MBEDTLS = 6
    WOLFSSL = 7
    SOCKET = 8
    CHANNEL = 9


class ConnectionKey(NamedTuple):
    """One TLS session object or socket of one process. `handle` is the object's address or the
    socket's inode; `epoch` tells apart reuses of the same address. A channel (a pipe, or one
    direction of a pair of Unix sockets) belongs to no process: its `tgid` and `start_ns` are 0.
    """

    tgid: int
    start_ns: int
    handle: int
    epoch: int


@dataclass(frozen=True, slots=True)
class PlainData:
    """Plaintext of (a part of) one call. `position` counts from the connection's start."""

    ktime_ns: int
    connection: ConnectionKey
    direction: int
    position: int
    data: bytes
    source: Source = Source.OPENSSL


@dataclass(frozen=True, slots=True)
class SocketAddresses:
    """Both ends of a TCP connection; addresses in text, IPv4 or IPv6."""

    local_address: str
    local_port: int
    remote_address: str
    remote_port: int


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """A session object, socket or channel was used for the first time since capture began.

    `instruction` is the address at which the probe was hit, in the process's memory (0 for
    system calls): it tells which mapped file did it. `addresses` only where a system call named
    the socket.
    """

    ktime_ns: int
    connection: ConnectionKey
    tid: int
    fd: int | None
    cgroup_id: int
    comm: str
    source: Source = Source.OPENSSL
    instruction: int = 0
    addresses: SocketAddresses | None = None


@dataclass(frozen=True, slots=True)
class HalfJoined:
    """One direction of a TLS connection was seen on a socket.

    Record-level hooks (rustls) know only a key per direction: each half is a connection of its
    own until the socket that carries it is known. `socket` is that socket's inode.
    """

    ktime_ns: int
    connection: ConnectionKey
    direction: int
    socket: int
    fd: int
    addresses: SocketAddresses | None


@dataclass(frozen=True, slots=True)
class ChannelEnd:
    """A process wrote to (WRITE) or read from (READ) a channel for the first time.

    `transport` is pipe or unix.
    """

    ktime_ns: int
    connection: ConnectionKey
    role: int
    pid: int
    start_ns: int
    fd: int
    comm: str
    transport: str | None = None


@dataclass(frozen=True, slots=True)
class TlsHello:
    """The first bytes that a process sent on a socket that speaks TLS: a ClientHello, which
    names the server; may be cut. Hooked or not, it shows that TLS is spoken."""

    ktime_ns: int
    connection: ConnectionKey
    addresses: SocketAddresses | None
    data: bytes


@dataclass(frozen=True, slots=True)
class ProcessTraffic:
    """Bytes of TLS records that a process has exchanged over sockets so far."""

    ktime_ns: int
    pid: int
    start_ns: int
    tls_read_bytes: int
    tls_written_bytes: int


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


class FileOperation(IntEnum):
    """What a system call did, or tried to do, to the file that a path names."""

    OPEN = 0
    UNLINK = 1
    RMDIR = 2
    RENAME = 3
    MKDIR = 4
    CHMOD = 5
    TRUNCATE = 6
    LINK = 7
    SYMLINK = 8


@dataclass(frozen=True, slots=True)
class FileTouched:
    """A system call of a process in scope that named a file, with what it returned.

    `result` is what the call returned: a descriptor, 0, or -errno. `flags` are open(2)'s, of
    CHMOD the mode, of TRUNCATE the length, of RENAME those of renameat2(2). `path` is absolute:
    of an open that succeeded that of the file itself, symbolic links followed; else the name that
    was given, below the working directory or the directory that the call names. Where that
    directory is not known, the path stands as it was given. `new_path`: of RENAME and LINK the
    new name, of SYMLINK the name of the link (`path` is then what it points to, as given).
    `truncated`: a path is not whole.
    """

    ktime_ns: int
    pid: int
    start_ns: int
    tid: int
    operation: FileOperation
    result: int
    flags: int
    path: str
    new_path: str | None = None
    device: int = 0  # of a file that was opened, in the kernel's encoding; 0: not known
    inode: int = 0
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Connected:
    """connect(2) of a process in scope. `result`: 0 or -errno; -EINPROGRESS is usual.

    `transport` is tcp, udp or unix, seldom icmp, sctp, raw or a number; `address` in text, of unix
    the path (`@name` when abstract), `port` 0 there. `inode` is the socket's, which
    `ConnectionKey.handle` may be, too.
    """

    ktime_ns: int
    pid: int
    start_ns: int
    tid: int
    fd: int
    inode: int
    result: int
    transport: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class DnsAnswered:
    """A datagram that a process in scope received from port 53: a DNS message (RFC 1035).

    Of a longer one the first 4096 bytes.
    """

    ktime_ns: int
    pid: int
    start_ns: int
    data: bytes


class CredentialChange(IntEnum):
    """What changed, or was to change, what a process may do."""

    EXEC = 0  # a program whose file is set-uid or has capabilities: told when they are gained
    SETUID = 1  # setuid, setreuid, setresuid
    SETGID = 2
    CAPSET = 3
    UNSHARE = 4  # also of a child that begins in namespaces of its own, and of a clone that failed
    SETNS = 5
    PTRACE = 6


@dataclass(frozen=True, slots=True)
class CredentialsChanged:
    """A system call of a process in scope that changes privileges, with what it returned.

    `uid`, `euid` and `capabilities` (the effective set, bits as in capabilities(7)) are those
    after the call. `argument`: flags of UNSHARE (of a clone its CLONE_NEW* only), type of SETNS,
    request of PTRACE, else 0; `target_pid`: whom PTRACE names.
    """

    ktime_ns: int
    pid: int
    start_ns: int
    tid: int
    change: CredentialChange
    result: int
    uid: int
    euid: int
    capabilities: int
    argument: int = 0
    target_pid: int = 0


@dataclass(frozen=True, slots=True)
class FileContent:
    """What a process in scope read from a file whose name is listed as sensitive.

    Never stored: redaction makes `ContentFingerprints` of it. `position` is where in the file
    the read began, -1 when that is not known (what was read through a mapping is not seen).
    """

    ktime_ns: int
    pid: int
    start_ns: int
    device: int
    inode: int
    position: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ContentFingerprints:
    """Salted fingerprints of the lines and words that a process read from a sensitive file.

    One event for each read; those of a file follow each other until one `begins` anew. `open`:
    of the line that the read cut, as far as it has come; `joined`: of the text so far without its
    line breaks, which some senders leave out. The next event's are in the place of both.
    """

    ktime_ns: int
    pid: int
    start_ns: int
    device: int
    inode: int
    fingerprints: tuple[int, ...]  # 64 bits each, in order, without repeats
    open: tuple[int, ...] = ()
    joined: tuple[int, ...] = ()
    begins: bool = True
    skipped: int = 0  # fingerprints beyond the limit so far
    skipped_bytes: int = 0  # read beyond the limit so far


@dataclass(frozen=True, slots=True)
class LibraryMapped:
    """A process in scope mapped a file executable: perhaps a TLS library. `device` is the kernel's
    own number of it."""

    ktime_ns: int
    pid: int
    start_ns: int
    address: int
    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class LibrarySeen:
    """A TLS stack in a file, perhaps in processes' memory, and whether it is hooked.

    `method`: how the hook points were found (symbols, or a resolver's name). `status`: hooked,
    on_trial (found by a resolver; no captured byte has confirmed it yet), not_hooked, or
    rejected (what it captured was no protocol that is known; taken out again). `sees_ends`: the
    hooks tell when a session object's address may begin to name another one.
    """

    ktime_ns: int
    path: str
    build_id: str | None
    stack: str
    status: str
    method: str
    detail: str
    pids: tuple[int, ...]
    sees_ends: bool = True

    @property
    def hooked(self) -> bool:
        """Are probes attached?"""
        return self.status in ("hooked", "on_trial")


@dataclass(frozen=True, slots=True)
class Counters:
    """Totals since capture began, by name (see `probes.frames.COUNTERS`)."""

    ktime_ns: int
    values: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProbeState:
    """`state` is ready, failed or detached; or left_out: what another collector watches is out of
    scope from now on, and `message` is a JSON object: `watcher`, its pid, and `pids`."""

    ktime_ns: int
    state: str
    message: str
    hint: str | None
    attached: int

    @property
    def left_out(self) -> tuple[int, tuple[int, ...]] | None:
        """Watcher and pids, of a state that tells them."""
        if self.state != "left_out":
            return None
        try:
            told = json.loads(self.message)
            return int(told["watcher"]), tuple(int(pid) for pid in told["pids"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None


@dataclass(frozen=True, slots=True)
class UnknownFrame:
    """A frame of a kind or version that this reader does not know; skipped and counted."""

    ktime_ns: int
    kind: int
    version: int
    size: int


ProbeEvent = (
    PlainData
    | ConnectionOpened
    | ConnectionClosed
    | HalfJoined
    | ChannelEnd
    | TlsHello
    | ProcessTraffic
    | ProcessSeen
    | ProcessForked
    | ProcessExecuted
    | ProcessPath
    | ProcessExited
    | FileTouched
    | Connected
    | DnsAnswered
    | CredentialsChanged
    | FileContent
    | ContentFingerprints
    | LibraryMapped
    | LibrarySeen
    | Counters
    | ProbeState
    | UnknownFrame
)
