"""A probe session: compile, set targets, attach to TLS libraries, detach.

In: control operations. Out: frames. Runs inside the privileged probe process (`probes.process`)
and copies bytes without looking into them.
"""

from __future__ import annotations

import ctypes
import os
import select
import time
from collections.abc import Iterable, Sequence
from ctypes import c_uint32
from pathlib import Path

from probes import btf, libraries, maps, procfs
from probes.attachments import Attachments
from probes.events import (
    ConnectionKey,
    ConnectionOpened,
    LibraryMapped,
    LibrarySeen,
    PlainData,
    ProcessTraffic,
)
from probes.freezer import Freezer
from probes.hearing import Hearing
from probes.hooks import FileKey, FilePlan
from probes.kernel_tables import KernelTables
from probes.plan_cache import PlanCache
from probes.programs import Programs
from probes.resolving import PlanSource, own_path
from probes.rings import RingBuffer

SOURCES = (
    "frame.bpf.h",
    "connection.bpf.h",
    "calls.bpf.h",
    "files.bpf.h",
    "paths.bpf.h",
    "tls.bpf.c",
    "aead.bpf.c",
    "rustls.bpf.c",
    "endpoints.bpf.h",
    "sockets.bpf.c",
    "content.bpf.c",
    "file_calls.bpf.c",
    "network_calls.bpf.c",
    "credentials.bpf.c",
    "process.bpf.c",
)
RAW_TRACEPOINTS = ("sched_process_fork", "sched_process_exec", "sched_process_exit", "sys_exit")
# Slots of the program array `steps` (`bpf/calls.bpf.h`).
STEPS = (
    "transfer_step",
    "file_step",
    "file_long_step",
    "sensitive_step",
    "content_step",
    "connect_step",
    "datagram_step",
    "credentials_step",
)
DATA_RING_PAGES = 8192  # 32 MiB
LIFECYCLE_RING_PAGES = 4096  # 16 MiB: an exec takes some 9 KiB until it is read
FILE_RING_PAGES = 4096  # 16 MiB: an open takes some 0.5 KiB until it is read
CONNECTIONS = 65536
TARGET_FOLLOW = 1
LIFECYCLE_DRAIN_BYTES = 4 << 20
FILE_DRAIN_BYTES = 4 << 20
SENSITIVE_FILE, SENSITIVE_DIRECTORY = 1, 2
FILE_WITHOUT_TLS, FILE_WITH_TLS = 1, 2
EXCLUDED_ALONE = 0
EXCLUDED_END_TOLD = 1 << 31


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

    def __init__(
        self, *, data_ring_pages: int = DATA_RING_PAGES, file_ring_pages: int = FILE_RING_PAGES
    ) -> None:
        """Compile and load. Raises BccUnavailable, ProgramsRejected, BtfUnavailable, OSError."""
        mount_tracefs()
        defines = btf.kernel_offsets() | {
            "DATA_RING_PAGES": DATA_RING_PAGES,
            "LIFECYCLE_RING_PAGES": LIFECYCLE_RING_PAGES,
            "FILE_RING_PAGES": FILE_RING_PAGES,
            "CONNECTIONS": CONNECTIONS,
        }
        page = os.sysconf("SC_PAGESIZE")
        sizes = {"data_ring": data_ring_pages * page, "file_ring": file_ring_pages * page}
        self._programs = programs = Programs(program_text(), defines, sizes)
        for slot, function in enumerate(STEPS):
            programs.chain("steps", slot, function)
        for tracepoint in RAW_TRACEPOINTS:
            programs.attach_raw_tracepoint(tracepoint, f"on_{tracepoint}")
        programs.attach_tracepoint("syscalls", "sys_enter_close", "on_sys_enter_close")
        self.data_ring = RingBuffer(self._programs.map_fd("data_ring"), sizes["data_ring"])
        self.lifecycle_ring = RingBuffer(
            self._programs.map_fd("lifecycle_ring"), LIFECYCLE_RING_PAGES * page
        )
        self.file_ring = RingBuffer(self._programs.map_fd("file_ring"), sizes["file_ring"])
        self.tables = KernelTables(self._programs)
        self.attachments = Attachments(self._programs)
        self.plans = PlanSource(PlanCache())
        programs.load_ahead(self.plans.programs())
        self._freezer: Freezer | None = None
        self._targets = programs.table("targets", c_uint32, c_uint32)
        self._excluded = programs.table("excluded", c_uint32, c_uint32)
        self._known_files = programs.table("known_files", maps.FileName, c_uint32)
        self._hearing = Hearing()
        self._everything = False
        self._exclude(os.getpid())

    @property
    def rings(self) -> tuple[RingBuffer, ...]:
        """All that is to be drained."""
        return self.data_ring, self.lifecycle_ring, self.file_ring

    @property
    def lifecycle_descriptor(self) -> int:
        """Becomes readable when a process starts, ends or maps a library."""
        return self._programs.map_fd("lifecycle_ring")

    @property
    def attached(self) -> int:
        """How many uprobes are attached."""
        return self._programs.attached

    def _exclude(self, pid: int) -> None:
        self._excluded[c_uint32(pid)] = c_uint32(EXCLUDED_ALONE)

    def wait_loaded(self) -> None:
        """Until the programs that known plans call for are loaded."""
        self._programs.wait_loaded()

    # Targets

    def follow(self, pid: int, *, children: bool = True) -> None:
        """Bring a process, and what it will start, into scope."""
        self._targets[c_uint32(pid)] = c_uint32(TARGET_FOLLOW if children else 0)

    def follow_tree(self, pid: int) -> Iterable[int]:
        """Bring a running process and its descendants into scope, less those that are left out;
        their pids."""
        pids: dict[int, None] = {}
        left_out = set(self.left_out)
        for _ in range(2):  # children appear between the walk and the update
            for found in (pid, *procfs.descendants(pid)):
                if found not in pids and found not in left_out:
                    self.follow(found)
                    pids[found] = None
        return pids

    def follow_name(self, name: str) -> None:
        """Bring every process that will execute a program of this name into scope."""
        names = self._programs.table("target_names", maps.ProcessName, c_uint32)
        names[maps.ProcessName(name.encode()[:15])] = c_uint32(TARGET_FOLLOW)

    def follow_all(self, excluded: Iterable[int]) -> None:
        """Bring the whole host into scope, less the observer itself and what it starts."""
        for pid in excluded:
            self._excluded[c_uint32(pid)] = c_uint32(pid)  # what it starts is left out, too
        self._programs.table("scope_all", c_uint32, c_uint32)[c_uint32(0)] = c_uint32(1)
        self._everything = True

    def leave_out(self, watcher: int, own: Iterable[int], roots: Sequence[int]) -> list[int]:
        """Take what another collector watches out of scope, and what will descend from it.

        `watcher`: that collector; `own`: it and its probe process, whose end is still told;
        `roots`: what it watches. Returns the pids at and below the roots.
        """
        own, left = set(own), dict[int, None]()
        for _ in range(2):  # children that appear between the walk and the update
            watched = [pid for root in roots for pid in (root, *procfs.descendants(root))]
            for pid in (*own, *procfs.descendants(watcher), *watched):
                told = EXCLUDED_END_TOLD if pid in own else 0
                self._excluded[c_uint32(pid)] = c_uint32(watcher | told)
                self._targets.discard(c_uint32(pid))
            left |= dict.fromkeys(watched)
        return list(left)

    @property
    def left_out(self) -> list[int]:
        """Pids that are never in the scope of the whole host."""
        return [key.value for key in self._excluded]

    def take_back(self, watcher: int) -> list[int]:
        """That collector is gone: what it watched and still lives is in the scope of the whole
        host again. Returns the pids, none when the whole host is not watched."""
        back = []
        for key, value in list(self._excluded.items()):
            if value.value & ~EXCLUDED_END_TOLD == watcher:
                self._excluded.discard(key)
                back.append(key.value)
        return back if self._everything else []

    def freeze_unknown(self) -> None:
        """Stop programs and libraries that are not known yet until they are hooked."""
        self._freezer = Freezer(self._programs)

    def ignore(self, key: ConnectionKey) -> None:
        """Stop copying a connection's bytes; they are counted as ignored."""
        self.tables.ignore(key)

    def mark_sensitive(self, files: Iterable[str], directories: Iterable[str]) -> None:
        """Deliver what is read of files of these names, and of files in directories of these."""
        wanted: dict[str, int] = {}
        for names, kind in ((files, SENSITIVE_FILE), (directories, SENSITIVE_DIRECTORY)):
            for name in names:
                wanted[name] = wanted.get(name, 0) | kind
        table = self._programs.table("sensitive_names", maps.SensitiveName, c_uint32)
        for name, kinds in wanted.items():
            text = name.encode()
            if 0 < len(text) <= maps.SENSITIVE_NAME_BYTES:
                table[maps.SensitiveName(text)] = c_uint32(kinds)

    # Libraries

    def hook_file(self, path: str, pid: int | None = None) -> list[LibrarySeen]:
        """Attach to a file's TLS stacks; what is newly known of it.

        With a pid the answer may come later, through `finish_plan`.
        """
        try:
            status = os.stat(path)
        except OSError:
            return []
        key = libraries.key_of(path, status)
        if not self.attachments.is_unchanged(key, status):
            try:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError:
                return []
            try:
                known, plan = self.plans.plan(key, path, file, pid)
                if not known:
                    return []
                self._attach(key, path, file, plan)
            finally:
                os.close(file)
        elif self.attachments.was_touched(key, status):
            self._know(key, status)
        return self.attachments.announce(key, path, pid)

    def _attach(self, key: FileKey, path: str, file: int, plan: FilePlan | None) -> None:
        status = os.fstat(file)
        self.attachments.attach(key, path, own_path(file), plan, status)
        self._know(key, status)

    def _know(self, key: FileKey, status: os.stat_result) -> None:
        """Tell the kernel that a file was looked into, as it is now."""
        seconds, nanoseconds = divmod(status.st_ctime_ns, 1_000_000_000)
        device = procfs.kernel_device(key.device)
        name = maps.FileName(device, key.inode, seconds << 32 | nanoseconds)
        kind = FILE_WITH_TLS if self.attachments.has_stacks(key) else FILE_WITHOUT_TLS
        self._known_files[name] = c_uint32(kind)

    def hook_process(self, pid: int) -> list[LibrarySeen]:
        """Attach to every TLS library that a process has mapped, and wake it if it waits."""
        seen = [
            library
            for path in libraries.mapped_executables(pid)
            for library in self.hook_file(path, pid)
        ]
        self._wake_if_ready(pid)
        return seen

    def mapped(self, event: LibraryMapped) -> list[LibrarySeen]:
        """A file that a process has mapped, which may be gone by now: known files are told all
        the same, under the name that another process has for them."""
        return self.attachments.announce_mapped(event.device, event.inode, event.pid)

    def finish_plan(self, descriptor: int) -> list[LibrarySeen]:
        """Take the answer of a child that looked into a file (see `plans.descriptors`)."""
        finished = self.plans.collect(descriptor)
        if finished is None:
            return []
        job, plan = finished
        self._attach(job.key, job.path, job.file, plan)
        os.close(job.file)
        seen = [
            library
            for pid in sorted(job.waiting)
            for library in self.attachments.announce(job.key, job.path, pid)
        ]
        for pid in job.waiting:
            self._wake_if_ready(pid)
        return seen

    def finish_plans(self, within_s: float) -> list[LibrarySeen]:
        """Wait for all children that look into files, but no longer than that."""
        seen: list[LibrarySeen] = []
        deadline = time.monotonic() + within_s
        while self.plans.descriptors and (left := deadline - time.monotonic()) > 0:
            for descriptor in select.select(self.plans.descriptors, [], [], left)[0]:
                seen += self.finish_plan(descriptor)
        return seen

    def _wake_if_ready(self, pid: int) -> None:
        if self._freezer is not None and not self.plans.waits_for(pid):
            self._freezer.wake(pid)

    # Belief

    def opened(self, event: ConnectionOpened) -> None:
        """A connection's first use: hooks on trial are judged by what comes next."""
        if not self.attachments.trials or not event.instruction:
            return
        stack, pid = event.source.name.lower(), event.connection.tgid
        candidates = self.attachments.on_trial(stack, pid)
        if len(candidates) > 1:
            path = procfs.file_at(pid, event.instruction)
            key = libraries.file_key(path) if path else None
            candidates = [one for one in candidates if one == key]
        for key in candidates:
            self.attachments.trials.opened(event.connection, key, stack)

    def first_bytes(self, event: PlainData) -> list[LibrarySeen]:
        """The first bytes of a connection of a hook on trial."""
        verdict = self.attachments.trials.first_bytes(event.connection, event.data)
        return self.attachments.judge(verdict) if verdict else []

    def listen(self) -> tuple[list[ProcessTraffic], list[LibrarySeen]]:
        """Traffic that changed, and files whose probes were put in anew because TLS records
        flow in a process whose hooked library hands over no plaintext."""
        if self._freezer is not None:
            self._freezer.renew()
        changed, deaf = self._hearing.check(self.tables.traffic())
        renewed = []
        for pid in deaf:
            for path in libraries.mapped_executables(pid):
                key = libraries.file_key(path)
                if key is not None:
                    renewed += self.attachments.reattach(key, path)
        return changed, renewed

    # The end of processes

    def forget(self, pid: int) -> None:
        """Drop what is remembered of a dead process."""
        self.attachments.forget(pid)
        self._hearing.forget(pid)

    def close(self) -> None:
        """Wake what waits and keep what was found out."""
        if self._freezer is not None:
            self._freezer.close()
        self.plans.save()
