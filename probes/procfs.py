"""Processes that already run, as /proc tells of them.

In: pids. Out: `ProcessSeen` events and descendants. Everything here may vanish while it is read;
what is gone is left out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from probes.events import ProcessSeen

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def pids() -> Iterator[int]:
    """Every process."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            yield int(name)


def _stat(pid: int) -> tuple[str, int, int] | None:
    """(comm, ppid, start in ticks since boot), or None when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    opening, closing = text.find("("), text.rfind(")")
    fields = text[closing + 2 :].split()
    if len(fields) < 20:
        return None
    return text[opening + 1 : closing], int(fields[1]), int(fields[19])


def descendants(pid: int) -> list[int]:
    """Pids below a process, parents before children."""
    children: dict[int, list[int]] = {}
    for candidate in pids():
        stat = _stat(candidate)
        if stat is not None:
            children.setdefault(stat[1], []).append(candidate)
    found, queue = [], list(children.get(pid, ()))
    while queue:
        child = queue.pop(0)
        found.append(child)
        queue.extend(children.get(child, ()))
    return found


def ancestors(pid: int) -> list[int]:
    """A process and those above it, the nearest first; empty when it is gone."""
    found: list[int] = []
    while pid > 0 and pid not in found and (stat := _stat(pid)) is not None:
        found.append(pid)
        pid = stat[1]
    return found


def named(name: str) -> list[int]:
    """Processes whose command name or executable has this name."""
    found = []
    for pid in pids():
        stat = _stat(pid)
        if stat is None:
            continue
        if stat[0] == name[:15] or os.path.basename(_link(pid, "exe") or "") == name:
            found.append(pid)
    return found


def _link(pid: int, name: str) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/{name}")
    except OSError:
        return None


def seen(pid: int) -> ProcessSeen | None:
    """What is known of a running process. Its start is rounded to a clock tick (10 ms)."""
    stat = _stat(pid)
    if stat is None:
        return None
    comm, ppid, ticks = stat
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()[:65536]
        uid: int | None = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        raw, uid = b"", None
    argv = raw.removesuffix(b"\0").split(b"\0") if raw else []
    return ProcessSeen(
        ktime_ns=time.monotonic_ns(),
        pid=pid,
        start_ns=ticks * _TICK_NS,
        ppid=ppid,
        comm=comm,
        exe=_link(pid, "exe"),
        argv=tuple(part.decode("utf-8", "replace") for part in argv),
        cwd=_link(pid, "cwd"),
        uid=uid,
    )


def file_at(pid: int, address: int) -> str | None:
    """The file whose mapping holds an address of a process, as a path that opens it from here."""
    root = root_of(pid)
    try:
        with open(f"/proc/{pid}/maps", errors="replace") as maps:
            for line in maps:
                fields = line.rstrip("\n").split(maxsplit=5)
                begin, _, end = fields[0].partition("-")
                if int(begin, 16) <= address < int(end, 16):
                    if len(fields) < 6 or not fields[5].startswith("/"):
                        return None
                    return mapped_path(pid, root, fields)
    except OSError:
        pass
    return None


def root_of(pid: int) -> str:
    """A process's root folder as /proc names it: `/`, unless it is in a chroot."""
    return _link(pid, "root") or "/"


def inside_root(root: str, path: str) -> str | None:
    """A path that /proc gives, as a process with this root knows it; None when it cannot."""
    if root == "/":
        return path
    return path.removeprefix(root) if path.startswith(f"{root}/") else None


def mapped_path(pid: int, root: str, fields: list[str]) -> str:
    """The path by which the file of a line of /proc/PID/maps, split, is opened from here.

    Through the process's own root where that leads to this file. It does not when the file was
    deleted or replaced, mounted over, or mapped before a chroot; the mapping itself does.
    """
    path = inside_root(root, fields[5])
    if path is not None:
        reached = f"/proc/{pid}/root{path}"
        try:
            if os.stat(reached).st_ino == int(fields[4]):
                return reached
        except OSError:
            pass
    return f"/proc/{pid}/map_files/{fields[0]}"


def kernel_device(device: int) -> int:
    """A device number of stat(2) as the kernel itself encodes it."""
    return os.major(device) << 20 | os.minor(device)
