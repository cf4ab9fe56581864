"""Undoes the chunked transfer coding (RFC 9112 section 7.1).

In: a `ReceiveBuffer` that stands in a chunked body. Out: the body's bytes, to
`collector.http.http1`, and a phase that says whether the body ended, and how. Extensions and
trailers are passed over. Nothing is held here: what cannot be read yet stays in the buffer, and
that is at most one line.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from collector.http.receive_buffer import ReceiveBuffer

MAX_LINE_BYTES = 8 * 1024

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,20})[ \t]*(?:;[^\n]*)?\r?\n")
_SIZE_LINE_PREFIX = re.compile(rb"[0-9A-Fa-f]{0,20}|[0-9A-Fa-f]{1,20}[ \t]*(?:\r|;[^\n]*)?")
_TRAILER_LINE = re.compile(rb"(?:[ \t]|[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*:)[^\n]*\n")


class Phase(Enum):
    """What comes next in a chunked body."""

    SIZE = auto()
    DATA = auto()
    DATA_END = auto()  # the line end behind a chunk's data
    TRAILER = auto()
    DONE = auto()
    MALFORMED = auto()
    LINE_TOO_LONG = auto()


class ChunkedBody:
    """One chunked body. `remaining` counts the bytes still to come of the chunk being read."""

    __slots__ = ("_line_open", "phase", "remaining")

    def __init__(self) -> None:
        self._line_open = False  # whatever comes, the line goes on up to an LF
        self.phase = Phase.SIZE
        self.remaining = 0

    def read(self, buffer: ReceiveBuffer) -> bytes:
        """Take from `buffer` what can be read and return the body bytes in it, joined."""
        if self._line_open:
            if buffer.line_end(MAX_LINE_BYTES) < 0 and len(buffer) < MAX_LINE_BYTES:
                return b""
            self._line_open = False
        data, at, end = buffer.data, buffer.start, len(buffer.data)
        start = at
        phase, remaining = self.phase, self.remaining
        parts: list[bytes | bytearray] = []
        while at < end:
            if phase is Phase.SIZE:
                line = _SIZE_LINE.match(data, at)
                if line is None or line.end() - at > MAX_LINE_BYTES:
                    phase = _unfinished_size_line(data, at)
                    self._line_open = data.find(b";", at) >= 0
                    break
                at = line.end()
                remaining = int(line[1], 16)
                data_end = at + remaining
                if not remaining:
                    phase = Phase.TRAILER
                elif data[data_end : data_end + 2] == b"\r\n":  # the whole chunk is here
                    parts.append(data[at:data_end])
                    at = data_end + 2
                    remaining = 0
                else:
                    phase = Phase.DATA
            elif phase is Phase.DATA:
                part = data[at : at + remaining]
                parts.append(part)
                at += len(part)
                remaining -= len(part)
                if not remaining:
                    phase = Phase.DATA_END
            elif phase is Phase.DATA_END:
                size = _line_break(data, at)
                if size == 0:
                    break
                if size < 0:
                    phase = Phase.MALFORMED
                    break
                at += size
                phase = Phase.SIZE
            elif phase is Phase.TRAILER:
                size, phase = _trailer_line(data, at)
                at += size
                if not size:
                    self._line_open = True
                    break
            else:
                break
        buffer.skip(at - start)
        self.phase, self.remaining = phase, remaining
        return bytes(parts[0]) if len(parts) == 1 else b"".join(parts)

    def lose(self, count: int) -> bool:
        """Pass over `count` lost bytes; False when they reach beyond the chunk's data."""
        if count > self.remaining:
            return False
        self.remaining -= count
        if not self.remaining:
            self.phase = Phase.DATA_END
        return True


def _unfinished_size_line(data: bytes | bytearray, at: int) -> Phase:
    """The phase when no valid size line stands at `at`: wait for more, or give up."""
    if _SIZE_LINE_PREFIX.fullmatch(data, at, at + MAX_LINE_BYTES) is None:
        return Phase.MALFORMED
    return Phase.LINE_TOO_LONG if len(data) - at >= MAX_LINE_BYTES else Phase.SIZE


def _line_break(data: bytes | bytearray, at: int) -> int:
    """Length of the line break at `at`; 0 when it is cut short, -1 when there is none."""
    if data.startswith(b"\r\n", at):
        return 2
    if data.startswith(b"\n", at):
        return 1
    return 0 if at + 1 == len(data) and data.startswith(b"\r", at) else -1


def _trailer_line(data: bytes | bytearray, at: int) -> tuple[int, Phase]:
    """Length of the trailer line at `at` (0: not whole or not one) and the phase behind it."""
    size = _line_break(data, at)
    if size > 0:
        return size, Phase.DONE
    line_end = data.find(b"\n", at, at + MAX_LINE_BYTES)
    if line_end < 0:
        too_long = len(data) - at >= MAX_LINE_BYTES
        return 0, Phase.LINE_TOO_LONG if too_long else Phase.TRAILER
    if _TRAILER_LINE.match(data, at) is None:
        return 0, Phase.MALFORMED
    return line_end + 1 - at, Phase.TRAILER
