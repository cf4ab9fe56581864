"""Splits a `text/event-stream` body into events.

In: body bytes after content decoding. Out: `StreamEvent`, to the response decoders of
`collector.llm`. Follows the WHATWG HTML standard, section 9.2.6 "Interpreting an event stream":
lines end in CR LF, LF or CR, a blank line ends an event, an event that the stream's end cuts
short is not one. Bytes of an unfinished event are held, up to a limit; what goes beyond it is
skipped up to the next blank line, and counted.
"""

from __future__ import annotations

from collector.http.framing import StreamEvent

_BOM = b"\xef\xbb\xbf"
_EVENT_END = b"\n\n"
_MAX_RETRY_DIGITS = 18


class SseDecoder:
    """Decodes one event stream; an event of more than `limit_bytes` is skipped.

    Sizes count a line end as one byte. `skipped_bytes` grows by the size of each event skipped;
    `retry_ms` is the reconnection time the stream asked for, None: none yet.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held = bytearray()  # of the unfinished event, line ends made LF
        self._at_begin = True  # of the stream, where a byte order mark may stand
        self._after_cr = False  # an LF that follows belongs to the CR before it
        self._skipping = False  # in the rest of an event over the limit
        self._id: str | None = None
        self.retry_ms: int | None = None
        self.skipped_bytes = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes of an event that has not ended."""
        return len(self._held.lstrip(b"\n"))

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take body bytes and return the events that they end."""
        if self._after_cr or b"\r" in data:
            data = self._with_lf(data)
        held = self._held
        if held or self._skipping or self._at_begin or len(data) > self._limit_bytes:
            return self._feed_held(data)
        if data.endswith(_EVENT_END):
            whole = data[:-2]
        else:
            whole, end, rest = data.rpartition(_EVENT_END)
            held += rest
            if not end:
                return []
        return self._events(whole)

    def gap(self) -> None:
        """Note that bytes are missing here: the event they are in, or before, is skipped."""
        self.skipped_bytes += len(self._held)
        self._held.clear()
        self._at_begin = self._after_cr = False
        self._skipping = True

    def finish(self) -> list[StreamEvent]:
        """Note the end of the stream. An unfinished event is none: see `pending_bytes`."""
        return []

    def _feed_held(self, data: bytes) -> list[StreamEvent]:
        """The way of `feed` when the bytes fed are not all there is to look at."""
        held = self._held
        searched = 0 if self._at_begin or self._skipping else max(0, len(held) - 1)
        held += data
        if self._at_begin and not self._pass_byte_order_mark():
            return []
        if self._skipping and not self._pass_skipped():
            return []
        end = held.rfind(_EVENT_END, searched)
        if end < 0:
            self._drop_if_over_limit()
            return []
        whole = bytes(held[:end])
        del held[: end + 2]
        events = self._events(whole)
        self._drop_if_over_limit()
        return events

    def _with_lf(self, data: bytes) -> bytes:
        """The same lines, each ended by LF, also when CR LF is split between feeds."""
        if self._after_cr and data:
            self._after_cr = False
            if data.startswith(b"\n"):
                data = data[1:]
        if data.endswith(b"\r"):
            self._after_cr = True
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _pass_byte_order_mark(self) -> bool:
        """Drop a leading byte order mark; False when it cannot be told yet whether it is one."""
        held = self._held
        if len(held) < len(_BOM) and _BOM.startswith(held):
            return False
        if held.startswith(_BOM):
            del held[: len(_BOM)]
        self._at_begin = False
        return True

    def _pass_skipped(self) -> bool:
        """Drop the rest of an event over the limit; False when its end is not there yet."""
        held = self._held
        end = held.find(_EVENT_END)
        if end < 0:
            self.skipped_bytes += len(held) - held.endswith(b"\n")
            del held[: len(held) - held.endswith(b"\n")]
            return False
        self.skipped_bytes += end
        del held[: end + 2]
        self._skipping = False
        return True

    def _drop_if_over_limit(self) -> None:
        """Begin to skip when the unfinished event is longer than the limit already."""
        held = self._held
        if len(held) <= self._limit_bytes:
            return
        del held[: len(held) - len(held.lstrip(b"\n"))]
        if len(held) - held.endswith(b"\n") > self._limit_bytes:
            self._skipping = True
            self._pass_skipped()

    def _events(self, whole: bytes) -> list[StreamEvent]:
        """Events of a text that a blank line ended; blank lines part them."""
        events: list[StreamEvent] = []
        for block in whole.split(_EVENT_END):
            name, line_end, data = block.partition(b"\n")
            if not line_end and name.startswith(b"data: ") and len(name) <= self._limit_bytes:
                events.append(StreamEvent("message", name[6:], self._id))
            elif (
                name.startswith(b"event: ")
                and data.startswith(b"data: ")
                and b"\n" not in data
                and len(block) <= self._limit_bytes
            ):
                label = name[7:].decode("utf-8", "replace")
                events.append(StreamEvent(label or "message", data[6:], self._id))
            else:
                event = self._event(block.strip(b"\n"))
                if event is not None:
                    events.append(event)
        return events

    def _event(self, block: bytes) -> StreamEvent | None:
        """One event from its lines, or None when it carries no data or is over the limit."""
        if len(block) > self._limit_bytes:
            self.skipped_bytes += len(block)
            return None
        event = ""
        data: list[bytes] = []
        for line in block.split(b"\n"):
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                data.append(value)
            elif name == b"event":
                event = value.decode("utf-8", "replace")
            elif name == b"id" and b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
            elif name == b"retry" and value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
                self.retry_ms = int(value)
        if not data:
            return None
        return StreamEvent(event or "message", b"\n".join(data), self._id)
