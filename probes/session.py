"""A probe session: compile, set targets, attach to TLS libraries, drain, detach.

In: control operations. Out: frames. Runs inside the privileged probe process (`probes.process`)
and copies bytes without looking into them.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterable
from pathlib import Path

from probes import bcc_bindings, btf, frames, libraries, procfs
from probes.events import ConnectionKey, LibrarySeen
from probes.rings import RingBuffer

SOURCES = ("frame.bpf.h", "tls.bpf.c", "process.bpf.c")
DATA_RING_PAGES = 8192  # 32 MiB
LIFECYCLE_RING_PAGES = 1024  # 4 MiB
CONNECTIONS = 65536
TARGET_FOLLOW = 1
LIFECYCLE_DRAIN_BYTES = 4 << 20


def mount_tracefs() -> None:
    """Mount tracefs where BCC looks for tracepoint formats, when nobody has. Raises OSError."""
    if Path("/sys/kernel/tracing/events").exists() or not Path("/sys/kernel/tracing").exists():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tracefs", b"/sys/kernel/tracing", b"tracefs", 0, None) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount -t tracefs tracefs /sys/kernel/tracing: {os.strerror(code)}")


def program_text() -> str:
    """The BPF programs as one text; BCC rewrites the main file only, so it must be one."""
    folder = Path(__file__).with_name("bpf")
    return "".join(f'#line 1 "{name}"\n{(folder / name).read_text()}' for name in SOURCES)


class ProbeSession:
    """Loaded probes and what they are attached to. Needs root; one per process."""

    def __init__(self, *, data_ring_pages: int = DATA_RING_PAGES) -> None:
        """Compile and load. Raises BccUnavailable, ProgramsRejected, BtfUnavailable, OSError."""
        mount_tracefs()
        defines = btf.kernel_offsets() | {
            "DATA_RING_PAGES": data_ring_pages,
            "LIFECYCLE_RING_PAGES": LIFECYCLE_RING_PAGES,
            "CONNECTIONS": CONNECTIONS,
        }
        self._programs = bcc_bindings.Programs(program_text(), defines)
        page = os.sysconf("SC_PAGESIZE")
        self.data_ring = RingBuffer(self._programs.map_fd("data_ring"), data_ring_pages * page)
        self.lifecycle_ring = RingBuffer(
            self._programs.map_fd("lifecycle_ring"), LIFECYCLE_RING_PAGES * page
        )
        self._targets = self._programs.table("targets")
        self._connections = self._programs.table("connections")
        self._ignored = self._programs.table("ignored")
        self._files: dict[libraries.FileKey, libraries.HookPlan | None] = {}
        self._announced: dict[int, set[libraries.FileKey]] = {}  # by pid; 0: before any process
        self._exclude(os.getpid())

    @property
    def lifecycle_descriptor(self) -> int:
        """Becomes readable when a process starts, ends or maps a library."""
        return self._programs.map_fd("lifecycle_ring")

    @property
    def attached(self) -> int:
        """How many uprobes are attached."""
        return self._programs.attached

    def _exclude(self, pid: int) -> None:
        self._programs.table("excluded")[ctypes.c_uint32(pid)] = ctypes.c_uint32(1)

    # Targets

    def follow(self, pid: int, *, children: bool = True) -> None:
        """Bring a process, and what it will start, into scope."""
        self._targets[ctypes.c_uint32(pid)] = ctypes.c_uint32(TARGET_FOLLOW if children else 0)

    def follow_tree(self, pid: int) -> Iterable[int]:
        """Bring a running process and its descendants into scope; yields their pids."""
        self.follow(pid)
        # Children that appear between the walk and the update are caught by a second walk.
        pids = dict.fromkeys([pid, *procfs.descendants(pid)])
        for child in pids:
            self.follow(child)
        for child in procfs.descendants(pid):
            if child not in pids:
                self.follow(child)
                pids[child] = None
        return pids

    def follow_name(self, name: str) -> None:
        """Bring every process that will execute a program of this name into scope."""
        table = self._programs.table("target_names")
        key = table.Key()
        key.text = name.encode()[:15]
        table[key] = ctypes.c_uint32(TARGET_FOLLOW)

    def follow_all(self, excluded: Iterable[int]) -> None:
        """Bring the whole host into scope, less the observer itself."""
        for pid in excluded:
            self._exclude(pid)
        self._programs.table("scope_all")[ctypes.c_int(0)] = ctypes.c_uint32(1)

    def ignore(self, key: ConnectionKey) -> None:
        """Stop copying a connection's bytes; they are counted as ignored."""
        table_key = self._connections.Key(key.start_ns, key.handle, key.tgid, 0)
        try:
            connection = self._connections[table_key]
        except KeyError:
            return
        if connection.epoch == key.epoch:
            self._ignored[table_key] = ctypes.c_uint64(key.epoch)

    # Libraries

    def hook_file(self, path: str, pid: int | None = None) -> LibrarySeen | None:
        """Attach to a file if it holds a TLS library; what is newly known of it, or None."""
        key = libraries.file_key(path)
        if key is None:
            return None
        if key not in self._files:
            self._files[key] = self._attach(path)
        plan = self._files[key]
        announced = self._announced.setdefault(pid or 0, set())
        if plan is None or key in announced:
            return None
        announced.add(key)
        return LibrarySeen(
            ktime_ns=time.monotonic_ns(),
            path=libraries.shown_path(plan.path),
            build_id=plan.build_id,
            stack=plan.stack,
            hooked=bool(plan.hooks),
            detail=plan.detail,
            pids=() if pid is None else (pid,),
        )

    def _attach(self, path: str) -> libraries.HookPlan | None:
        plan = libraries.plan(path)
        if plan is None:
            return None
        try:
            for hook in plan.hooks:
                self._programs.attach_uprobe(
                    path, hook.offset, hook.program, at_return=hook.at_return
                )
        except OSError as error:
            return libraries.HookPlan(plan.path, plan.build_id, plan.stack, (), str(error))
        return plan

    def hook_process(self, pid: int) -> list[LibrarySeen]:
        """Attach to every TLS library that a process has mapped."""
        seen = [self.hook_file(path, pid) for path in libraries.mapped_executables(pid)]
        return [library for library in seen if library is not None]

    # Draining

    def forget(self, pid: int) -> None:
        """Drop what is remembered of a dead process."""
        self._announced.pop(pid, None)

    def close_connections(self, pid: int) -> list[bytes]:
        """Frames with the final positions of a dead process's connections, now forgotten."""
        closed = []
        now = time.monotonic_ns()
        for key, connection in list(self._connections.items()):
            if key.tgid == pid:
                closed.append(self._closed(now, key, connection))
                del self._connections[key]
                if key in self._ignored:
                    del self._ignored[key]
        return closed

    def open_connections(self) -> list[bytes]:
        """Frames with the final positions of every connection, for the end of a capture."""
        now = time.monotonic_ns()
        return [self._closed(now, key, value) for key, value in self._connections.items()]

    @staticmethod
    def _closed(now: int, key: ctypes.Structure, value: ctypes.Structure) -> bytes:
        name = ConnectionKey(key.tgid, key.start_ns, key.ssl, value.epoch)
        return frames.encode_closed(now, name, value.position[0], value.position[1])

    def counters(self) -> dict[str, int]:
        """Kernel counters summed over processors, by `frames.COUNTERS` name."""
        table = self._programs.table("counters")
        return {
            name: int(sum(table[ctypes.c_int(slot)])) for slot, name in enumerate(frames.COUNTERS)
        }
