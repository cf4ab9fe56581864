"""The messages of one direction of an HTTP/2 connection that are under way.

In: what frames do to them, from `collector.http.http2` and `collector.http.http2_blocks`. Out:
events, in `events`, which the reader hands on.

Memory is bounded: of more than `MAX_STREAMS` open messages the oldest one is ended, and of more
than so many streams that are to be skipped the oldest one is forgotten.
"""

from __future__ import annotations

from collector.http.events import MessageEnd, Skipped
from collector.http.http2_events import HeadMissed, Http2Event, MessageRead
from collector.http.states import SkipReason

MAX_STREAMS = 10_000


class Message:
    """A message under way. `begun`: its final head was seen. `damaged`: a part is not known."""

    __slots__ = ("begun", "damaged", "lost_bytes", "wire_bytes")

    def __init__(self) -> None:
        self.wire_bytes = 0
        self.lost_bytes = 0
        self.damaged = False
        self.begun = False

    def end(self, ktime_ns: int, *, whole: bool) -> MessageEnd:
        """Nothing more comes; `whole`: as its sender said."""
        complete = whole and self.begun and not (self.lost_bytes or self.damaged)
        return MessageEnd(ktime_ns, complete, self.wire_bytes, self.lost_bytes)


class Messages:
    """By stream. `requests`: a client sends them, on odd streams, each higher than the last."""

    def __init__(self, *, requests: bool) -> None:
        self.requests = requests
        self.events: list[Http2Event] = []
        self.open: dict[int, Message] = {}
        self._skipped: dict[int, str] = {}  # streams of which more may come, and why it is skipped
        self._reason = SkipReason.STREAM_ENDED  # why the head of a message was not seen
        self._last_stream = 0  # the highest one that a request began

    def begin(self, stream: int, ktime_ns: int) -> Message:
        """A head was read."""
        if len(self.open) >= MAX_STREAMS:
            oldest = next(iter(self.open))
            self._cut(oldest, self.open.pop(oldest), SkipReason.STREAM_ENDED, ktime_ns)
        if self.requests:
            self._last_stream = stream
        message = self.open[stream] = Message()
        return message

    def end(self, stream: int, ktime_ns: int) -> None:
        """Its sender says that a stream's message ends."""
        self._skipped.pop(stream, None)
        message = self.open.pop(stream, None)
        if message is not None:
            self.events.append(MessageRead(stream, message.end(ktime_ns, whole=True)))

    def reset(self, stream: int, ktime_ns: int) -> None:
        """Its sender gives a stream up."""
        self._skipped.pop(stream, None)
        message = self.open.pop(stream, None)
        if message is not None:
            self.events.append(MessageRead(stream, message.end(ktime_ns, whole=False)))

    def drop(self, stream: int, ktime_ns: int) -> MessageEnd | None:
        """End a message without an event; what still comes of its stream is skipped."""
        message = self.open.pop(stream, None)
        if message is not None or not self.requests:
            self.skip_stream(stream, SkipReason.STREAM_ENDED)
        return None if message is None else message.end(ktime_ns, whole=False)

    def lose(self, reason: str, ktime_ns: int) -> None:
        """Which frames come next is not known: what is open is not followed on."""
        self._reason = reason
        for stream, message in self.open.items():
            self._cut(stream, message, reason, ktime_ns)
        self.open.clear()

    def why_skipped(self, stream: int) -> str | None:
        """Why frames of a stream that is not open are skipped; None: there is no reason yet."""
        reason = self._skipped.get(stream)
        if reason is None and self.requests and (stream <= self._last_stream or not stream & 1):
            return SkipReason.STREAM_ENDED
        return reason

    def miss_head(self, stream: int, ktime_ns: int, reason: str | None = None) -> str:
        """Frames come of a stream whose head was not seen. Why they are skipped."""
        known = self.why_skipped(stream)
        if known is not None:
            return known
        reason = reason or self._reason
        self.events.append(HeadMissed(stream, ktime_ns, reason))
        self.skip_stream(stream, reason)
        return reason

    def skip_stream(self, stream: int, reason: str) -> None:
        """What comes of a stream, up to its end, is skipped."""
        self._skipped[stream] = reason
        if len(self._skipped) > MAX_STREAMS:
            del self._skipped[next(iter(self._skipped))]

    def skip(self, reason: str, length: int, ktime_ns: int) -> None:
        """Bytes that belong to no message."""
        events = self.events
        last = events[-1] if events else None
        if isinstance(last, Skipped) and last.reason == reason:
            events[-1] = Skipped(ktime_ns, last.length + length, reason)
        elif length:
            events.append(Skipped(ktime_ns, length, reason))

    def _cut(self, stream: int, message: Message, reason: str, ktime_ns: int) -> None:
        self.events.append(MessageRead(stream, message.end(ktime_ns, whole=False)))
        self.skip_stream(stream, reason)
