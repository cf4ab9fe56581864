"""Files: which ones processes have mapped, which TLS libraries are installed, who is who.

In: pids, folders. Out: paths. What to hook in a file is known to `probes.resolvers`.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from probes import procfs
from probes.hooks import FileKey

LIBRARY_FOLDERS = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib", "/opt")
LIBRARY_NAMES = ("libssl.so*", "libgnutls.so*", "libssl3.so", "libmbedtls.so*", "libwolfssl.so*")


_libc = ctypes.CDLL(None)
_OVERLAY_MAGIC = 0x794C7630
_STATFS_BYTES = 128


def file_key(path: str) -> FileKey | None:
    """What the kernel knows a file by, or None when it is gone."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return key_of(path, status)


def key_of(path: str, status: os.stat_result) -> FileKey:
    """The key of a file whose status is known."""
    copied_ns = status.st_ctime_ns if os.major(status.st_dev) == 0 and _is_overlay(path) else 0
    return FileKey(status.st_dev, status.st_ino, copied_ns)


def _is_overlay(path: str) -> bool:
    answer = ctypes.create_string_buffer(_STATFS_BYTES)  # struct statfs begins with the type
    if _libc.statfs(os.fsencode(path), answer):
        return False
    return int.from_bytes(answer.raw[:8], sys.byteorder) == _OVERLAY_MAGIC


def mapped_executables(pid: int) -> list[str]:
    """Files that a process has mapped executable, as paths that open them from here."""
    paths: dict[str, str] = {}
    root = procfs.root_of(pid)
    try:
        with open(f"/proc/{pid}/maps", errors="replace") as maps:
            for line in maps:
                fields = line.rstrip("\n").split(maxsplit=5)
                if len(fields) < 6 or "x" not in fields[1] or not fields[5].startswith("/"):
                    continue
                paths[fields[5]] = procfs.mapped_path(pid, root, fields)
    except OSError:
        return []
    return list(paths.values())


def shown_path(path: str) -> str:
    """A path as its process knows it, for people; a deleted file's says so."""
    parts = path.split("/", 4)
    if parts[:2] != ["", "proc"] or len(parts) < 5:
        return path
    if parts[3] == "root":
        return "/" + parts[4]
    if parts[3] == "map_files":
        try:
            known = os.readlink(path)
        except OSError:
            return path  # the process is gone
        return procfs.inside_root(procfs.root_of(int(parts[2])), known) or known
    return path


def installed() -> list[str]:
    """Shared TLS libraries on this machine, hooked before any process uses them."""
    found: dict[FileKey, str] = {}
    patterns = [place + name for place in ("", "*/", "*/lib/") for name in LIBRARY_NAMES]
    for folder in LIBRARY_FOLDERS:
        base = Path(folder)
        for pattern in patterns:
            try:
                candidates: Iterable[Path] = list(base.glob(pattern))
            except OSError:
                continue
            for path in candidates:
                key = file_key(str(path))
                if key is not None:
                    found.setdefault(key, str(path.resolve()))
    return sorted(found.values())
