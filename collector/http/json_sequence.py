"""Splits a JSON text sequence (`application/json-seq`, RFC 7464) into its texts.

In: body bytes after content decoding, or the messages of a WebSocket put in this form. Out:
`StreamEvent`s, to the response decoders of `collector.llm`. Each text stands behind a record
separator and, as a rule, before a line feed; it ends where the next separator stands, so one that
is to be read at once needs a separator on either side. Bytes of an unfinished text are held, up
to a limit; a text beyond it is skipped up to the next separator, and counted.
"""

from __future__ import annotations

from collector.http.framing import StreamEvent

SEPARATOR = b"\x1e"


class JsonSequenceDecoder:
    """Decodes one sequence; a text of more than `limit_bytes` is skipped.

    `skipped_bytes` counts such texts, and what is before the first separator.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held = bytearray()
        self._skipping = True  # up to the next separator
        self.skipped_bytes = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes of a text that has not ended."""
        return len(self._held)

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take body bytes and return the texts that they end."""
        first, *others = data.split(SEPARATOR)
        if not others:
            self._hold(first)
            return []
        events: list[StreamEvent] = []
        self._hold(first)
        held = self._held
        if held:
            self._append(bytes(held), events)
            held.clear()
        for text in others[:-1]:
            self._append(text, events)
        self._skipping = False
        self._hold(others[-1])
        return events

    def finish(self) -> list[StreamEvent]:
        """Note the end of the body, which ends the last text."""
        events: list[StreamEvent] = []
        self._append(bytes(self._held), events)
        self._held.clear()
        return events

    def _hold(self, data: bytes) -> None:
        if not self._skipping:
            self._held += data
            if len(self._held) <= self._limit_bytes:
                return
            data = bytes(self._held)
            self._held.clear()
            self._skipping = True
        self.skipped_bytes += len(data)

    def _append(self, text: bytes, events: list[StreamEvent]) -> None:
        if len(text) > self._limit_bytes:
            self.skipped_bytes += len(text)
        elif text and not text.isspace():
            events.append(StreamEvent("message", text))
