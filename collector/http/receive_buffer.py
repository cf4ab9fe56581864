"""The bytes of one direction that were fed and not yet read.

In: the bytes of each `feed`. Out: to the readers of `collector.http`, which look at the front
and take or skip from it. Bytes fed to an empty buffer are adopted as they are and handed on
without a copy when they are taken whole. Searches remember how far they came, so that a head
that arrives byte by byte is searched once.
"""

from __future__ import annotations

import re

_BLANK_LINE = re.compile(rb"\n\r?\n")


class ReceiveBuffer:
    """A byte queue. `data[start:]` is what is held; do not keep `data` across an append."""

    __slots__ = ("_head_searched", "_line_searched", "data", "start")

    def __init__(self) -> None:
        self.data: bytes | bytearray = b""
        self.start = 0
        self._line_searched = 0  # offsets from `start`
        self._head_searched = 0

    def __len__(self) -> int:
        return len(self.data) - self.start

    def append(self, data: bytes) -> None:
        """Add bytes at the end."""
        held = self.data
        if self.start == len(held):
            self.data = data
        elif isinstance(held, bytearray):
            del held[: self.start]
            held += data
        else:
            joined = bytearray(held[self.start :])
            joined += data
            self.data = joined
        self.start = 0

    def skip(self, count: int) -> None:
        """Drop `count` bytes from the front; `count` is at most the length."""
        self.start += count
        self._line_searched = self._head_searched = 0
        if self.start == len(self.data):
            self.data = b""
            self.start = 0

    def take(self, count: int) -> bytes:
        """Remove and return `count` bytes from the front; `count` is at most the length."""
        start, data = self.start, self.data
        if isinstance(data, bytes):
            taken = data[start : start + count]  # the same object when it is the whole
        else:
            with memoryview(data) as view:
                taken = bytes(view[start : start + count])
        self.skip(count)
        return taken

    def clear(self) -> int:
        """Drop everything and return how many bytes that were."""
        count = len(self)
        self.skip(count)
        return count

    def line_end(self, limit: int) -> int:
        """Length of the first line with its LF, or -1 when none ends within `limit` bytes."""
        start = self.start
        found = self.data.find(b"\n", start + self._line_searched, start + limit)
        if found >= 0:
            return found + 1 - start
        self._line_searched = min(len(self), limit)
        return -1

    def head_end(self, limit: int) -> int:
        """Length of the first head with its blank line, or -1 when none ends in `limit` bytes."""
        start = self.start
        found = _BLANK_LINE.search(self.data, start + self._head_searched, start + limit)
        if found is not None:
            return found.end() - start
        self._head_searched = max(0, min(len(self), limit) - 2)
        return -1
