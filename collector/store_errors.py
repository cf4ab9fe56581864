"""What can go wrong with a store file, each with the way out.

In: the path and the cause. Out: raised by `collector.store`, `collector.query_service` and
`analysis.reading`; `underglass.cli` prints message and hint.
"""

from __future__ import annotations

import grp
import shlex
from pathlib import Path

from probes.errors import UnderglassError


class StoreError(UnderglassError):
    """Root of the store's errors."""


class StoreMissing(StoreError):
    """There is no file at the path."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"no store at {path}",
            hint="record one with `underglass run -- COMMAND`, or look at `underglass demo`",
        )


class NotAStore(StoreError):
    """The path holds something else than an underglass store."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} is not an underglass store: {why}",
            hint="name another file with `--db PATH`; this one was left as it is",
        )


class StoreUnreadable(StoreError):
    """The file system or DuckDB refused to open the file."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"cannot open the store {path}: {why}",
            hint=f"check owner, permissions and disk: `ls -ld {shlex.quote(str(path.parent))} "
            f"{shlex.quote(str(path))}`",
        )


class StoreTooNew(StoreError):
    """A newer underglass wrote the store."""

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(
            f"the store {path} has schema version {found}; this underglass knows up to {known}",
            hint="upgrade underglass, or start another store with `--db OTHER`",
        )


class StoreTooOld(StoreError):
    """The store awaits a migration, which only a collector may run."""

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(
            f"the store {path} has schema version {found}; this underglass reads {known}",
            hint=f"migrate it: `underglass run --db {shlex.quote(str(path))} -- true`",
        )


class StoreLocked(StoreError):
    """Another process has the store open. `pid` is None when it is not known.

    `soon`: it is a collector that answers, but has just begun or is about to end.
    """

    def __init__(
        self, path: Path, *, pid: int | None, owner: str, writing: bool, soon: bool = False
    ) -> None:
        other = "record into another store with `--db OTHER`"
        if not writing:
            other = "read another store with `--db OTHER`"
            if soon:
                other = f"it begins or ends just now: ask again in a moment, or {other}"
        stop = f", or stop the owner with `kill -INT {pid}`" if pid is not None else ""
        super().__init__(f"the store {path} is in use by {owner}", hint=other + stop)
        self.pid = pid


class CollectorGone(StoreError):
    """Nobody answers at a collector's socket."""

    def __init__(self, socket: str) -> None:
        super().__init__(
            f"no collector answers at {socket}",
            hint="start it with `sudo systemctl start underglass`, or read a file with `--db FILE`",
        )


class CollectorForbidden(StoreError):
    """This user may not reach a collector's socket."""

    def __init__(self, socket: str) -> None:
        group = _group_of(Path(socket).parent)
        super().__init__(
            f"you may not ask the collector at {socket}: it answers its own user"
            + (f" and the group {group}" if group else ""),
            hint=f"join the group with `sudo usermod -aG {group or 'GROUP'} $USER` and log in "
            "again, or read a store of yours with `--db FILE`",
        )


class CollectorDiffers(StoreError):
    """The collector that answers is another version of underglass."""

    def __init__(self, pid: int, found: int, known: int) -> None:
        super().__init__(
            f"the collector (pid {pid}) has schema version {found}; this underglass reads {known}",
            hint="restart it with `sudo systemctl restart underglass`"
            if found < known
            else "upgrade this underglass",
        )


def _group_of(place: Path) -> str | None:
    """The name of a directory's group; None when it is root's, or not to be told."""
    try:
        gid = place.stat().st_gid
        return grp.getgrgid(gid).gr_name if gid else None
    except (OSError, KeyError):
        return None


class StoreWriteFailed(StoreError):
    """A batch was not written; what was stored before is intact and the store goes on."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"a batch could not be written to {path}: {why}",
            hint=f"check free space with `df -h {shlex.quote(str(path.parent))}`; "
            "the rows stored before are intact",
        )
        self.why = why


class QueryFailed(StoreError):
    """A query was refused or failed."""

    def __init__(self, why: str, *, hint: str | None = None) -> None:
        super().__init__(why, hint=hint or "`underglass sql 'SHOW TABLES'` lists what can be read")
