"""Reads one direction of a WebSocket (RFC 6455), compressed or not (RFC 7692).

In: the bytes behind the response that opened it. Out: messages, control frames and what had to
be skipped, to `collector.websocket`.

Bytes lost inside a frame leave the place of the next one known. Bytes lost elsewhere, and a frame
that cannot be one, do not: the direction is searched (`collector.http.websocket_search`).
"""

from __future__ import annotations

from typing import NamedTuple

from collector.http.events import Skipped
from collector.http.websocket_deflate import Inflater
from collector.http.websocket_messages import DataFrame, Message, MessageJoiner
from collector.http.websocket_search import (
    CLOSE,
    MASKED,
    MAX_CONTROL_BYTES,
    FrameSearch,
    first_bytes,
)

MESSAGE_LIMIT_BYTES = 64 << 20
_MAX_INVALID_FRAMES = 32  # then the direction is given up
_CONTROL = 0x08
_UNMASK_BYTES = 4096  # at once: integers of this size stay in the processor's first cache


class Control(NamedTuple):
    """A ping, pong or close frame; its payload is empty when bytes of it are missing."""

    ktime_ns: int
    opcode: int
    payload: bytes
    wire_bytes: int


FrameEvent = Message | Control | Skipped


def unmask(payload: bytes, mask: bytes) -> bytes:
    """Undo the masking of a client's frame (RFC 6455, 5.3)."""
    size = len(payload)
    if size <= _UNMASK_BYTES:
        key = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
        return (int.from_bytes(payload, "little") ^ key).to_bytes(size, "little")
    key = int.from_bytes(mask * (_UNMASK_BYTES // 4), "little")
    pieces = [
        (int.from_bytes(payload[at : at + _UNMASK_BYTES], "little") ^ key).to_bytes(
            _UNMASK_BYTES, "little"
        )
        for at in range(0, size - _UNMASK_BYTES + 1, _UNMASK_BYTES)
    ]
    pieces.append(unmask(payload[size - size % _UNMASK_BYTES :], mask))
    return b"".join(pieces)


class FrameReader:
    """One direction; a message may have `limit_bytes` on the wire and as many decompressed.

    `inflater`: None when compression was not agreed. `any_rsv`: an extension that is not known
    was.
    """

    def __init__(
        self,
        inflater: Inflater | None,
        *,
        any_rsv: bool = False,
        limit_bytes: int = MESSAGE_LIMIT_BYTES,
    ) -> None:
        self._limit_bytes = limit_bytes
        self._valid = first_bytes(deflate=inflater is not None, any_rsv=any_rsv)
        self._messages = MessageJoiner(inflater, limit_bytes)
        self._masked: bool | None = None  # as the last frame was
        self._head = b""  # of the next frame, while it is not whole
        self._began_ns = 0  # the frame that is being read
        self._first = 0
        self._mask = b""
        self._left = 0  # of its payload
        self._pieces: list[bytes] | None = None  # None: they are not kept, for this reason
        self._reason: str | None = None
        self._frame_bytes = self._lost_bytes = 0
        self._search: FrameSearch | None = None
        self._skip_reason = ""  # why it is searched
        self._invalid_frames = 0
        self.closed = False  # nothing follows: a close frame came, or it was given up

    @property
    def pending_bytes(self) -> int:
        """Bytes that no event has told of yet."""
        if self._search is not None:
            return self._search.held_bytes
        frame = self._frame_bytes if self._left else len(self._head)
        return frame + self._messages.pending_bytes

    def feed(self, data: bytes, ktime_ns: int) -> list[FrameEvent]:
        """Take bytes. Never raises."""
        events: list[FrameEvent] = []
        self._read(data, ktime_ns, events)
        return events

    def gap(self, length: int, ktime_ns: int) -> list[FrameEvent]:
        """Note bytes that exist and were not delivered."""
        events: list[FrameEvent] = []
        if self.closed or length <= 0:
            return events
        if length <= self._left:
            self._keep_nothing("gap")
            self._left -= length
            self._lost_bytes += length
            if not self._left:
                self._frame_ended(ktime_ns, events)
            return events
        if self._search is not None:
            events.append(Skipped(ktime_ns, self._search.clear(), self._skip_reason))
        seen = self.pending_bytes
        lost_bytes = length + (self._lost_bytes if self._left else 0)
        under_way = self._messages.cut("gap", ktime_ns)
        first_ns = self._began_ns if seen else ktime_ns
        for message in under_way:
            first_ns = message.first_ns
            lost_bytes += message.lost_bytes
        events.append(Message(first_ns, ktime_ns, False, None, seen, lost_bytes, "gap", True))
        self._lose_place("gap")
        return events

    def close(self, ktime_ns: int) -> list[FrameEvent]:
        """Note the end of the direction."""
        events: list[FrameEvent] = []
        if self._search is not None:
            events.append(Skipped(ktime_ns, self._search.clear(), self._skip_reason))
        elif self._left and not self._first & _CONTROL:
            self._keep_nothing("cut")
            self._frame_ended(ktime_ns, events)
        elif self._left or self._head:
            pending = self._frame_bytes if self._left else len(self._head)
            events.append(Skipped(ktime_ns, pending, "cut"))
        events += self._messages.cut("cut", ktime_ns)
        self._head, self._left, self._search = b"", 0, None
        self.closed = True
        return events

    # Frames

    def _read(self, data: bytes, ktime_ns: int, events: list[FrameEvent]) -> None:
        at, end = 0, len(data)
        while at < end:
            if self._search is not None or self.closed:
                self._pass_over(data[at:], ktime_ns, events)
                return
            if self._left:
                at += self._take_payload(data, at, ktime_ns, events)
                continue
            if self._head:
                data, self._head = self._head + data[at:], b""
                at, end = 0, len(data)
            else:
                self._began_ns = ktime_ns
            first = data[at]
            if first not in self._valid:
                self._invalid(data[at:], ktime_ns, events)
                return
            if end - at < 2:
                self._head = data[at:]
                return
            second = data[at + 1]
            length, start = second & 0x7F, at + 2
            if length > MAX_CONTROL_BYTES:
                start += 2 if length == 126 else 8
                length = int.from_bytes(data[at + 2 : start], "big")
                if first & _CONTROL or length >> 63:
                    self._invalid(data[at:], ktime_ns, events)
                    return
            mask = b""
            if second & MASKED:
                mask = data[start : start + 4]
                start += 4
            if start > end:
                self._head = data[at:]
                return
            self._masked = second >= MASKED
            stop = start + length
            if stop <= end and length <= self._limit_bytes:
                payload = data[start:stop]
                if mask:
                    payload = unmask(payload, mask)
                self._frame(first, payload, stop - at, ktime_ns, events)
                at = stop
                continue
            self._first, self._mask, self._left = first, mask, length
            self._frame_bytes, self._lost_bytes = start - at, 0
            self._pieces, self._reason = [], None
            if length + self._messages.kept_bytes > self._limit_bytes:
                self._keep_nothing("too_long")
            at = start

    def _take_payload(self, data: bytes, at: int, ktime_ns: int, events: list[FrameEvent]) -> int:
        taken = min(self._left, len(data) - at)
        if self._pieces is not None:
            self._pieces.append(data[at : at + taken])
        self._frame_bytes += taken
        self._left -= taken
        if not self._left:
            self._frame_ended(ktime_ns, events)
        return taken

    def _frame_ended(self, ktime_ns: int, events: list[FrameEvent]) -> None:
        payload = None
        if self._pieces is not None:
            payload = b"".join(self._pieces)
            self._pieces = None
            if self._mask:
                payload = unmask(payload, self._mask)
        self._frame(self._first, payload, self._frame_bytes, ktime_ns, events)

    def _keep_nothing(self, reason: str) -> None:
        if self._pieces is not None:
            self._reason = reason
        self._pieces = None

    def _frame(
        self,
        first: int,
        payload: bytes | None,
        wire_bytes: int,
        ktime_ns: int,
        events: list[FrameEvent],
    ) -> None:
        """A frame is over; `payload` is None when it was not kept."""
        if first & _CONTROL:
            opcode = first & 0x0F
            events.append(Control(ktime_ns, opcode, payload or b"", wire_bytes))
            if opcode == CLOSE:
                events += self._messages.cut("cut", ktime_ns)
                self.closed, self._skip_reason = True, "after_close"
        elif payload is not None:
            events += self._messages.frame(
                DataFrame(self._began_ns, ktime_ns, first, payload, wire_bytes)
            )
        else:
            events += self._messages.frame(
                DataFrame(
                    *(self._began_ns, ktime_ns, first, None, wire_bytes),
                    *(self._lost_bytes, self._reason),
                )
            )

    # Loss

    def _invalid(self, rest: bytes, ktime_ns: int, events: list[FrameEvent]) -> None:
        events += self._messages.cut("broken", ktime_ns)
        self._lose_place("invalid_frame")
        self._invalid_frames += 1
        if self._invalid_frames > _MAX_INVALID_FRAMES:
            self._search = None
            self.closed = True
        self._pass_over(rest, ktime_ns, events)

    def _lose_place(self, reason: str) -> None:
        self._head, self._left = b"", 0
        self._pieces = None
        self._skip_reason = reason
        self._search = FrameSearch(self._valid, self._masked)
        self._messages.lose()

    def _pass_over(self, data: bytes, ktime_ns: int, events: list[FrameEvent]) -> None:
        search = self._search
        if search is None:
            events.append(Skipped(ktime_ns, len(data), self._skip_reason))
            return
        passed = search.feed(data, ktime_ns)
        if passed:
            events.append(Skipped(ktime_ns, passed, self._skip_reason))
        if search.found is not None:
            self._search = None
            for piece, at_ns in search.found:
                self._read(piece, at_ns, events)
