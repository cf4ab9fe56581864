"""Ring buffers of the kernel, read in place.

In: a ring buffer map's descriptor. Out: views of whole frames, in order, without a callback or
a copy per event. The kernel maps the data area twice in a row, so a record never wraps. Layout:
kernel/bpf/ringbuf.c: a consumer page, a producer page, the data; each record has an 8-byte
header whose first word holds the length, a busy bit and a discard bit.

Plain loads and stores are enough here: x86-64 keeps loads in order, and the position is one
aligned 8-byte store.
"""

from __future__ import annotations

import mmap
import struct

_PAGE = mmap.PAGESIZE
_BUSY = 1 << 31
_DISCARD = 1 << 30
_HEADER = 8
_TIME = _HEADER + 8  # of a frame, in its record
_EVER = 1 << 64
_U64 = struct.Struct("<Q")
_U32 = struct.Struct("<I")


class RingBuffer:
    """One BPF ring buffer. Not thread-safe; one reader."""

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._mask = size_bytes - 1
        self._consumer_page = mmap.mmap(
            descriptor, _PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=0
        )
        self._producer_page = mmap.mmap(
            descriptor, _PAGE + 2 * size_bytes, mmap.MAP_SHARED, mmap.PROT_READ, offset=_PAGE
        )
        self._data = memoryview(self._producer_page)[_PAGE:]
        self._consumer: int = _U64.unpack_from(self._consumer_page)[0]

    def produced(self) -> int:
        """The position up to which the kernel has reserved; pass it to `frames`."""
        return int(_U64.unpack_from(self._producer_page)[0])

    @property
    def used_bytes(self) -> int:
        """Bytes reserved and not yet released."""
        return self.produced() - self._consumer

    def frames(
        self, until: int, most_bytes: int, before_ns: int = _EVER
    ) -> tuple[list[memoryview], int]:
        """Views of finished frames before position `until`, and the position to `release`.

        Stops at a record that is still being written, and at a frame of kernel time `before_ns`
        or later. The views are valid until released.
        """
        views: list[memoryview] = []
        at, data, mask = self._consumer, self._data, self._mask
        word, time = _U32.unpack_from, _U64.unpack_from
        taken = 0
        while at < until and taken < most_bytes and len(views) < 1024:
            start = at & mask
            length = word(data, start)[0]
            if length & _BUSY:
                break
            if not length & _DISCARD:
                if time(data, start + _TIME)[0] >= before_ns:
                    break
                size = word(data, start + _HEADER)[0]
                views.append(data[start + _HEADER : start + _HEADER + size])
                taken += size
            at += _HEADER + ((length & ~_DISCARD) + 7 & ~7)
        return views, at

    def take(self, most_bytes: int, before_ns: int) -> tuple[list[bytes], int]:
        """Copies of the frames up to a time, whose space is given back, and the time up to which
        they are all: an earlier one when there were too many, or one is still being written."""
        until, copies, taken = self.produced(), list[bytes](), 0
        while taken < most_bytes:
            views, position = self.frames(until, most_bytes - taken, before_ns)
            copies += [bytes(view) for view in views]
            taken += sum(map(len, views))
            self.release(position)
            if position >= until:
                return copies, before_ns
            if not views:
                if self.frames(until, 1)[0]:
                    return copies, before_ns  # what follows is later
                break
        return copies, _U64.unpack_from(copies[-1], 8)[0] if copies else 0

    def release(self, position: int) -> None:
        """Give the space before `position` back to the kernel."""
        self._consumer = position
        _U64.pack_into(self._consumer_page, 0, position)
