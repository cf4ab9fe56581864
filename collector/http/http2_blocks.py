"""Header blocks of one direction of an HTTP/2 connection, put together from their frames.

In: HEADERS, PUSH_PROMISE and CONTINUATION frames, from `collector.http.http2`. Out: heads,
trailers and promises, as events of `collector.http.http2_messages`.

A block that is not seen whole, is no HPACK or is too long is not read; the table that later
blocks refer to is forgotten then, as far as it is not known. So is the stream of its head.
"""

from __future__ import annotations

from collector.http import http2_frames as h2
from collector.http.hpack_fields import HeaderBlockError, HpackDecoder, RawField
from collector.http.http2_events import HeadRead, Promised, TrailersRead
from collector.http.http2_heads import (
    FieldTexts,
    Mask,
    is_head,
    is_request,
    request_head,
    response_head,
)
from collector.http.http2_messages import Message, Messages
from collector.http.states import SkipReason

MAX_BLOCK_BYTES = 256 << 10  # coded
MAX_LIST_BYTES = 1 << 20  # decoded


class _Block:
    """A block under way. `last`: it ends its message. `broken`: why it cannot be read."""

    __slots__ = (
        "broken",
        "data",
        "first_ns",
        "last",
        "promise",
        "promised",
        "stream",
        "wire_bytes",
    )

    def __init__(self, stream: int, first_ns: int, *, last: bool, promise: bool) -> None:
        self.stream = stream
        self.first_ns = first_ns
        self.last = last
        self.promise = promise
        self.promised = 0  # the stream that a promise is about
        self.data = bytearray()
        self.wire_bytes = 0
        self.broken: str | None = None


class HeaderBlocks:
    """At most one block is under way at a time (RFC 9113 section 4.3)."""

    def __init__(self, messages: Messages, mask: Mask) -> None:
        self._messages = messages
        self._texts = FieldTexts(mask)
        self._hpack = HpackDecoder(complete=False)  # settings may also come in the middle
        self._block: _Block | None = None
        self.framing_bytes = 0  # of promises; whoever counts them sets 0
        self.server_side = False  # heads that the other direction should hold

    @property
    def under_way(self) -> bool:
        """Must the next frame continue a block?"""
        return self._block is not None

    @property
    def wire_bytes(self) -> int:
        """Bytes of the block under way, with its frames' heads."""
        return 0 if self._block is None else self._block.wire_bytes

    def frame(self, kind: int, flags: int, stream: int, first_ns: int, ktime_ns: int) -> None:
        """A frame begins, of any kind."""
        block = self._block
        if block is not None and not (kind == h2.CONTINUATION and block.stream == stream):
            self.lose(SkipReason.BAD_FRAMING, ktime_ns)  # its end is missing
        if kind == h2.CONTINUATION:
            if self._block is None:
                self._hpack.forget()  # its beginning is missing
        elif kind in (h2.HEADERS, h2.PUSH_PROMISE):
            promise = kind == h2.PUSH_PROMISE
            last = not promise and flags & h2.END_STREAM > 0
            self._block = _Block(stream, first_ns, last=last, promise=promise)

    def account(self, count: int) -> bool:
        """Bytes of such frames; False: they belong to no block."""
        if self._block is None:
            return False
        self._block.wire_bytes += count
        return True

    def promises(self, stream: int) -> None:
        """The block under way is about this stream."""
        if self._block is not None:
            self._block.promised = stream

    def spoil(self, reason: str) -> None:
        """A part of the block under way is missing or makes no sense."""
        self._hpack.forget()
        if self._block is not None:
            self._block.broken = reason
            self._block.data.clear()

    def fragment(self, data: bytes, begin: int, end: int) -> None:
        """A part of the block under way."""
        block = self._block
        if block is None or block.broken:
            return
        if len(block.data) + end - begin > MAX_BLOCK_BYTES:
            self.spoil(SkipReason.HEAD_TOO_LONG)
        else:
            block.data += data[begin:end]

    def lose(self, reason: str, ktime_ns: int) -> None:
        """Blocks are missing, and so is the end of the one under way."""
        self.spoil(reason)
        self.finish(ktime_ns)

    def finish(self, ktime_ns: int) -> None:
        """The end of the block under way."""
        block, self._block = self._block, None
        if block is None:
            return
        fields: list[RawField] = []
        if not block.broken:
            try:
                fields = self._hpack.header_list(block.data, MAX_LIST_BYTES)
            except HeaderBlockError as error:
                block.broken = error.reason
        if block.promise:
            self.framing_bytes += block.wire_bytes
            if not block.broken:
                headers = self._texts(fields)
                promise = Promised(block.stream, ktime_ns, block.promised, headers)
                self._messages.events.append(promise)
            return
        message = self._messages.open.get(block.stream)
        if message is None:
            self._first(block, fields, ktime_ns)
        else:
            self._next(block, fields, message, ktime_ns)
        if block.last:
            self._messages.end(block.stream, ktime_ns)

    def _first(self, block: _Block, fields: list[RawField], ktime_ns: int) -> None:
        """A block of a stream of which no message is open."""
        messages, stream = self._messages, block.stream
        reason = messages.why_skipped(stream)
        if reason is None and not block.broken and is_request(fields) is (not messages.requests):
            self.server_side = True
            reason = SkipReason.SERVER_SIDE
            messages.skip_stream(stream, reason)
        if reason is None and (block.broken or not is_head(fields, last=block.last)):
            reason = messages.miss_head(stream, ktime_ns, block.broken)
        if reason is None:
            message = messages.begin(stream, ktime_ns)
            message.wire_bytes = block.wire_bytes
            self._tell_head(block, fields, message, ktime_ns)
        else:
            messages.skip(reason, block.wire_bytes, ktime_ns)

    def _next(self, block: _Block, fields: list[RawField], message: Message, ktime_ns: int) -> None:
        message.wire_bytes += block.wire_bytes
        if block.broken:
            message.damaged = True
        elif not message.begun:
            self._tell_head(block, fields, message, ktime_ns)
        elif block.last and is_request(fields) is None:  # else the first one was interim
            trailers = TrailersRead(block.stream, ktime_ns, self._texts(fields))
            self._messages.events.append(trailers)

    def _tell_head(
        self, block: _Block, fields: list[RawField], message: Message, ktime_ns: int
    ) -> None:
        headers = self._texts(fields)
        if self._messages.requests:
            message.begun = True
            head = HeadRead(
                block.stream, block.first_ns, request_head(ktime_ns, headers), message.wire_bytes
            )
        else:
            answer = response_head(ktime_ns, headers)
            message.begun = not 100 <= answer.status < 200
            head = HeadRead(block.stream, block.first_ns, answer, message.wire_bytes)
        self._messages.events.append(head)
