"""Splits an `application/vnd.amazon.eventstream` body into events.

In: body bytes after content decoding. Out: `StreamEvent`, to the response decoders of
`collector.llm`. Format: Smithy 2.0, "Amazon Event Stream Specification": messages of a prelude
(length of the message and of its headers, and their CRC32), headers, payload and a CRC32 of all
before it; numbers are big-endian.

What fails a check is skipped and counted: a message whose own CRC32 is wrong by its length, which
the prelude has proven; bytes that begin no prelude up to the next that do.
"""

from __future__ import annotations

import re
import struct
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zlib import crc32

import orjson

from collector.http.framing import StreamEvent

HeaderValue = bool | int | bytes | str | datetime | UUID

_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_CRC_BYTES = 4
_SMALLEST = _PRELUDE.size + _CRC_BYTES
_MAX_HEADERS_BYTES = 128 << 10
# What may be a prelude: a message of 16 bytes or more, with up to 128 KiB of headers.
_PRELUDE_LIKE = re.compile(
    rb"(?=(?!\0\0\0[\x00-\x0f])[\x00-\xff]{4}\0[\0-\2][\x00-\xff]{2})", re.DOTALL
)
_NUMBERS = {  # header type -> how its value of fixed size is written
    2: struct.Struct(">b"),
    3: struct.Struct(">h"),
    4: struct.Struct(">i"),
    5: struct.Struct(">q"),
    8: struct.Struct(">q"),
}
_BYTES, _STRING, _TIMESTAMP, _UUID = 6, 7, 8, 9
_UUID_BYTES = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REMEMBERED_HEADERS = 64  # blocks of headers repeat: an event of one kind has always the same
_REMEMBERED_BYTES = 512


class EventStreamDecoder:
    """Decodes one event stream; a message of more than `limit_bytes` is skipped.

    `event` of a `StreamEvent` is the `:event-type`, such as `contentBlockDelta`; of an exception
    it is `exception:` and the `:exception-type`, of an error `error:` and the `:error-code`.
    `data` is the payload; of an error without one, a JSON object with the `:error-message`.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held = bytearray()  # begins where a message should
        self._to_skip = 0  # bytes of a message over the limit that are still to come
        self._names: dict[bytes, tuple[str, str | None]] = {}
        self.skipped_bytes = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes of a message that has not ended."""
        return len(self._held)

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take body bytes and return the events that they end. Never raises."""
        if self._to_skip:
            skipped = min(self._to_skip, len(data))
            self._to_skip -= skipped
            self.skipped_bytes += skipped
            data = data[skipped:]
        if not self._held:
            events, used = self._messages(data)
            if used < len(data):
                self._held += data[used:]
            return events
        self._held += data
        if len(self._held) < self._wanted():
            return []
        whole = bytes(self._held)
        events, used = self._messages(whole)
        del self._held[:used]
        return events

    def finish(self) -> list[StreamEvent]:
        """Note the end of the stream. A message cut short is no event: see `pending_bytes`."""
        return []

    def _wanted(self) -> int:
        """How many bytes what is held needs at least, before anything can be said of it."""
        if len(self._held) < _PRELUDE.size:
            return _PRELUDE.size
        total = _CRC.unpack_from(self._held)[0]
        return total if self._is_prelude(self._held, 0) and total <= self._limit_bytes else 0

    def _messages(self, data: bytes) -> tuple[list[StreamEvent], int]:
        """The events in `data`, which begins where a message should, and the bytes used up."""
        events: list[StreamEvent] = []
        start, size = 0, len(data)
        while size - start >= _PRELUDE.size:
            if not self._is_prelude(data, start):
                found = self._next_prelude(data, start + 1)
                self.skipped_bytes += found - start
                start = found
                continue
            total, headers_bytes, _ = _PRELUDE.unpack_from(data, start)
            if total > self._limit_bytes:
                skipped = min(total, size - start)
                self._to_skip = total - skipped
                self.skipped_bytes += skipped
                start += skipped
                continue
            end = start + total
            if end > size:
                break
            event = None
            checked = end - _CRC_BYTES
            if _CRC.unpack_from(data, checked)[0] == crc32(memoryview(data)[start:checked]):
                payload = start + _PRELUDE.size + headers_bytes
                event = self._event(data[start + _PRELUDE.size : payload], data[payload:checked])
            if event is None:
                self.skipped_bytes += total
            else:
                events.append(event)
            start = end
        return events, start

    def _is_prelude(self, data: bytes | bytearray, start: int) -> bool:
        total: int
        headers_bytes: int
        total, headers_bytes, checksum = _PRELUDE.unpack_from(data, start)
        return (
            checksum == crc32(data[start : start + 8])
            and headers_bytes <= _MAX_HEADERS_BYTES
            and total >= _SMALLEST + headers_bytes
        )

    def _next_prelude(self, data: bytes, start: int) -> int:
        """Where the next prelude begins, or the place from which one may still begin."""
        last = max(start, len(data) - _PRELUDE.size + 1)
        for found in _PRELUDE_LIKE.finditer(data, start):
            if found.start() >= last:
                break
            if self._is_prelude(data, found.start()):
                return found.start()
        return last

    def _event(self, block: bytes, payload: bytes) -> StreamEvent | None:
        """A message as an event; None when its headers cannot be read or name no event."""
        known = self._names.get(block)
        if known is None:
            headers = parse_headers(block)
            known = None if headers is None else _name_of(headers)
            if known is None:
                return None
            if len(self._names) < _REMEMBERED_HEADERS and len(block) <= _REMEMBERED_BYTES:
                self._names[block] = known
        name, message = known
        if message is not None and not payload:
            payload = orjson.dumps({"message": message})
        return StreamEvent(name, payload)


def parse_headers(block: bytes) -> dict[str, HeaderValue] | None:
    """The headers of a message by name; None when the block is not well formed.

    Of a name that comes twice the last value counts. Timestamps are UTC.
    """
    headers: dict[str, HeaderValue] = {}
    position, end = 0, len(block)
    try:
        while position < end:
            name_end = position + 1 + block[position]
            name = block[position + 1 : name_end].decode("utf-8")
            kind = block[name_end]
            position = name_end + 1
            number = _NUMBERS.get(kind)
            if kind < 2:
                headers[name] = kind == 0
            elif number is not None:
                value: int = number.unpack_from(block, position)[0]
                position += number.size
                headers[name] = (
                    _EPOCH + timedelta(milliseconds=value) if kind == _TIMESTAMP else value
                )
            elif kind in (_BYTES, _STRING):
                position += 2
                size = int.from_bytes(block[position - 2 : position], "big")
                raw = block[position : position + size]
                position += size
                headers[name] = raw.decode("utf-8") if kind == _STRING else raw
            elif kind == _UUID:
                headers[name] = UUID(bytes=block[position : position + _UUID_BYTES])
                position += _UUID_BYTES
            else:
                return None
    except (IndexError, ValueError, OverflowError, struct.error):
        return None
    return headers if position == end else None


def _name_of(headers: dict[str, HeaderValue]) -> tuple[str, str | None] | None:
    """What a message is called, and the text that its headers carry; None: nothing to tell."""
    kind = headers.get(":message-type", "event")
    if kind == "event":
        name = headers.get(":event-type")
        return (name, None) if isinstance(name, str) else None
    if kind == "exception":
        return f"exception:{_text(headers, ':exception-type')}", None
    if kind == "error":
        return f"error:{_text(headers, ':error-code')}", _text(headers, ":error-message")
    return None


def _text(headers: dict[str, HeaderValue], name: str) -> str:
    value = headers.get(name)
    return value if isinstance(value, str) else ""
