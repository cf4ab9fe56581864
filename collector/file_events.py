"""What processes did to files: one row for equal events in a row of one process on one path.

In: `FileTouched`. Out: `FileEventRow`s. An event on a path, as its old name or its new one, ends
the row that is open there. A program that a process executes is a process of its own
(`collector.processes`).
"""

from __future__ import annotations

from hashlib import blake2b

from collector.capture_info import CaptureInfo
from collector.errno_names import error_name
from collector.folding import Folding
from collector.processes import ProcessTable
from collector.redaction import TextRedactor
from collector.rows import FileEventRow
from collector.sensitive import sensitivity
from probes.events import FileOperation, FileTouched

OPEN_PLACES = 1 << 13  # 64 MB if every path were as long as Linux allows

# open(2) on x86-64 and arm64
_ACCESS_MODE = 0o3
_CREATE = 0o100
_EXCLUSIVE = 0o200
_TRUNCATE = 0o1000
_APPEND = 0o2000
_PATH_ONLY = 0o10000000
_TOLD_FLAGS = _ACCESS_MODE | _CREATE | _EXCLUSIVE | _TRUNCATE | _APPEND | _PATH_ONLY
_ACCESS = ("read", "write", "read_write", None)  # the fourth opens a device for ioctl alone
_MODE_BITS = 0o7777


class FileEvents:
    """Rows of file events that are new or changed; `received` events so far."""

    def __init__(self, info: CaptureInfo, processes: ProcessTable, redact: TextRedactor) -> None:
        self._info = info
        self._processes = processes
        self._redact = redact
        self._folding: Folding[FileEventRow] = Folding(OPEN_PLACES)
        self.received = 0

    def touched(self, event: FileTouched) -> None:
        """A process named a file in a system call."""
        self.received += 1
        process_key = self._processes.key_at(event.pid, event.start_ns, event.ktime_ns)
        flags = event.flags
        if event.operation is FileOperation.OPEN:
            flags &= _TOLD_FLAGS
        elif event.operation is FileOperation.CHMOD:
            flags &= _MODE_BITS
        elif event.operation is not FileOperation.TRUNCATE:
            flags = 0
        places: tuple[tuple[str, str], ...] = ((process_key, event.path),)
        if event.new_path is not None:
            places += ((process_key, event.new_path),)
        self._folding.add(
            places,
            (
                *(event.operation, min(event.result, 0), flags, event.path, event.new_path),
                *(event.device, event.inode, event.truncated),
            ),
            self._info.wall_ns(event.ktime_ns),
            lambda: self._begin(event, process_key, flags),
        )

    def take(self) -> list[FileEventRow]:
        """Rows that are new or changed."""
        return list(self._folding.take())

    def _begin(self, event: FileTouched, process_key: str, flags: int) -> FileEventRow:
        operation, new_path = event.operation, event.new_path
        opens = operation is FileOperation.OPEN
        at_ns = self._info.wall_ns(event.ktime_ns)
        sensitive = sensitivity(event.path)
        if sensitive is None and new_path is not None:
            sensitive = sensitivity(new_path)
        return FileEventRow(
            file_event_id=event_id(
                self._info, process_key, event.tid, event.ktime_ns, operation.name
            ),
            capture_id=self._info.capture_id,
            process_key=process_key,
            pid=event.pid,
            first_ns=at_ns,
            last_ns=at_ns,
            count=1,
            operation=operation.name.lower(),
            access=_ACCESS[flags & _ACCESS_MODE] if opens and not flags & _PATH_ONLY else None,
            path=self._redact(event.path),
            new_path=None if new_path is None else self._redact(new_path),
            error=error_name(event.result),
            creates=opens and bool(flags & _CREATE),
            exclusive=opens and bool(flags & _EXCLUSIVE),
            truncates=opens and bool(flags & _TRUNCATE),
            appends=opens and bool(flags & _APPEND),
            mode=flags if operation is FileOperation.CHMOD else None,
            size_bytes=flags if operation is FileOperation.TRUNCATE else None,
            device=event.device or None,
            inode=event.inode or None,
            sensitive=sensitive,
            truncated=event.truncated,
        )


def event_id(info: CaptureInfo, process_key: str, tid: int, ktime_ns: int, what: str) -> str:
    """Names an event of a capture: 16 hex digits.

    A thread makes one system call at a time, so its time tells it from the others. The capture is
    part of it: another capture of the same process folds events otherwise.
    """
    said = f"{info.capture_id}:{process_key}:{tid}:{ktime_ns}:{what}"
    return blake2b(said.encode(), digest_size=8).hexdigest()
