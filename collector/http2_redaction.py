"""Redaction of one direction of an HTTP/2 connection, read by read.

In: what each read brought, and its position in the direction. Out: the same bytes with secrets
overwritten, to `collector.redaction`; None where the direction does not speak HTTP/2. Nothing is
held back: what a read brings is masked by what is known then.

A direction is known by its preface (a client's) or its first SETTINGS frame (a server's). One that
capture came late to is known by whole frames; the first bytes of such a one may be in the middle
of a header block and pass. Where bytes are missing and the next frame's place is not known, what
comes is zeroed until frames are found again.
"""

from __future__ import annotations

from collector.header_masks import HeaderMasker, Overwrite, Secrets, Span
from collector.http import heads
from collector.http import http2_frames as h2
from collector.http.http2_frames import FrameHead
from collector.protocol import SEARCH_BYTES, begins_request

_MAX_TAILS = 128  # streams whose body may end in a part of a key
_FRAMES_TO_BELIEVE = 2
_BLOCKS = frozenset({h2.HEADERS, h2.PUSH_PROMISE, h2.CONTINUATION})
_PADDED = frozenset({h2.DATA, h2.HEADERS, h2.PUSH_PROMISE})
_NO_FRAME = FrameHead(0, -1, 0, 0)


class NotHttp2(Exception):
    """What looked like frames was something else."""


class FrameMasker:
    """The frames of a direction, from `position` on. `complete`: it begins there.

    `head`: the part of the first frame's head that was read before; `before`: bytes to read
    before it.
    """

    def __init__(
        self, secrets: Secrets, position: int, head: bytes, before: int, *, complete: bool
    ) -> None:
        self._secrets = secrets
        self._headers = HeaderMasker(secrets, complete=complete)
        self._position = position
        self._before = before
        self._head = head  # of a frame's head, the part that came
        self._frame = _NO_FRAME
        self._left = 0  # bytes of the frame that did not come yet
        self._skip = 0  # of them, before its content
        self._pad: int | None = 0  # at its end; None: not known yet
        self._block_stream = 0  # a header block is open
        self._tails: dict[int, bytes] = {}
        self._lost = False
        self._frames_to_believe = 0 if complete else _FRAMES_TO_BELIEVE
        self._writes: list[Overwrite] = []
        self._bodies: dict[int, list[Span]] = {}
        self._ended: list[int] = []
        self._zeroed_bytes = 0
        self.zeroed: Span | None = None  # of the last read, what could not be told to be frames
        self.used = False  # a header block was seen

    @property
    def blanked_bytes(self) -> int:
        """Bytes that were zeroed because what they say could not be told."""
        return self._zeroed_bytes + self._headers.blanked_bytes

    @property
    def in_frame(self) -> bool:
        """Is the next byte, for certain, one of a frame's content?"""
        return self._left > 0 and not self._lost

    def read(self, data: bytes, position: int) -> bytes:
        """Mask one read. Raises NotHttp2 while frames are not yet certain."""
        self._writes, self._bodies, self._ended = [], {}, []
        self.zeroed = None
        if position != self._position:
            self._miss(position - self._position)
        self._position = position + len(data)
        at = min(self._before, len(data))
        self._before -= at
        if at:
            self._bodies[0] = [(0, at)]
        while at < len(data):
            if self._lost:
                at = self._find(data, at)
            elif self._left:
                at = self._content(data, at)
            else:
                at = self._frame_head(data, at)
        if self._block_stream:
            self._writes += self._headers.settle(cut=True)
        for stream, parts in self._bodies.items():
            self._body(stream, data, parts)
        for stream in self._ended:
            self._tails.pop(stream, None)
        if not self._writes:
            return data
        masked = bytearray(data)
        for place, what in self._writes:
            masked[place : place + len(what)] = what
        return bytes(masked)

    # Frames

    def _frame_head(self, data: bytes, at: int) -> int:
        end = at + h2.HEAD_BYTES - len(self._head)
        raw = self._head + data[at:end]
        if len(raw) < h2.HEAD_BYTES:
            self._head = raw
            return len(data)
        self._head = b""
        head = h2.head_at(raw)
        if head is None:
            if self._frames_to_believe:
                raise NotHttp2
            self._lose()
            return at
        self._frame, self._left = head, head.size
        kind, flags = head.kind, head.flags
        self._pad = None if flags & h2.PADDED and kind in _PADDED else 0
        self._skip = 0
        if kind == h2.HEADERS and flags & h2.PRIORITY:
            self._skip = 5
        elif kind == h2.PUSH_PROMISE:
            self._skip = 4
        if self._block_stream or kind in _BLOCKS:
            self._begin_block(head)
        if not self._left:
            self._end_frame()
        return end

    def _begin_block(self, head: FrameHead) -> None:
        self.used = True
        continues = head.kind == h2.CONTINUATION
        if not (continues and self._block_stream == head.stream) and (
            continues or self._block_stream
        ):  # the beginning of this block, or the end of the one before, was not seen
            self._writes += self._headers.settle(cut=False)
            self._headers.lose()
        self._block_stream = head.stream if head.kind in _BLOCKS else 0
        if self._block_stream and not continues:
            self._headers.begin()

    def _content(self, data: bytes, at: int) -> int:
        stop = min(len(data), at + self._left)
        kind = self._frame.kind
        if kind == h2.DATA or kind in _BLOCKS:
            begin = at
            if self._pad is None:
                self._pad = data[at] if data[at] < self._left else 0
                begin += 1
            if self._skip:
                skip = min(self._skip, stop - begin)
                self._skip -= skip
                begin += skip
            end = min(stop, at + self._left - self._pad)
            if begin < end:
                if kind == h2.DATA:
                    self._bodies.setdefault(self._frame.stream, []).append((begin, end))
                else:
                    self._writes += self._headers.fragment(data, begin, end)
        self._left -= stop - at
        if not self._left:
            self._end_frame()
        return stop

    def _end_frame(self) -> None:
        kind, flags = self._frame.kind, self._frame.flags
        if kind in _BLOCKS and flags & h2.END_HEADERS:
            self._writes += self._headers.settle(cut=False)
            self._block_stream = 0
        if kind == h2.RST_STREAM or (kind in (h2.DATA, h2.HEADERS) and flags & h2.END_STREAM):
            self._ended.append(self._frame.stream)
        if self._frames_to_believe:
            self._frames_to_believe -= 1

    def _body(self, stream: int, data: bytes, parts: list[Span]) -> None:
        joined = b"".join([data[start:end] for start, end in parts])
        masked, tail = self._secrets.in_body(self._tails.pop(stream, b""), joined)
        self._tails[stream] = tail
        if len(self._tails) > _MAX_TAILS:
            del self._tails[next(iter(self._tails))]
        if masked is joined:
            return
        at = 0
        for start, end in parts:
            self._writes.append((start, masked[at : at + end - start]))
            at += end - start

    # Holes

    def _miss(self, count: int) -> None:
        """`count` bytes are missing; below 0: bytes come that came before."""
        self._tails.pop(self._frame.stream, None)
        if not 0 < count <= self._left or self._lost:
            self._lose()
            return
        if self._frame.kind in _BLOCKS:
            self._headers.lose()
        self._pad, self._skip = self._pad or 0, max(0, self._skip - count)
        self._left -= count
        if not self._left:
            self._end_frame()

    def _lose(self) -> None:
        if self._block_stream:
            self._writes += self._headers.settle(cut=False)
        self._headers.lose()
        self._block_stream = self._left = 0
        self._frame, self._head = _NO_FRAME, b""
        self._tails.clear()
        self._lost = True

    def _find(self, data: bytes, at: int) -> int:
        found = h2.find_frames(data, at)
        self._lost = found < 0
        end = len(data) if found < 0 else found
        if end > at:
            self._writes.append((at, bytes(end - at)))
            self._zeroed_bytes += end - at
            self.zeroed = (self.zeroed[0] if self.zeroed else at, end)
        return end


class Http2Redaction:
    """One direction of a connection that may speak HTTP/2."""

    __slots__ = ("_blanked_bytes", "_frames", "_opening", "_searched_bytes", "_secrets", "prefaces")

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._frames: FrameMasker | None = None
        self._opening = b""  # earlier reads, while they may be the beginning of a direction
        self._searched_bytes = 0
        self._blanked_bytes = 0
        self.prefaces = 0

    @property
    def blanked_bytes(self) -> int:
        """Bytes that were zeroed because what they say could not be told."""
        return self._blanked_bytes + (self._frames.blanked_bytes if self._frames else 0)

    @property
    def zeroed(self) -> Span | None:
        """The part of the last read that was zeroed, as it could not be told to be frames."""
        return None if self._frames is None else self._frames.zeroed

    def restart(self) -> None:
        """Another connection has begun under the same handle."""
        if self._frames is not None and self._frames.used:
            self._end()

    def _end(self) -> None:
        self._blanked_bytes = self.blanked_bytes
        self._frames, self._opening = None, b""

    def concerns(self, data: bytes, *, http1: bool) -> bool:
        """Is a read to be given to `read`? Quick. `http1`: HTTP/1 was spoken before."""
        if self._frames is not None or self._opening or data[:1] in (b"\0", b"P"):
            return True
        return not http1 and self._searched_bytes <= SEARCH_BYTES and b"\0" in data

    def read(self, data: bytes, position: int, *, http1: bool) -> bytes | None:
        """Mask one read; None when it is not known to be HTTP/2."""
        frames = self._frames
        if frames is not None and not frames.in_frame and data[:1] != b"\0" and _is_http1(data):
            self._end()
            return None
        if frames is None or (data[:1] == b"P" and _is_next(frames, data)):
            frames = self._frames = self._search(data, position, http1=http1)
        if frames is None:
            return None
        try:
            return frames.read(data, position)
        except NotHttp2:
            self._end()
            return None

    def _search(self, data: bytes, position: int, *, http1: bool) -> FrameMasker | None:
        opening, self._opening = self._opening, b""
        begin = opening + data[: len(h2.PREFACE)]
        if begin.startswith(h2.PREFACE):
            self._end()
            self.prefaces += 1
            before = len(h2.PREFACE) - len(opening)
            return FrameMasker(self._secrets, position, b"", before, complete=True)
        settings = h2.begins_direction(begin)
        if settings:
            return FrameMasker(self._secrets, position, opening, 0, complete=True)
        if settings is None or h2.PREFACE.startswith(begin):
            self._opening = begin
            return None
        if http1 or self._searched_bytes > SEARCH_BYTES:
            return None
        self._searched_bytes += len(data)
        found = h2.find_frames(data)
        if found < 0:
            return None
        return FrameMasker(self._secrets, position, b"", found, complete=False)


def _is_next(frames: FrameMasker, data: bytes) -> bool:
    """Does another connection begin here, whatever the last one left open?"""
    if not data.startswith(h2.PREFACE):
        return False
    return not frames.in_frame or bool(h2.begins_direction(data[len(h2.PREFACE) :]))


def _is_http1(data: bytes) -> bool:
    return begins_request(data) or heads.STATUS_LINE.match(data) is not None
