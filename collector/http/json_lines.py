"""Splits a body of JSON lines (`application/x-ndjson`) into values.

In: body bytes after content decoding. Out: a `StreamEvent` a line that is not blank, to the
response decoders of `collector.llm`. Lines end in LF or CR LF, the last one in nothing
(jsonlines.org; github.com/ndjson/ndjson-spec). Bytes of an unfinished line are held, up to a
limit; a line beyond it is skipped up to its end, and counted.
"""

from __future__ import annotations

from collector.http.framing import StreamEvent


class JsonLinesDecoder:
    """Decodes one body; a line of more than `limit_bytes` is skipped.

    Sizes are without the LF that ends a line. `skipped_bytes` grows by the size of each line
    skipped.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held = bytearray()  # of the unfinished line
        self._skipping = False  # in the rest of a line over the limit
        self.skipped_bytes = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes of a line that has not ended."""
        return len(self._held)

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take body bytes and return the lines that they end."""
        end = data.rfind(b"\n")
        if end < 0:
            self._hold(data)
            return []
        events: list[StreamEvent] = []
        lines = data[:end].split(b"\n")
        if self._held or self._skipping:
            self._hold(lines[0])
            lines[0] = bytes(self._held)
            self._held.clear()
            self._skipping = False
        for line in lines:
            self._take(line, events)
        self._hold(data[end + 1 :])
        return events

    def finish(self) -> list[StreamEvent]:
        """Note the end of the body, which also ends its last line."""
        events: list[StreamEvent] = []
        self._take(bytes(self._held), events)
        self._held.clear()
        self._skipping = False
        return events

    def _take(self, line: bytes, events: list[StreamEvent]) -> None:
        if len(line) > self._limit_bytes:
            self.skipped_bytes += len(line)
        elif line and not line.isspace():
            events.append(StreamEvent("message", line.removesuffix(b"\r")))

    def _hold(self, data: bytes) -> None:
        """Keep bytes of the unfinished line, or none of it when it is over the limit."""
        if not self._skipping and len(self._held) + len(data) > self._limit_bytes:
            self.skipped_bytes += len(self._held)
            self._held.clear()
            self._skipping = True
        if self._skipping:
            self.skipped_bytes += len(data)
        else:
            self._held += data
