"""What is known of the content of sensitive files, from the reads of them.

In: `ContentFingerprints`, and `FileTouched` for the names of files. Out: to
`collector.content_sightings`, by fingerprint, which file it is of, and who has read that. Known is
apart for each process tree: what one agent reads is not looked for in what another sends. Of what
is beyond the limits the files go whose last read is longest ago.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from collector.capture_info import CaptureInfo
from collector.processes import ProcessTable
from collector.sensitive import kernel_names, sensitivity
from probes.events import ContentFingerprints, FileOperation, FileTouched

FINGERPRINTS_LIMIT = 1 << 16  # of all files
FILES_LIMIT = 1024
READERS_LIMIT = 32  # of one file, the latest
NAMES_LIMIT = 4096
SKIPPED_LIMIT = 1024  # reads that went beyond a limit of `collector.fingerprints`
UNNAMED = "listed_name"  # of a file whose opening was not seen, but its name is on the list

Process = tuple[int, int]  # pid and start


@dataclass(slots=True)
class Reader:
    """One process that has read a file."""

    process: Process
    process_key: str
    read_ns: int
    open: tuple[int, ...] = ()  # of a line that was not read whole
    joined: tuple[int, ...] = ()  # of all, without line breaks


@dataclass(slots=True, eq=False)
class ReadFile:
    """A sensitive file, as far as processes of one tree have read it."""

    path: str | None
    sensitive: str
    device: int
    inode: int
    fingerprints: dict[int, None] = field(default_factory=dict)
    readers: OrderedDict[Process, Reader] = field(default_factory=OrderedDict)

    def all(self) -> frozenset[int]:
        """Fingerprints of all that was read."""
        opened = chain.from_iterable(reader.open for reader in self.readers.values())
        return frozenset(chain(self.fingerprints, opened))

    def joined(self) -> frozenset[int]:
        """Fingerprints of what was read without its line breaks; each of them tells enough."""
        return frozenset(chain.from_iterable(one.joined for one in self.readers.values()))

    def reader_for(self, process: Process) -> Reader:
        """Who has read what a process sends: itself, else the last one."""
        return self.readers.get(process) or next(reversed(self.readers.values()))


class Known:
    """What one process tree has read, by fingerprint, and by the half of it that masks carry."""

    def __init__(self, files: Iterator[ReadFile]) -> None:
        self.whole: dict[int, list[ReadFile]] = {}
        self.masked: dict[int, list[tuple[int, ReadFile]]] = {}
        self.sizes: dict[int, int] = {}  # by id of the file
        self.joined: dict[int, frozenset[int]] = {}
        for file in files:
            found, joined = file.all(), file.joined()
            self.sizes[id(file)] = len(found)
            self.joined[id(file)] = joined - found
            for one in found | joined:
                self.whole.setdefault(one, []).append(file)
                self.masked.setdefault(one >> 32, []).append((one, file))


class SensitiveReads:
    """Follows reads of sensitive files. Not thread-safe."""

    def __init__(self, info: CaptureInfo, processes: ProcessTable) -> None:
        self._info = info
        self._processes = processes
        names, directories = kernel_names()
        self._names, self._directories = frozenset(names), frozenset(directories)
        self._paths: OrderedDict[tuple[int, int], str] = OrderedDict()
        self._files: OrderedDict[tuple[str, int, int], ReadFile] = OrderedDict()
        self._held = 0
        self._known: dict[str, Known] = {}  # by tree, made when it is asked for
        self._skipped: OrderedDict[tuple[Process, int, int], tuple[int, int]] = OrderedDict()
        self.counts: Counter[str] = Counter()

    @property
    def any(self) -> bool:
        """Was a sensitive file read at all?"""
        return bool(self._files)

    def touched(self, event: FileTouched) -> None:
        """Remember the name of a file that was opened, if its content may be told."""
        if event.operation is not FileOperation.OPEN or event.result < 0 or not event.inode:
            return
        above, _, name = event.path.rpartition("/")
        if name in self._names or above.rpartition("/")[2] in self._directories:
            self._paths[event.device, event.inode] = event.path
            self._paths.move_to_end((event.device, event.inode))
            if len(self._paths) > NAMES_LIMIT:
                self._paths.popitem(last=False)

    def read(self, event: ContentFingerprints) -> None:
        """A process has read from a file."""
        path = self._paths.get((event.device, event.inode))
        sensitive = UNNAMED if path is None else sensitivity(path)
        if sensitive is None:
            self.counts["other_reads"] += 1
            return
        self.counts["sensitive_reads"] += 1
        self._count_skipped(event)
        tree = self._processes.root(event.pid, event.start_ns)
        key = (tree, event.device, event.inode)
        file = self._files.get(key)
        if file is None or (path is not None and file.path != path):
            self._forget(key)
            file = self._files[key] = ReadFile(path, sensitive, event.device, event.inode)
        self._files.move_to_end(key)
        process = (event.pid, event.start_ns)
        told = {(one.open, one.joined) for one in file.readers.values()}
        file.readers.pop(process, None)
        size = len(file.fingerprints)
        file.fingerprints.update(dict.fromkeys(event.fingerprints))
        self._held += len(file.fingerprints) - size
        file.readers[process] = Reader(
            process,
            self._processes.key_at(event.pid, event.start_ns, event.ktime_ns),
            self._info.wall_ns(event.ktime_ns),
            event.open,
            event.joined,
        )
        if len(file.readers) > READERS_LIMIT:
            file.readers.popitem(last=False)
        if len(file.fingerprints) > size or (event.open, event.joined) not in told:
            self._known.pop(tree, None)
        while len(self._files) > 1 and (
            self._held > FINGERPRINTS_LIMIT or len(self._files) > FILES_LIMIT
        ):
            self._forget(next(iter(self._files)))

    def _count_skipped(self, event: ContentFingerprints) -> None:
        """Add what is beyond the limits of one file; an event tells all of it so far."""
        key = ((event.pid, event.start_ns), event.device, event.inode)
        before = self._skipped.pop(key, (0, 0))
        if event.begins:
            before = (0, 0)
        if not event.skipped and not event.skipped_bytes:
            return
        self.counts["skipped_fingerprints"] += max(0, event.skipped - before[0])
        self.counts["skipped_bytes"] += max(0, event.skipped_bytes - before[1])
        self._skipped[key] = (event.skipped, event.skipped_bytes)
        if len(self._skipped) > SKIPPED_LIMIT:
            self._skipped.popitem(last=False)

    def known_to(self, process: Process) -> Known | None:
        """What the tree of a process has read; None: nothing."""
        if not self._files:
            return None
        tree = self._processes.root(*process)
        known = self._known.get(tree)
        if known is None:
            files = [file for (root, _, _), file in self._files.items() if root == tree]
            if not files:
                return None
            known = self._known[tree] = Known(iter(files))
        return known

    def _forget(self, key: tuple[str, int, int]) -> None:
        file = self._files.pop(key, None)
        if file is not None:
            self._held -= len(file.fingerprints)
            self._known.pop(key[0], None)
