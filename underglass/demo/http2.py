"""HTTP/2 on one connection: frames to whole requests, responses to frames under flow control.

In: plaintext bytes from `connection`. Out: `Request`s to the `answer` coroutine, each in a task
of its own, and the frames of their responses. `h2` (a development dependency) does the protocol;
`FrameCounter` counts the bytes of each stream beside it. Request trailers are left out.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from underglass.demo.channel import Answer, Channel, Headers, Wire
from underglass.demo.http_server import Request
from underglass.demo.reply import Piece

_WINDOW_BYTES = 1 << 20
_MAX_STREAMS = 1000
_PREFACE_BYTES = 24
_DATA, _HEADERS, _CONTINUATION = 0, 1, 9


class FrameCounter:
    """Counts the bytes of each stream's HEADERS, CONTINUATION and DATA frames (RFC 9113, 4.1).

    Feeds on the client's bytes in any pieces, the connection preface first.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skip = _PREFACE_BYTES
        self._wire_bytes: dict[int, int] = {}

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        self._buffer += data
        while True:
            skipped = min(self._skip, len(self._buffer))
            del self._buffer[:skipped]
            self._skip -= skipped
            if self._skip or len(self._buffer) < 9:
                return
            length = int.from_bytes(self._buffer[:3])
            if self._buffer[3] in (_DATA, _HEADERS, _CONTINUATION):
                stream_id = int.from_bytes(self._buffer[5:9]) & 0x7FFF_FFFF
                self._wire_bytes[stream_id] = self._wire_bytes.get(stream_id, 0) + 9 + length
            self._skip = 9 + length

    def pop(self, stream_id: int) -> int:
        """The bytes of a stream so far; its count begins anew."""
        return self._wire_bytes.pop(stream_id, 0)


@dataclass(eq=False, slots=True)
class _Stream:
    stream_id: int
    headers: list[tuple[str, str]]
    body: bytearray = field(default_factory=bytearray)
    gone: bool = False
    ended: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Http2:
    """HTTP/2 with any number of exchanges at once. A response that is cut resets its stream."""

    version = "2"

    def __init__(self, wire: Wire, answer: Answer) -> None:
        self.wire = wire
        self.tasks: set[asyncio.Task[None]] = set()
        self._answer = answer
        self._counter = FrameCounter()
        self._streams: dict[int, _Stream] = {}
        self._last_stream_id: int | None = None  # set once no further requests are taken
        config = H2Configuration(client_side=False, header_encoding="utf-8")
        self.h2 = H2Connection(config)
        self.h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW_BYTES,
                SettingCodes.MAX_CONCURRENT_STREAMS: _MAX_STREAMS,
                SettingCodes.MAX_HEADER_LIST_SIZE: 256 * 1024,
            },
        )
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(16 * _WINDOW_BYTES)
        self.flush()

    def received(self, data: bytes) -> None:
        """Take bytes of the client."""
        self._counter.feed(data)
        try:
            for event in self.h2.receive_data(data):
                self._handle(event)
        except ProtocolError as error:
            self.wire.error = f"{type(error).__name__}: {error}"
            self._end()
            return
        self.flush()

    def lost(self) -> None:
        """Learn that the connection is gone."""
        for stream in self._streams.values():
            stream.gone = True
            stream.wake.set()

    def go_away(self) -> None:
        """Send GOAWAY; streams that stand go on, new ones are refused."""
        if self._last_stream_id is not None or self.h2.state_machine.state is _CLOSED:
            return
        self._last_stream_id = self.h2.highest_inbound_stream_id
        # Not `close_connection`: it would forbid the running streams to end.
        self.wire.send(GoAwayFrame(0, last_stream_id=self._last_stream_id).serialize())

    def flush(self) -> int:
        """Put on the wire what `h2` has to say; the number of bytes."""
        data = self.h2.data_to_send()
        if data:
            self.wire.send(data)
        return len(data)

    def _handle(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            assert event.stream_id is not None
            headers = [(str(name), str(value)) for name, value in event.headers or ()]
            if self._last_stream_id is not None:
                self.h2.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
                return
            self._streams[event.stream_id] = _Stream(event.stream_id, headers)
        elif isinstance(event, DataReceived):
            assert event.stream_id is not None
            size = event.flow_controlled_length or 0
            self.h2.acknowledge_received_data(size, event.stream_id)
            if event.stream_id in self._streams:
                self._streams[event.stream_id].body += event.data or b""
        elif isinstance(event, StreamEnded):
            if event.stream_id in self._streams:
                work = self._work(self._streams[event.stream_id], time.monotonic_ns())
                task = asyncio.get_running_loop().create_task(work)
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
        elif isinstance(event, StreamReset):
            stream = self._streams.pop(event.stream_id or 0, None)
            self._counter.pop(event.stream_id or 0)
            if stream is not None:
                stream.gone = True
                stream.wake.set()
        elif isinstance(event, WindowUpdated | RemoteSettingsChanged):
            for stream in self._streams.values():
                stream.wake.set()
        elif isinstance(event, ConnectionTerminated):
            self._end()

    def _end(self) -> None:
        self.flush()
        self.lost()
        self.wire.close()

    async def _work(self, stream: _Stream, received_ns: int) -> None:
        headers: dict[str, str] = {}
        for name, value in stream.headers:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        method, target = headers.pop(":method"), headers.pop(":path", "")
        headers = {name.replace(":authority", "host"): value for name, value in headers.items()}
        wire_bytes = self._counter.pop(stream.stream_id)
        request = Request(method, target, headers, bytes(stream.body), wire_bytes, True)
        stream.body.clear()
        try:
            await self._answer(_Http2Channel(self, stream), request, received_ns)
        finally:
            self._streams.pop(stream.stream_id, None)
            if not stream.ended and not stream.gone and not self.wire.closed:
                self.h2.reset_stream(stream.stream_id, ErrorCodes.INTERNAL_ERROR)
                self.flush()


_CLOSED = ConnectionState.CLOSED


class _Http2Channel(Channel):
    http_version = "2"

    def __init__(self, http2: Http2, stream: _Stream) -> None:
        super().__init__(http2.wire)
        self.stream_id = stream.stream_id
        self._http2 = http2
        self._stream = stream

    @property
    def closed(self) -> bool:
        return self._stream.gone or self.connection.closed

    async def begin(
        self,
        status: int,
        headers: Headers,
        *,
        length: int | None,
        body: bytes = b"",
        ended: bool = False,
    ) -> bool:
        if self.closed:
            return False
        if length is not None:
            headers = [*headers, ("content-length", str(length))]
        at_once = ended and not body
        self._http2.h2.send_headers(
            self._stream.stream_id, [(":status", str(status)), *headers], end_stream=at_once
        )
        self._stream.ended = at_once
        self._count(self._http2.flush(), b"")
        return await self.send(Piece(body, body), ended) if body else True

    async def send(self, piece: Piece, last: bool) -> bool:
        h2, stream = self._http2.h2, self._stream
        rest = memoryview(piece.payload)
        while not self.closed:
            stream.wake.clear()
            room = min(h2.local_flow_control_window(stream.stream_id), h2.max_outbound_frame_size)
            if self.connection.paused:
                await self.connection.drained()
            elif len(rest) <= room:
                self._send(rest, last)
                return True
            elif room > 0:
                self._send(rest[:room], False)
                rest = rest[room:]
            else:
                await stream.wake.wait()
        return False

    def _send(self, data: memoryview, last: bool) -> None:
        self._http2.h2.send_data(self._stream.stream_id, bytes(data), end_stream=last)
        self._stream.ended = last
        self._count(self._http2.flush(), data)
