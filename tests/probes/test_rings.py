"""A file in memory stands for the map: the kernel's layout, with the data area written twice."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.rings import RingBuffer
from tests.frames import frame

PAGE = mmap.PAGESIZE
SIZE = 2 * PAGE
BUSY, DISCARD = 1 << 31, 1 << 30


class Kernel:
    """Writes records as kernel/bpf/ringbuf.c does."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("ring")
        os.ftruncate(self.descriptor, 2 * PAGE + 2 * SIZE)
        self.memory = mmap.mmap(self.descriptor, 0)
        self.produced = 0

    @property
    def consumed(self) -> int:
        return int(struct.unpack_from("<Q", self.memory, 0)[0])

    def _store(self, position: int, data: bytes) -> None:
        """Into both mappings of the data area."""
        for offset, byte in enumerate(data):
            at = (position + offset) % SIZE
            self.memory[2 * PAGE + at] = self.memory[2 * PAGE + SIZE + at] = byte

    def reserve(self, size: int) -> int | None:
        """Position of a record of `size` bytes that is being written; None when it is full."""
        whole = 8 + (size + 7 & ~7)
        if self.produced + whole - self.consumed > SIZE:
            return None
        position, self.produced = self.produced, self.produced + whole
        self._store(position, struct.pack("<II", size | BUSY, 0))
        struct.pack_into("<Q", self.memory, PAGE, self.produced)
        return position

    def submit(self, position: int, data: bytes, flags: int = 0) -> None:
        self._store(position + 8, data)
        self._store(position, struct.pack("<I", len(data) | flags))

    def write(self, data: bytes, flags: int = 0) -> bool:
        position = self.reserve(len(data))
        if position is not None:
            self.submit(position, data, flags)
        return position is not None

    def close(self) -> None:
        self.memory.close()
        os.close(self.descriptor)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    yield kernel
    kernel.close()


def drain(ring: RingBuffer, most_bytes: int = 1 << 20) -> list[bytes]:
    views, position = ring.frames(ring.produced(), most_bytes)
    found = [bytes(view) for view in views]
    for view in views:
        view.release()
    ring.release(position)
    return found


def test_records_are_read_in_order_and_their_space_is_given_back(kernel: Kernel) -> None:
    ring = RingBuffer(kernel.descriptor, SIZE)
    records = [frame(1, b"a"), frame(1, b"bb" * 50), frame(2, b"")]
    assert drain(ring) == []
    assert all(kernel.write(record) for record in records)
    assert ring.used_bytes == kernel.produced
    assert drain(ring) == records
    assert (ring.used_bytes, kernel.consumed) == (0, kernel.produced)
    assert drain(ring) == []


def test_discarded_records_are_passed_over(kernel: Kernel) -> None:
    ring = RingBuffer(kernel.descriptor, SIZE)
    kernel.write(frame(1, b"first"))
    kernel.write(frame(1, b"never"), DISCARD)
    kernel.write(frame(1, b"last"))
    assert drain(ring) == [frame(1, b"first"), frame(1, b"last")]


def test_a_record_that_is_being_written_holds_back_those_behind_it(kernel: Kernel) -> None:
    ring = RingBuffer(kernel.descriptor, SIZE)
    first, slow, last = frame(1, b"first"), frame(1, b"slow"), frame(1, b"last")
    kernel.write(first)
    position = kernel.reserve(len(slow))
    assert position is not None
    kernel.write(last)
    assert drain(ring) == [first]
    assert drain(ring) == []
    kernel.submit(position, slow)
    assert drain(ring) == [slow, last]


def test_a_frame_may_be_shorter_than_its_record(kernel: Kernel) -> None:
    ring = RingBuffer(kernel.descriptor, SIZE)
    kernel.write(frame(1, b"used") + b"\xee" * 300)
    assert drain(ring) == [frame(1, b"used")]


def test_one_read_takes_no_more_than_it_should(kernel: Kernel) -> None:
    ring = RingBuffer(kernel.descriptor, SIZE)
    records = [frame(1, bytes([number]) * 100) for number in range(10)]
    assert all(kernel.write(record) for record in records)
    until = ring.produced()
    kernel.write(frame(1, b"later"))
    views, _ = ring.frames(until, 1 << 20)
    assert len(views) == 10
    del views
    assert drain(ring, most_bytes=250) == records[:3]
    assert drain(ring) == [*records[3:], frame(1, b"later")]


def test_what_is_later_than_asked_for_stays(kernel: Kernel) -> None:
    ring = RingBuffer(kernel.descriptor, SIZE)
    records = [frame(1, b"", at=time) for time in (5, 6, 7)]
    assert all(kernel.write(record) for record in records)
    assert ring.take(1 << 20, 6) == (records[:1], 6)
    assert ring.take(1 << 20, 6) == ([], 6)
    assert ring.take(1 << 20, 100) == (records[1:], 100)


def test_the_time_up_to_which_all_was_taken_is_told(kernel: Kernel) -> None:
    ring = RingBuffer(kernel.descriptor, SIZE)
    records = [frame(1, b"x" * 84, at=time) for time in (5, 6, 7)]
    for record in records[:2]:
        kernel.write(record)
    slow = kernel.reserve(len(records[2]))
    assert slow is not None
    assert ring.take(100, 50) == (records[:1], 5)  # no more than it should
    assert ring.take(1 << 20, 50) == (records[1:2], 6)  # the next one is being written
    assert ring.take(1 << 20, 50) == ([], 0)
    kernel.submit(slow, records[2])
    assert ring.take(1 << 20, 50) == (records[2:], 50)


def test_a_reader_that_comes_later_goes_on_where_the_last_one_was(kernel: Kernel) -> None:
    kernel.write(frame(1, b"one"))
    assert drain(RingBuffer(kernel.descriptor, SIZE)) == [frame(1, b"one")]
    kernel.write(frame(1, b"two"))
    assert drain(RingBuffer(kernel.descriptor, SIZE)) == [frame(1, b"two")]


@given(st.lists(st.tuples(st.integers(0, 3000), st.booleans()), max_size=60))
@settings(max_examples=25, deadline=None)
def test_records_survive_every_wrap(writes: list[tuple[int, bool]]) -> None:
    kernel = Kernel()
    try:
        ring = RingBuffer(kernel.descriptor, SIZE)
        sent, got = [], []
        for number, (size, read) in enumerate(writes):
            record = frame(1, bytes([number]) * size)
            if not kernel.write(record):
                got += drain(ring)
                assert kernel.write(record)
            sent.append(record)
            if read:
                got += drain(ring)
        assert got + drain(ring) == sent
    finally:
        kernel.close()
