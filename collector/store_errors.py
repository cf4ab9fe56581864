"""What can go wrong with a store file, each with the way out.

In: the path and the cause. Out: raised by `collector.store`, `collector.query_service` and
`analysis.reading`; `underglass.cli` prints message and hint.
"""

from __future__ import annotations

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
    """Another process has the store open. `pid` is None when it is not known."""

    def __init__(self, path: Path, *, pid: int | None, owner: str, writing: bool) -> None:
        other = "record into another store with `--db OTHER`"
        if not writing:
            other = "read another store with `--db OTHER`"
        stop = f", or stop the owner with `kill -INT {pid}`" if pid is not None else ""
        super().__init__(f"the store {path} is in use by {owner}", hint=other + stop)
        self.pid = pid


class StoreWriteFailed(StoreError):
    """A batch was not written; what was stored before is intact and the store goes on."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"a batch could not be written to {path}: {why}",
            hint=f"check free space with `df -h {shlex.quote(str(path.parent))}`; "
            "the rows stored before are intact",
        )


class QueryFailed(StoreError):
    """A query was refused or failed."""

    def __init__(self, why: str, *, hint: str | None = None) -> None:
        super().__init__(why, hint=hint or "`underglass sql 'SHOW TABLES'` lists what can be read")
