"""WebSocket frames for the tests: written by hand, and by wsproto as an independent encoder."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from wsproto.connection import Connection, ConnectionType
from wsproto.extensions import PerMessageDeflate

from collector.http.events import Skipped
from collector.http.websocket_deflate import Inflater
from collector.http.websocket_frames import Control, FrameEvent, FrameReader
from collector.http.websocket_messages import Message

MASK = bytes.fromhex("37fa213d")
LIMIT = 1 << 16


def frame(
    payload: bytes,
    opcode: int = 1,
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes = b"",
) -> bytes:
    """RFC 6455, 5.2, with the shortest length."""
    size = len(payload)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    masked = bool(mask) << 7
    if size < 126:
        head += bytes([masked | size])
    elif size < 1 << 16:
        head += bytes([masked | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([masked | 127]) + size.to_bytes(8, "big")
    if mask:
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return head + mask + payload


class Deflater:
    """Compressed frames of one direction."""

    def __init__(self, takeover: bool = True) -> None:
        self._takeover = takeover
        self._stream = zlib.compressobj(wbits=-15)

    def payload(self, data: bytes) -> bytes:
        if not self._takeover:
            self._stream = zlib.compressobj(wbits=-15)
        return (self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def frame(self, data: bytes, mask: bytes = b"") -> bytes:
        return frame(self.payload(data), rsv=4, mask=mask)


def reader(
    deflate: bool = False, *, takeover: bool = True, limit: int = LIMIT, any_rsv: bool = False
) -> FrameReader:
    inflater = Inflater(takeover=takeover, limit_bytes=limit) if deflate else None
    return FrameReader(inflater, limit_bytes=limit, any_rsv=any_rsv)


def peer(client: bool, extension: PerMessageDeflate | None = None) -> Connection:
    """One end as wsproto plays it."""
    kind = ConnectionType.CLIENT if client else ConnectionType.SERVER
    return Connection(kind, [] if extension is None else [extension])


def feed(reader: FrameReader, feeds: Iterable[bytes], begin_ns: int = 0) -> list[FrameEvent]:
    """Events with the number of the feed as their time."""
    return [
        event for number, data in enumerate(feeds, begin_ns) for event in reader.feed(data, number)
    ]


def told(events: Iterable[FrameEvent]) -> list[object]:
    """Events without times, adjacent skips of one reason made one: equal however it was split."""
    lines: list[object] = []
    for event in events:
        if isinstance(event, Message):
            lines.append(event[2:7])
        elif isinstance(event, Control):
            lines.append((event.opcode, event.payload, event.wire_bytes))
        elif event.length:
            last = lines[-1] if lines else None
            if isinstance(last, Skipped) and last.reason == event.reason:
                lines[-1] = Skipped(0, last.length + event.length, event.reason)
            else:
                lines.append(Skipped(0, event.length, event.reason))
    return lines


def datas(events: Iterable[FrameEvent]) -> list[bytes | str | None]:
    """The data of messages, or the reason why there is none."""
    return [
        event.reason if event.data is None else event.data
        for event in events
        if isinstance(event, Message)
    ]


def times(events: Iterable[FrameEvent]) -> list[tuple[int, int]]:
    """When the first and the last byte of each message came."""
    return [(event.first_ns, event.last_ns) for event in events if isinstance(event, Message)]


def accounted_bytes(events: Iterable[FrameEvent]) -> int:
    return sum(event.length if isinstance(event, Skipped) else event.wire_bytes for event in events)
