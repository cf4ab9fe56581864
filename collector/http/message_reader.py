"""What the readers of both directions of an HTTP/1.1 connection share.

In: the bytes of one direction in order (`feed`), holes in them (`gap`) and the end (`close`).
Out: `collector.http.events`, by way of `collector.http.http1`. A bystander cannot ask for a
resend and cannot refuse: what is not understood is `Skipped` with a reason, and reading starts
again at the next thing that looks like a start line.

A reader is in one `State`. `_READ` maps it to the method that reads the front of the buffer:
the method appends events and returns True for "call the next state's", False for "need more".

    IDLE -> START -> HEAD -> LENGTH | CHUNKED | UNTIL_CLOSE -> IDLE    in step with the peers
                     HEAD -> DOUBTFUL -> LENGTH | UNTIL_CLOSE | IDLE   an answer to who knows what
    START -> RESYNC -> START                                           in search of a start line
    any -> UPGRADED | CLOSED                                           for good

Every byte fed is in exactly one `MessageEnd.wire_bytes`, `Skipped.length` or `Passed.data`, or
still pending.
An interim response head and blank lines before a message count into the message that follows.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from collector.http.chunked import ChunkedBody, Phase
from collector.http.events import (
    BodyData,
    Headers,
    HttpEvent,
    MessageEnd,
    Passed,
    Skipped,
    Upgraded,
)
from collector.http.heads import STATUS_BEGIN, STATUS_BEGIN_BYTES, Framing, header_fields
from collector.http.receive_buffer import ReceiveBuffer
from collector.http.states import BODY_STATES, SkipReason, State

MAX_HEAD_BYTES = 256 * 1024
DECISION_BYTES = 64  # a start line that still looks right after so many bytes is taken for one

_BLANK_LINES = re.compile(rb"(?:\r?\n)+")
_CR = 0x0D


class MessageReader(ABC):
    """Reads messages whose start line a subclass knows."""

    _start_line: ClassVar[re.Pattern[bytes]]  # its groups are what `_begin` gets as `start`
    _certain_start_line: ClassVar[re.Pattern[bytes]]  # the same, where sync was lost
    _candidate: ClassVar[re.Pattern[bytes]]  # ends where a start line might begin

    def __init__(self) -> None:
        self._buffer = ReceiveBuffer()
        self._state = State.IDLE
        self._in_step = True  # with the sender: where a message ends, the next begins
        self._looks_like_http: bool | None = None
        self._skip_reason = SkipReason.NOT_HTTP  # of the bytes skipped when sync is lost
        self._fed_bytes = 0  # by the feed() being read
        self._wire_bytes = 0  # read, and not yet in a MessageEnd or Skipped
        self._lost_bytes = 0  # of the message being read
        self._start_parts: tuple[str, ...] = ()  # groups of the start line of the head read
        self._remaining = 0  # of a body in state LENGTH
        self._chunks = ChunkedBody()
        self._doubted = State.UNTIL_CLOSE  # how the body is read if state DOUBTFUL finds one

    @property
    def pending_bytes(self) -> int:
        """Bytes fed that no `MessageEnd` or `Skipped` has accounted for yet."""
        return self._wire_bytes + len(self._buffer)

    @property
    def in_step(self) -> bool:
        """Is it known where the next message begins?"""
        return self._in_step

    @property
    def looks_like_http(self) -> bool | None:
        """Do the first bytes fed begin an HTTP/1 message? None: not known yet.

        False turns True when a start line is found later. It stays None when bytes were lost
        first, as those that follow may stand anywhere in a message.
        """
        return self._looks_like_http

    def feed(self, data: bytes, ktime_ns: int) -> list[HttpEvent]:
        """Read bytes that a TLS call delivered at `ktime_ns`."""
        events: list[HttpEvent] = []
        buffer = self._buffer
        if self._state is State.RESYNC and not buffer:
            self._state = State.START  # a start line most often begins what one TLS call sends
        self._fed_bytes = len(data)
        buffer.append(data)
        while buffer and self._READ[self._state](self, events, ktime_ns):
            pass
        return events

    def gap(self, length: int, ktime_ns: int) -> list[HttpEvent]:
        """Note that the next `length` bytes are lost.

        A message goes on when they all lie in its known body. Otherwise it ends incomplete;
        which messages follow is then unknown, also to `next_method`.
        """
        events: list[HttpEvent] = []
        state = self._state
        if length <= 0 or state in (State.UPGRADED, State.CLOSED):
            return events
        if state in BODY_STATES:
            known = self._known_remaining(length)
            self._lost_bytes += min(length, known)
            if length <= known:
                if state is State.CHUNKED:
                    self._chunks.lose(length)
                elif state is State.LENGTH:
                    self._remaining -= length
                    if not self._remaining:
                        self._end(events, ktime_ns)
                return events
            self._cut(events, ktime_ns)
        self._flush(events, ktime_ns, SkipReason.GAP)
        self._seek(SkipReason.GAP)
        return events

    def close(self, ktime_ns: int) -> list[HttpEvent]:
        """Note that the connection closed. Ends a body that lasts until then; cuts others."""
        events: list[HttpEvent] = []
        if self._state is State.DOUBTFUL:
            self._state = self._doubted
            if self._buffer:
                self._READ[self._state](self, events, ktime_ns)
        if self._state is State.UNTIL_CLOSE:
            self._end(events, ktime_ns)
        elif self._state in BODY_STATES:
            self._cut(events, ktime_ns)
        self._flush(events, ktime_ns, SkipReason.CLOSED)
        self._state = State.CLOSED
        return events

    def upgrade(self, protocol: str, ktime_ns: int) -> list[HttpEvent]:
        """Note that the connection left HTTP/1.1, when the other direction said so."""
        events: list[HttpEvent] = []
        if self._state in (State.UPGRADED, State.CLOSED):
            return events
        if self._state in BODY_STATES:
            self._cut(events, ktime_ns)
        events.append(Upgraded(ktime_ns, protocol))
        self._state = State.UPGRADED
        if self._wire_bytes:
            events.append(Skipped(ktime_ns, self._wire_bytes, SkipReason.UPGRADED))
            self._wire_bytes = 0
        if self._buffer:
            self._read_upgraded(events, ktime_ns)
        return events

    # -- readers, one per state: True for "go on", False for "need more" -----------------------

    def _read_idle(self, _events: list[HttpEvent], _ktime_ns: int) -> bool:
        buffer = self._buffer
        blank = _BLANK_LINES.match(buffer.data, buffer.start)
        if blank is not None:
            self._consume(blank.end() - blank.start())
        if not buffer or (len(buffer) == 1 and buffer.data[buffer.start] == _CR):
            return False
        self._state = State.START
        return True

    def _read_start(self, events: list[HttpEvent], ktime_ns: int) -> bool:
        buffer = self._buffer
        if buffer.line_end(MAX_HEAD_BYTES) >= 0:
            line = self._match_start_line(0)
            if line is not None:
                self._looks_like_http = True
                self._skip_reason = SkipReason.RESYNC
                self._start_parts = tuple(part.decode("latin-1") for part in line.groups(b""))
                self._in_step = True
                self._state = State.HEAD
                return True
        elif self._may_begin_at(0):
            if len(buffer) >= DECISION_BYTES:
                self._looks_like_http = True
            if len(buffer) < MAX_HEAD_BYTES:
                return False
            self._skip_reason = SkipReason.HEAD_TOO_LONG
        if self._looks_like_http is None and self._skip_reason == SkipReason.NOT_HTTP:
            self._looks_like_http = False
        self._lose_sync(events, ktime_ns)
        return True

    def _read_resync(self, events: list[HttpEvent], ktime_ns: int) -> bool:
        buffer = self._buffer
        found = self._candidate.search(buffer.data, buffer.start)
        at = -1 if found is None else found.end() - buffer.start
        feed_begin = len(buffer) - self._fed_bytes
        if feed_begin > 0 and (at < 0 or feed_begin < at) and self._may_begin_at(feed_begin):
            at = feed_begin
        if at < 0:
            skipped = len(buffer) - buffer.data.endswith(b"\r")
        else:
            skipped = at
            self._state = State.START
        if skipped:
            buffer.skip(skipped)
            events.append(Skipped(ktime_ns, skipped, self._skip_reason))
        return at >= 0

    def _read_head(self, events: list[HttpEvent], ktime_ns: int) -> bool:
        size = self._buffer.head_end(MAX_HEAD_BYTES)
        if size >= 0:
            self._wire_bytes += size
            headers = header_fields(self._buffer.take(size))
            self._begin(self._start_parts, headers, events, ktime_ns)
            return True
        if len(self._buffer) < MAX_HEAD_BYTES:
            return False
        self._skip_reason = SkipReason.HEAD_TOO_LONG
        self._lose_sync(events, ktime_ns)
        return True

    def _read_doubtful(self, events: list[HttpEvent], ktime_ns: int) -> bool:
        buffer = self._buffer
        if STATUS_BEGIN.match(buffer.data, buffer.start) is not None:
            self._end(events, ktime_ns)
        elif len(buffer) < STATUS_BEGIN_BYTES and self._may_begin_at(0):
            return False
        else:
            self._state = self._doubted
        return True

    def _read_length(self, events: list[HttpEvent], ktime_ns: int) -> bool:
        data = self._buffer.take(min(self._remaining, len(self._buffer)))
        self._wire_bytes += len(data)
        self._remaining -= len(data)
        events.append(BodyData(ktime_ns, data))
        if not self._remaining:
            self._end(events, ktime_ns)
        return True

    def _read_chunked(self, events: list[HttpEvent], ktime_ns: int) -> bool:
        chunks, before = self._chunks, len(self._buffer)
        data = chunks.read(self._buffer)
        self._wire_bytes += before - len(self._buffer)
        if data:
            events.append(BodyData(ktime_ns, data))
        if chunks.phase is Phase.DONE:
            self._end(events, ktime_ns)
            return True
        if chunks.phase is Phase.MALFORMED:
            self._end(events, ktime_ns, complete=False)
            self._seek(SkipReason.BAD_CHUNK)
            return True
        if chunks.phase is Phase.LINE_TOO_LONG:
            self._end(events, ktime_ns, complete=False)
            self._seek(SkipReason.CHUNK_LINE_TOO_LONG)
            return True
        return False

    def _read_until_close(self, events: list[HttpEvent], ktime_ns: int) -> bool:
        data = self._buffer.take(len(self._buffer))
        self._wire_bytes += len(data)
        events.append(BodyData(ktime_ns, data))
        return False

    def _read_upgraded(self, events: list[HttpEvent], ktime_ns: int) -> bool:
        events.append(Passed(ktime_ns, self._buffer.take(len(self._buffer))))
        return False

    def _read_closed(self, events: list[HttpEvent], ktime_ns: int) -> bool:
        self._flush(events, ktime_ns, SkipReason.CLOSED)
        return False

    # -- steps between states ------------------------------------------------------------------

    @abstractmethod
    def _begin(
        self, start: tuple[str, ...], headers: Headers, events: list[HttpEvent], ktime_ns: int
    ) -> None:
        """Yield the head and choose the state that reads what follows it."""

    @abstractmethod
    def _may_begin(self, prefix: bytes) -> bool:
        """Could a start line begin with `prefix`, which holds no LF?"""

    def _begin_body(self, framing: int | Framing, events: list[HttpEvent], ktime_ns: int) -> None:
        if framing is Framing.CHUNKED:
            self._chunks = ChunkedBody()
            self._state = State.CHUNKED
        elif framing is Framing.UNTIL_CLOSE:
            self._state = State.UNTIL_CLOSE
        elif framing == 0:
            self._end(events, ktime_ns)
        elif isinstance(framing, int):
            self._remaining = framing
            self._state = State.LENGTH
        else:
            self._end(events, ktime_ns, complete=False)
            self._seek(SkipReason.BAD_FRAMING)

    def _end(self, events: list[HttpEvent], ktime_ns: int, complete: bool = True) -> None:
        complete = complete and not self._lost_bytes
        events.append(MessageEnd(ktime_ns, complete, self._wire_bytes, self._lost_bytes))
        self._wire_bytes = self._lost_bytes = 0
        self._state = State.IDLE

    def _cut(self, events: list[HttpEvent], ktime_ns: int) -> None:
        """End the message being read; what the buffer holds is the begin of its next line."""
        self._consume(len(self._buffer))
        self._end(events, ktime_ns, complete=False)

    def _lose_sync(self, events: list[HttpEvent], ktime_ns: int) -> None:
        if self._wire_bytes:
            events.append(Skipped(ktime_ns, self._wire_bytes, self._skip_reason))
            self._wire_bytes = 0
        self._in_step = False
        self._state = State.RESYNC

    def _seek(self, reason: str) -> None:
        """Sync is lost for `reason`; the front of the buffer may still be a start line."""
        self._skip_reason = reason
        self._in_step = False
        self._state = State.START

    def _flush(self, events: list[HttpEvent], ktime_ns: int, reason: str) -> None:
        skipped = self._wire_bytes + self._buffer.clear()
        self._wire_bytes = 0
        if skipped:
            events.append(Skipped(ktime_ns, skipped, reason))

    def _consume(self, count: int) -> None:
        self._wire_bytes += count
        self._buffer.skip(count)

    def _known_remaining(self, length: int) -> int:
        """How many of the next `length` bytes are known to be body data."""
        if self._state is State.LENGTH:
            return self._remaining
        if self._state is State.CHUNKED:
            return self._chunks.remaining
        return length if self._state is State.UNTIL_CLOSE else 0

    def _may_begin_at(self, offset: int) -> bool:
        """Could a start line begin at this offset of the buffer?"""
        begin = self._buffer.start + offset
        prefix = bytes(self._buffer.data[begin : begin + DECISION_BYTES])
        if b"\n" in prefix:
            return self._match_start_line(offset) is not None
        return self._may_begin(prefix)

    def _match_start_line(self, offset: int) -> re.Match[bytes] | None:
        pattern = self._start_line if self._in_step else self._certain_start_line
        return pattern.match(self._buffer.data, self._buffer.start + offset)

    _READ: ClassVar[dict[State, Callable[[MessageReader, list[HttpEvent], int], bool]]] = {
        State.IDLE: _read_idle,
        State.START: _read_start,
        State.RESYNC: _read_resync,
        State.HEAD: _read_head,
        State.DOUBTFUL: _read_doubtful,
        State.LENGTH: _read_length,
        State.CHUNKED: _read_chunked,
        State.UNTIL_CLOSE: _read_until_close,
        State.UPGRADED: _read_upgraded,
        State.CLOSED: _read_closed,
    }
