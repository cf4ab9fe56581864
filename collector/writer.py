"""Batches on their way to the store, kept for a while when the store refuses them.

In: batches. Out: the same batches, in order, to `write`. A full disk must not end a capture nor
cost what can still be written when there is room again; nor may waiting rows fill the memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from collector.rows import Batch
from collector.store_errors import StoreWriteFailed

WAITING_BATCHES = 120


class BatchWriter:
    """Writes batches and retries refused ones before any newer."""

    def __init__(
        self, write: Callable[[Batch], None], complain: Callable[[StoreWriteFailed], None]
    ) -> None:
        self._write = write
        self._complain = complain
        self._waiting: deque[Batch] = deque()
        self.dropped_rows = 0

    def __call__(self, batch: Batch) -> None:
        """Write, or keep for the next time; the oldest goes when too many wait."""
        if batch:
            self._waiting.append(batch)
        while self._waiting:
            try:
                self._write(self._waiting[0])
            except StoreWriteFailed as error:
                self._complain(error)
                break
            self._waiting.popleft()
        while len(self._waiting) > WAITING_BATCHES:
            self.dropped_rows += self._waiting.popleft().size

    @property
    def waiting(self) -> int:
        """How many batches are not written yet."""
        return len(self._waiting)

    def close(self) -> None:
        """Count what was never written."""
        self.dropped_rows += sum(batch.size for batch in self._waiting)
        self._waiting.clear()
