"""Reads one direction of an HTTP/2 connection (RFC 9113) as a bystander.

In: the bytes of one direction in order (`feed`), holes in them (`gap`) and the end (`close`).
Out: `collector.http.http2_events`, to `collector.http2_exchanges`. A bystander cannot refuse:
limits that the peers agreed on and flow control are left to them.

    BEGINNING -> FRAMES            a client's preface or a server's first SETTINGS were seen
    BEGINNING -> SEARCHING         capture came late
    FRAMES -> SEARCHING -> FRAMES  bytes are missing, so that the next frame's place is not known

Content of DATA frames is told as it comes, without waiting for the rest of its frame. A hole
inside a frame's payload costs that frame alone. Any other hole ends all messages that are open,
and what still comes of them is skipped; new streams are whole again. Entries of the header table
from before are not known then (`collector.http.hpack_fields`).

Every byte fed is in exactly one `MessageEnd.wire_bytes` (HEADERS, CONTINUATION and DATA frames of
a message), `Skipped.length` or in `take_framing`, or still pending.
"""

from __future__ import annotations

from enum import Enum, auto
from struct import Struct

from collector.http import http2_frames as h2
from collector.http.events import MessageEnd
from collector.http.http2_blocks import HeaderBlocks
from collector.http.http2_events import DataLost, DataRead, Http2Event, StreamReset, WentAway
from collector.http.http2_heads import Mask
from collector.http.http2_messages import Messages
from collector.http.states import SkipReason

_HEAD = Struct(">BHBBL")
_BLOCKS = frozenset({h2.HEADERS, h2.PUSH_PROMISE, h2.CONTINUATION})
_PADDED = frozenset({h2.DATA, h2.HEADERS, h2.PUSH_PROMISE})
_FRAMING = frozenset(
    {h2.STREAM_PRIORITY, h2.RST_STREAM, h2.SETTINGS, h2.PING, h2.GOAWAY, h2.WINDOW_UPDATE}
)
_BEFORE_CONTENT = {h2.PUSH_PROMISE: 4, h2.RST_STREAM: 4, h2.GOAWAY: 8}
_PRIORITY_BYTES = 5


class _State(Enum):
    BEGINNING = auto()
    FRAMES = auto()
    SEARCHING = auto()
    CLOSED = auto()


class Http2Reader:
    """`requests`: the direction that the client sends. `mask` takes secrets out of values."""

    def __init__(self, *, requests: bool, mask: Mask) -> None:
        self._requests = requests
        self._state = _State.BEGINNING
        self._messages = Messages(requests=requests)
        self._blocks = HeaderBlocks(self._messages, mask)
        self._reason = SkipReason.JOINED_LATE  # why frames are searched for
        self._held = b""  # of a preface or a frame's head, the part that came
        self._held_ns = 0
        # The frame that is being read
        self._kind = self._flags = self._stream = 0
        self._left = 0  # bytes of its payload that did not come yet
        self._content = 0  # of them, those of its content: without what is before it, and padding
        self._before = 0  # bytes before its content that did not come yet
        self._fields = b""  # those that came
        self._framing_bytes = 0
        self.late = False  # its beginning was not seen

    @property
    def server_side(self) -> bool:
        """Does it hold heads that the other direction should?"""
        return self._blocks.server_side

    @property
    def in_frame(self) -> bool:
        """Is the next byte, for certain, inside a frame?"""
        return self._left > 0 or (self._state is _State.FRAMES and bool(self._held))

    @property
    def pending_bytes(self) -> int:
        """Bytes fed that nothing has told of yet."""
        messages = sum(message.wire_bytes for message in self._messages.open.values())
        return len(self._held) + self._blocks.wire_bytes + messages

    def take_framing(self) -> int:
        """Bytes that belong to the connection, since the last call."""
        count = self._framing_bytes + self._blocks.framing_bytes
        self._framing_bytes = self._blocks.framing_bytes = 0
        return count

    def wire_bytes(self, stream: int) -> int | None:
        """Bytes so far of an open message; None: it is not open."""
        message = self._messages.open.get(stream)
        return None if message is None else message.wire_bytes

    def drop(self, stream: int, ktime_ns: int) -> MessageEnd | None:
        """End a message; what still comes of its stream is skipped. None: it is not open."""
        return self._messages.drop(stream, ktime_ns)

    def feed(self, data: bytes, ktime_ns: int) -> list[Http2Event]:
        """Take bytes; what they tell."""
        events: list[Http2Event] = []
        self._messages.events = events
        if not data:
            return events
        at = 0 if self._state is _State.FRAMES else self._begin(data, ktime_ns)
        end = len(data)
        while at < end:
            if self._left:
                at = self._payload(data, at, ktime_ns)
            elif self._state is _State.SEARCHING:
                at = self._search(data, at, ktime_ns)
            elif self._held or end - at < h2.HEAD_BYTES:
                at = self._cut_head(data, at, ktime_ns)
            else:
                at = self._data_frames(data, at, ktime_ns)
                if end - at >= h2.HEAD_BYTES:
                    at = self._head(data, at, ktime_ns, ktime_ns)
        return events

    def gap(self, length: int, ktime_ns: int) -> list[Http2Event]:
        """`length` bytes are missing here."""
        events: list[Http2Event] = []
        self._messages.events = events
        if length <= 0 or self._state is _State.CLOSED:
            return events
        if self._state is _State.FRAMES and length <= self._left:
            self._miss_payload(length, ktime_ns)
        else:
            message = self._messages.open.get(self._stream) if self._left else None
            if message is not None and self._kind == h2.DATA:
                message.lost_bytes += self._left
            self._lose(SkipReason.GAP, ktime_ns)
        return events

    def close(self, ktime_ns: int) -> list[Http2Event]:
        """Nothing follows."""
        events: list[Http2Event] = []
        self._messages.events = events
        if self._state is not _State.CLOSED:
            self._lose(SkipReason.CLOSED, ktime_ns)
            self._state = _State.CLOSED
        return events

    # Where frames begin

    def _begin(self, data: bytes, ktime_ns: int) -> int:
        """How many bytes of `data` are read, while frames are not in step yet."""
        if self._state is _State.CLOSED:
            self._messages.skip(SkipReason.CLOSED, len(data), ktime_ns)
            return len(data)
        if self._state is _State.SEARCHING:
            return 0
        held = self._held
        if not held:
            self._held_ns = ktime_ns
        begin = held + data[: len(h2.PREFACE)]
        if self._requests:
            known = begin.startswith(h2.PREFACE)
            if not known and h2.PREFACE.startswith(begin):
                self._held = begin
                return len(data)
        else:
            told = h2.begins_direction(begin)
            if told is None:
                self._held = begin
                return len(data)
            known = told
        if known:
            self._state = _State.FRAMES
            if not self._requests:
                return 0
            self._held = b""
            self._framing_bytes += len(h2.PREFACE)
            return len(h2.PREFACE) - len(held)
        self.late = True
        self._lose(SkipReason.JOINED_LATE, ktime_ns)
        return 0

    def _search(self, data: bytes, at: int, ktime_ns: int) -> int:
        found = h2.find_frames(data, at, certain=True)
        if found < 0:
            found = len(data)
        else:
            self._state = _State.FRAMES
        self._messages.skip(self._reason, found - at, ktime_ns)
        return found

    def _lose(self, reason: str, ktime_ns: int) -> None:
        """The place of the next frame is not known."""
        self._messages.skip(reason, len(self._held), ktime_ns)
        self._held = b""
        self._left = self._content = self._before = 0
        self._blocks.lose(reason, ktime_ns)
        self._messages.lose(reason, ktime_ns)
        self._reason = reason
        self._state = _State.SEARCHING

    # Frames

    def _data_frames(self, data: bytes, at: int, ktime_ns: int) -> int:
        """Whole DATA frames of open messages, which are most of all frames; where they end."""
        if self._blocks.under_way:
            return at
        end, messages, events = len(data), self._messages.open, self._messages.events
        unpack = _HEAD.unpack_from
        parts: list[bytes] = []
        last = 0  # frames of one stream that follow each other are told as one
        while end - at >= h2.HEAD_BYTES:
            high, low, kind, flags, stream = unpack(data, at)
            if kind or flags & h2.PADDED:
                break
            message = messages.get(stream)
            begin = at + h2.HEAD_BYTES
            stop = begin + (high << 16 | low)
            if message is None or stop > end:
                break
            if stream != last:
                if parts:
                    events.append(DataRead(last, ktime_ns, b"".join(parts)))
                last, parts = stream, []
            if stop > begin:
                parts.append(data[begin:stop])
            message.wire_bytes += stop - at
            at = stop
            if flags & h2.END_STREAM:
                if parts:
                    events.append(DataRead(stream, ktime_ns, b"".join(parts)))
                last, parts = 0, []
                self._messages.end(stream, ktime_ns)
        if parts:
            events.append(DataRead(last, ktime_ns, b"".join(parts)))
        return at

    def _cut_head(self, data: bytes, at: int, ktime_ns: int) -> int:
        """A head that two reads share, or that the end of `data` cuts."""
        if not self._held:
            self._held_ns = ktime_ns
        end = at + h2.HEAD_BYTES - len(self._held)
        self._held += data[at:end]
        if len(self._held) < h2.HEAD_BYTES:
            return len(data)
        raw, self._held = self._held, b""
        self._head(raw, 0, self._held_ns, ktime_ns)
        return end

    def _head(self, data: bytes, at: int, first_ns: int, ktime_ns: int) -> int:
        head = h2.head_at(data, at)
        if head is None:
            self._lose(SkipReason.RESYNC, ktime_ns)
            if len(data) == h2.HEAD_BYTES:
                self._messages.skip(SkipReason.RESYNC, h2.HEAD_BYTES, ktime_ns)
                return at + h2.HEAD_BYTES
            return at
        size, kind, flags, stream = head
        self._kind, self._flags, self._stream, self._left = kind, flags, stream, size
        self._fields = b""
        before = _BEFORE_CONTENT.get(kind, 0)
        if kind in _PADDED:
            before += flags & h2.PADDED > 0
        if kind == h2.HEADERS and flags & h2.PRIORITY:
            before += _PRIORITY_BYTES
        self._before = min(before, size)
        self._content = size - before if kind == h2.DATA or kind in _BLOCKS else 0
        if kind in _BLOCKS or self._blocks.under_way:
            self._blocks.frame(kind, flags, stream, first_ns, ktime_ns)
        self._check_content()
        self._account(h2.HEAD_BYTES, ktime_ns)
        if not size:
            self._end_frame(ktime_ns)
        return at + h2.HEAD_BYTES

    def _payload(self, data: bytes, at: int, ktime_ns: int) -> int:
        begin, stop = at, min(len(data), at + self._left)
        self._left -= stop - at
        if self._before:
            count = min(self._before, stop - at)
            self._fields += data[at : at + count]
            self._before -= count
            at += count
            if not self._before:
                self._know_padding()
        if self._content and at < stop:
            count = min(self._content, stop - at)
            self._content -= count
            if self._kind != h2.DATA:
                self._blocks.fragment(data, at, at + count)
            elif self._stream in self._messages.open:
                self._messages.events.append(
                    DataRead(self._stream, ktime_ns, data[at : at + count])
                )
        self._account(stop - begin, ktime_ns)
        if not self._left:
            self._end_frame(ktime_ns)
        return stop

    def _know_padding(self) -> None:
        if self._kind in _PADDED and self._flags & h2.PADDED:
            self._content -= self._fields[0]
            self._check_content()
        if self._kind == h2.PUSH_PROMISE:
            self._blocks.promises(int.from_bytes(self._fields[-4:], "big") & 0x7FFFFFFF)

    def _check_content(self) -> None:
        """More padding than payload: there is no content."""
        if self._content < 0:
            self._content = 0
            if self._kind != h2.DATA:
                self._blocks.spoil(SkipReason.BAD_HEADERS)

    def _account(self, count: int, ktime_ns: int) -> None:
        """Bytes of the frame at hand."""
        if self._kind == h2.DATA:
            message = self._messages.open.get(self._stream)
            if message is not None:
                message.wire_bytes += count
                return
            reason = self._messages.miss_head(self._stream, ktime_ns)
            self._messages.skip(reason, count, ktime_ns)
        elif self._kind in _FRAMING:
            self._framing_bytes += count
        elif self._kind not in _BLOCKS:
            self._messages.skip(SkipReason.UNKNOWN_FRAME, count, ktime_ns)
        elif not self._blocks.account(count):
            self._messages.skip(SkipReason.BAD_FRAMING, count, ktime_ns)

    def _end_frame(self, ktime_ns: int) -> None:
        kind, stream = self._kind, self._stream
        if kind == h2.DATA:
            if self._flags & h2.END_STREAM:
                self._messages.end(stream, ktime_ns)
        elif kind in _BLOCKS:
            if self._flags & h2.END_HEADERS:
                self._blocks.finish(ktime_ns)
        elif kind == h2.RST_STREAM:
            self._messages.reset(stream, ktime_ns)
            code = int.from_bytes(self._fields, "big") if len(self._fields) == 4 else None
            self._messages.events.append(StreamReset(stream, ktime_ns, code))
        elif kind == h2.GOAWAY and len(self._fields) == 8:
            last = int.from_bytes(self._fields[:4], "big") & 0x7FFFFFFF
            code = int.from_bytes(self._fields[4:], "big")
            self._messages.events.append(WentAway(ktime_ns, last, code))

    def _miss_payload(self, length: int, ktime_ns: int) -> None:
        """Bytes are missing, and the next frame's place is known."""
        self._left -= length
        if self._kind == h2.DATA:
            message = self._messages.open.get(self._stream)
            if message is not None:
                message.lost_bytes += length
                self._messages.events.append(DataLost(self._stream, ktime_ns, length))
            # Where padding begins is not known if its length is missing.
            self._content = 0 if self._before else max(0, self._content - length)
        elif self._kind in _BLOCKS:
            self._blocks.spoil(SkipReason.GAP)
            self._content = 0
        self._before = 0
        if not self._left:
            self._end_frame(ktime_ns)
