"""Captures that hand their rows to the owner of a store, in one process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from collector.capture_scope import CaptureScope
from collector.changed_rows import ChangedRows
from collector.database import run
from collector.join_service import JoinService
from collector.joined_store import JoinedStore
from collector.ownership import is_owned
from collector.rows import Batch
from collector.store import Store


def scope(pid: int | None = None, **changes: Any) -> CaptureScope:
    return CaptureScope(pid or os.getpid(), 0, "underglass run -- x", held=True, **changes)


class Owner:
    """An owned store, and what the service asked of its process."""

    def __init__(
        self, path: Path, *, content: bool = True, own: CaptureScope | None = None
    ) -> None:
        self.store = Store.open(path, content=content, joinable=True)
        self.left_out: list[CaptureScope] = []
        self.written = 0
        self.awaited: list[bool] = []
        self.service = JoinService(
            self.store,
            own or scope(),
            content=content,
            leave_out=self._leave_out,
            written=self._count,
            awaited=self.awaited.append,
        )

    def _leave_out(self, other: CaptureScope) -> bool:
        self.left_out.append(other)
        return True

    def _count(self) -> None:
        self.written += 1

    def select(self, sql: str) -> list[Any]:
        cursor = self.store.cursor()
        try:
            return run(cursor, sql)
        finally:
            cursor.close()


@contextmanager
def owner(path: Path, **how: Any) -> Iterator[Owner]:
    opened = Owner(path, **how)
    try:
        yield opened
    finally:
        opened.service.close()
        opened.store.close()


class Joiner:
    """A capture that has joined; `left_out` and `found` are what the owner told it."""

    def __init__(
        self,
        path: Path,
        own: CaptureScope | None = None,
        *,
        again: bool = False,
        content: bool = True,
    ) -> None:
        _, found = is_owned(path)
        assert found is not None
        assert found.join is not None
        self.left_out: list[CaptureScope] = []
        self.found: list[dict[str, Any]] = []
        self.store = JoinedStore(
            path,
            found,
            own or scope(),
            again=again,
            leave_out=self._leave_out,
            found=self.found.append,
        )
        self.changed = ChangedRows(content=content)

    def _leave_out(self, other: CaptureScope) -> bool:
        self.left_out.append(other)
        return True

    def write(self, batch: Batch) -> None:
        change = self.changed.of(batch)
        self.store.merge(change.tables, change.sessions)
        self.changed.stored(change)
