"""Writes messages of an `application/vnd.amazon.eventstream` body.

In: headers and a payload. Out: bytes, as "Amazon Event Stream Specification" (Smithy 2.0) has
them: prelude, headers, payload, and CRC32s of the prelude and of all before.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zlib import crc32

from collector.http.event_stream import HeaderValue

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NUMBERS = ((2, "b"), (3, "h"), (4, "i"), (5, "q"))


def message(headers: Mapping[str, HeaderValue], payload: bytes = b"") -> bytes:
    """One message; whole numbers take the smallest of the four types that holds them.

    Raises ValueError for a name, text or number that no header can hold.
    """
    block = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    body = prelude + struct.pack(">I", crc32(prelude)) + block + payload
    return body + struct.pack(">I", crc32(body))


def event(name: str, payload: bytes) -> bytes:
    """An event of a service's stream."""
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return message(headers, payload)


def exception(name: str, payload: bytes) -> bytes:
    """An exception that ends a stream."""
    headers = {
        ":exception-type": name,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return message(headers, payload)


def _header(name: str, value: HeaderValue) -> bytes:
    encoded = name.encode()
    if len(encoded) > 255:
        raise ValueError(f"a header's name has up to 255 bytes, not {len(encoded)}")
    return bytes((len(encoded),)) + encoded + _value(value)


def _value(value: HeaderValue) -> bytes:
    if isinstance(value, bool):
        return b"\0" if value else b"\1"
    if isinstance(value, int):
        for number, code in _NUMBERS:
            try:
                return bytes((number,)) + struct.pack(f">{code}", value)
            except struct.error:
                continue
        raise ValueError(f"{value} has more than 64 bits")
    if isinstance(value, datetime):
        return b"\x08" + struct.pack(">q", (value - _EPOCH) // _MILLISECOND)
    if isinstance(value, UUID):
        return b"\x09" + value.bytes
    kind = b"\x07" if isinstance(value, str) else b"\x06"
    raw = value.encode() if isinstance(value, str) else value
    if len(raw) > 0xFFFF:
        raise ValueError(f"a header's value has up to 65535 bytes, not {len(raw)}")
    return kind + struct.pack(">H", len(raw)) + raw
