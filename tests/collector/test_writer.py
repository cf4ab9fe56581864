from __future__ import annotations

from pathlib import Path

from collector.rows import Batch, HealthRow
from collector.store_errors import StoreWriteFailed
from collector.writer import WAITING_BATCHES, BatchWriter


def _batch(value: int) -> Batch:
    return Batch(health=[HealthRow("c", "s", "n", "", value)])


class _Store:
    def __init__(self) -> None:
        self.full = False
        self.written: list[Batch] = []

    def write(self, batch: Batch) -> None:
        if self.full:
            raise StoreWriteFailed(Path("x.db"), "no space left on device")
        self.written.append(batch)


def test_refused_batches_are_written_later_and_in_order() -> None:
    store = _Store()
    complaints: list[StoreWriteFailed] = []
    writer = BatchWriter(store.write, complaints.append)
    batches = [_batch(value) for value in range(5)]
    writer(batches[0])
    store.full = True
    writer(batches[1])
    writer(batches[2])
    assert len(complaints) == 2
    store.full = False
    writer(batches[3])
    writer(batches[4])
    writer.close()
    assert store.written == batches
    assert writer.dropped_rows == 0


def test_memory_is_bounded_and_what_was_dropped_is_counted() -> None:
    store = _Store()
    store.full = True
    writer = BatchWriter(store.write, lambda error: None)
    for value in range(WAITING_BATCHES + 7):
        writer(_batch(value))
    assert writer.dropped_rows == 7
    writer.close()
    assert writer.dropped_rows == WAITING_BATCHES + 7


def test_an_empty_batch_is_not_written() -> None:
    store = _Store()
    BatchWriter(store.write, lambda error: None)(Batch())
    assert not store.written
