"""Footprints: everything that one session touched, with its sub-agents where they are in its steps.

In: `SessionSteps`, and what its tool calls caused (`ToolActionRow`). Out: `FootprintRow`s, one for
each file read, written or deleted, each program, host and local socket. What programs read as a
matter of course (libraries, locales, the kernel's files) and what comes in crowds stands as one
row a directory, `directory/**`; sensitive files and what a tool call asked for never do. A file
that the session made and deleted again is told as temporary. Tries at files that are not there
count only where the file was touched besides.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from analysis.derived import FootprintRow, ToolActionRow
from analysis.steps import CallStep, ConnectionStep, FileStep, SessionSteps

KINDS = ("read", "written", "deleted", "program", "host", "local_socket")
EVERYTHING_BELOW = "/**"
CROWD = 50  # files of one directory that are listed one by one
NOISE_CROWD = 3  # the same in directories of the system
ROWS_OF_A_KIND = 1000  # above it, directories are taken together until it fits

_DENIED = ("EACCES", "EPERM", "EROFS")
_NOISE = re.compile(
    r"/(?:proc|sys|dev|run)(?=/)"
    r"|/(?:usr/(?:local/)?)?lib(?:32|64|exec)?(?=/)"
    r"|/usr/(?:local/)?share(?=/)"
    r"|/etc/(?:ld\.so\.conf\.d|ssl/certs|alternatives|ca-certificates)(?=/)"
    r"|/.*?/(?:site-packages|dist-packages|node_modules|\.git/objects)(?=/)"
    r"|/.*?/lib(?:64)?/(?:python|ruby|perl|node|R|jvm)[^/]*(?=/)"
    r"|/.*?/__pycache__(?=/)"
)
_TEMPORARY = "temporary: made and deleted again"


@dataclass(slots=True)
class _Entry:
    """What is known of one thing."""

    count: int = 0
    failed: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    sensitive: str | None = None
    ids: set[str] = field(default_factory=set)
    details: dict[str, None] = field(default_factory=dict)

    def add(self, action_id: str, count: int, first_ns: int | None, last_ns: int | None) -> None:
        """Something that went well."""
        self.count += count
        self._saw(action_id, first_ns, last_ns)

    def fail(self, action_id: str, count: int, first_ns: int | None, last_ns: int | None) -> None:
        """A try."""
        self.failed += count
        self._saw(action_id, first_ns, last_ns)

    def _saw(self, action_id: str, first_ns: int | None, last_ns: int | None) -> None:
        self.ids.add(action_id)
        if first_ns is not None:
            self.first_ns = first_ns if self.first_ns is None else min(self.first_ns, first_ns)
        if last_ns is not None:
            self.last_ns = last_ns if self.last_ns is None else max(self.last_ns, last_ns)


_Entries = defaultdict[tuple[str, str], _Entry]


def footprint(steps: SessionSteps, actions: Sequence[ToolActionRow]) -> list[FootprintRow]:
    """Rows of one session: kinds in the order of `KINDS`, names in order."""
    session_id = steps.session.session_id
    sessions = _sessions(steps)
    entries: _Entries = defaultdict(_Entry)
    _add_files(entries, steps.files)
    for process in steps.processes:
        if process.session_id in sessions and process.argv:
            name = process.exe or process.argv[0]
            entries["program", name].add(
                process.process_key, 1, process.started_ns, process.ended_ns or process.started_ns
            )
    for connection in steps.connections:
        _add_connection(entries, connection)
    asked = {action.action_id for action in actions}
    known = bool(actions)
    rows = [
        FootprintRow(
            session_id=session_id,
            kind=kind,
            name=name,
            count=entry.count,
            failed=entry.failed,
            first_ns=entry.first_ns,
            last_ns=entry.last_ns,
            sensitive=entry.sensitive,
            asked=not asked.isdisjoint(entry.ids) if known else None,
            detail=", ".join(entry.details) or None,
        )
        for (kind, name), entry in entries.items()
    ]
    parted = ([row for row in rows if row.kind == kind] for kind in KINDS)
    return [row for part in parted for row in _folded(part)]


def _sessions(steps: SessionSteps) -> frozenset[str | None]:
    """The session and its sub-agents; processes of others are ancestors."""
    parts: list[Iterable[FileStep | ConnectionStep | CallStep]]
    parts = [steps.files, steps.connections, steps.calls]
    found = {one.session_id for part in parts for one in part} | {steps.session.session_id}
    return frozenset(found - {None})


# Files


def _add_files(entries: _Entries, files: Sequence[FileStep]) -> None:
    made: set[str] = set()
    present: set[str] = set()  # seen before anything was made in their place
    for file in files:
        if file.error is None:
            _add_done(entries, file, made, present)
    for file in files:
        if file.error is not None:
            kind = _kind(file)
            denied = file.error in _DENIED
            if denied or (kind, file.path) in entries:
                entry = entries[kind, file.path]
                entry.fail(file.file_event_id, file.count, file.first_ns, file.last_ns)
                entry.sensitive = entry.sensitive or file.sensitive
                if denied:
                    entry.details[f"denied: {file.error}"] = None
    for (kind, name), entry in entries.items():
        if kind in ("written", "deleted") and name in made and ("deleted", name) in entries:
            entry.details = {_TEMPORARY: None, **entry.details}


def _kind(file: FileStep) -> str:
    if file.operation in ("unlink", "rmdir"):
        return "deleted"
    return "written" if file.operation != "open" or file.access != "read" else "read"


def _add_done(entries: _Entries, file: FileStep, made: set[str], present: set[str]) -> None:
    def add(kind: str, path: str, detail: str | None = None) -> None:
        entry = entries[kind, path]
        entry.add(file.file_event_id, file.count, file.first_ns, file.last_ns)
        entry.sensitive = entry.sensitive or file.sensitive
        if detail is not None:
            entry.details[detail] = None

    path, new_path = file.path, file.new_path
    makes = (file.operation == "open" and file.creates) or file.operation == "mkdir"
    if makes and path not in present:
        made.add(path)
    present.add(path)
    if file.operation == "open":
        if file.access in ("read", "read_write"):
            add("read", path)
        if file.access in ("write", "read_write"):
            add("written", path)
    elif file.operation in ("unlink", "rmdir"):
        add("deleted", path, "directory" if file.operation == "rmdir" else None)
        present.discard(path)
    elif file.operation == "rename" and new_path is not None:
        add("written", new_path, f"renamed from {path}")
        if path not in made:
            add("deleted", path, f"renamed to {new_path}")
        elif new_path not in present:
            made.add(new_path)
        present.discard(path)
        present.add(new_path)
    elif file.operation in ("link", "symlink") and new_path is not None:
        add("written", new_path, f"{file.operation} to {path}")
        made.add(new_path)
        present.add(new_path)
    else:
        add("written", path, {"mkdir": "directory", "chmod": "mode changed"}.get(file.operation))


# Connections


def _add_connection(entries: _Entries, connection: ConnectionStep) -> None:
    if connection.transport == "unix":
        kind, name = "local_socket", connection.address
    elif connection.port:
        kind, name = "host", at_port(connection.name or connection.address, connection.port)
    else:
        return  # how resolvers sort addresses: nothing is sent
    entry = entries[kind, name]
    told = connection.error is None
    add = entry.add if told else entry.fail
    add(connection.network_event_id, connection.count, connection.first_ns, connection.last_ns)
    if kind == "host":
        entry.details[connection.transport] = None
        if connection.name is not None:
            entry.details[connection.address] = None


def at_port(host: str, port: int) -> str:
    """`host:port`; IPv6 addresses in brackets (RFC 3986)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# Taken together


def _folded(rows: list[FootprintRow]) -> list[FootprintRow]:
    if rows and rows[0].kind not in ("read", "written", "deleted"):
        return sorted(rows, key=lambda row: row.name)
    rows = _fold(rows, lambda row: _noise_root(row.name), NOISE_CROWD)
    rows = _fold(rows, lambda row: _parent(row.name), CROWD)
    while len(rows) > ROWS_OF_A_KIND:
        deepest = max((row.name.count("/") for row in rows if not _stays(row)), default=0)
        if deepest < 2:
            break
        rows = _fold(
            rows,
            lambda row, depth=deepest: (  # type: ignore[misc]
                _parent(row.name) if row.name.count("/") == depth else None
            ),
            0,
        )
    return sorted(rows, key=lambda row: row.name)


def _stays(row: FootprintRow) -> bool:
    return row.sensitive is not None or row.asked is True


def _noise_root(path: str) -> str | None:
    found = _NOISE.match(path)
    return found.group() if found is not None else None


def _parent(path: str) -> str | None:
    """The directory; of a whole directory the one above it."""
    return path.removesuffix(EVERYTHING_BELOW).rpartition("/")[0] or None


def _fold(
    rows: list[FootprintRow], directory_of: Callable[[FootprintRow], str | None], most: int
) -> list[FootprintRow]:
    """One row for each directory that more than `most` rows name."""
    groups: dict[str, list[FootprintRow]] = {}
    kept: list[FootprintRow] = []
    for row in rows:
        directory = None if _stays(row) else directory_of(row)
        if directory is None:
            kept.append(row)
        else:
            groups.setdefault(directory, []).append(row)
    for directory, members in groups.items():
        name = directory + EVERYTHING_BELOW
        if len(members) <= most and all(row.name != name for row in members):
            kept += members
        else:
            kept.append(_together(name, members))
    return kept


def _together(name: str, rows: list[FootprintRow]) -> FootprintRow:
    first, last = _known(row.first_ns for row in rows), _known(row.last_ns for row in rows)
    return replace(
        rows[0],
        name=name,
        count=sum(row.count for row in rows),
        failed=sum(row.failed for row in rows),
        first_ns=min(first, default=None),
        last_ns=max(last, default=None),
        detail=f"{sum(map(_files, rows)):,} files",
    )


def _files(row: FootprintRow) -> int:
    if not row.name.endswith(EVERYTHING_BELOW) or row.detail is None:
        return 1
    return int(row.detail.partition(" ")[0].replace(",", ""))


def _known(times: Iterable[Any]) -> list[int]:
    return [one for one in times if one is not None]
