"""A small HTTP/1.1 server: bytes of a connection to whole requests, and the way back.

In: bytes from asyncio. Out: `Request`s, one at a time and in order, to the `answer` coroutine,
which writes its response through the `Connection`. Pipelined requests wait their turn.
`RequestReader` is sans-I/O and counts every byte of a request: head, framing, body, trailers.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

MAX_HEAD_BYTES = 256 * 1024
MAX_BODY_BYTES = 512 * 1024 * 1024

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request. Header names are lower-case; `body` has no chunk framing."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    wire_bytes: int
    keep_alive: bool


@dataclass(frozen=True, slots=True)
class ContinueExpected:
    """The client waits for `100 Continue` before it sends the body."""


@dataclass(frozen=True, slots=True)
class BadRequest:
    """Bytes that are no request; nothing after them on the connection can be read."""

    status: int
    message: str
    wire_bytes: int


Incoming = Request | ContinueExpected | BadRequest


@dataclass(frozen=True, slots=True)
class _Head:
    method: str
    target: str
    headers: dict[str, str]
    keep_alive: bool
    length: int | None  # None: chunked
    head_bytes: int


class RequestReader:
    """Feeds on bytes and yields requests. After a `BadRequest` it yields nothing more."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._head: _Head | None = None
        self._chunks: list[bytes] = []
        self._chunk_wire_bytes = 0
        self._chunk_body_bytes = 0
        self._in_trailers = False
        self._failed = False

    def feed(self, data: bytes) -> Iterator[Incoming]:
        """Take bytes; yield what they complete."""
        self._buffer += data
        while not self._failed:
            incoming = self._read_head() if self._head is None else self._read_body(self._head)
            if incoming is None:
                return
            self._failed = isinstance(incoming, BadRequest)
            yield incoming

    def _read_head(self) -> Incoming | None:
        end = self._buffer.find(b"\r\n\r\n", self._searched)
        if end < 0:
            self._searched = max(0, len(self._buffer) - 3)
            if len(self._buffer) > MAX_HEAD_BYTES:
                return self._bad(431, "request head too large")
            return None
        head = self._parse(bytes(self._buffer[:end]), end + 4)
        if isinstance(head, BadRequest):
            return head
        del self._buffer[: end + 4]
        self._searched = 0
        self._head = head
        if head.headers.get("expect", "").lower() == "100-continue" and not self._buffer:
            return ContinueExpected()
        return self._read_body(head)

    def _parse(self, raw: bytes, head_bytes: int) -> _Head | BadRequest:
        lines = raw.decode("latin-1").lstrip("\r\n").split("\r\n")
        try:
            method, target, version = lines[0].split(" ")
            fields = [line.split(":", 1) for line in lines[1:]]
            headers = {name.lower(): value.strip() for name, value in fields}
            length = None
            if headers.get("transfer-encoding", "").lower() != "chunked":
                length = int(headers.get("content-length", "0"))
        except ValueError:
            return self._bad(400, "malformed request head")
        if not version.startswith("HTTP/1."):
            known = version.startswith("HTTP/")
            return self._bad(505 if known else 400, "this server speaks HTTP/1.1 only")
        if length is not None and not 0 <= length <= MAX_BODY_BYTES:
            return self._bad(413, "request body too large")
        connection = headers.get("connection", "").lower()
        keep_alive = "close" not in connection if version == "HTTP/1.1" else False
        return _Head(method, target, headers, keep_alive, length, head_bytes)

    def _read_body(self, head: _Head) -> Incoming | None:
        if head.length is None:
            return self._read_chunks(head)
        if len(self._buffer) < head.length:
            return None
        body = bytes(memoryview(self._buffer)[: head.length])
        del self._buffer[: head.length]
        return self._request(head, body, head.head_bytes + head.length)

    def _read_chunks(self, head: _Head) -> Incoming | None:
        position = 0
        try:
            while True:
                line_end = self._buffer.find(b"\r\n", position)
                if line_end < 0:
                    return None
                line = self._buffer[position:line_end]
                if self._in_trailers:
                    position = self._framed(line_end + 2, position)
                    if not line:
                        body = b"".join(self._chunks)
                        return self._request(head, body, head.head_bytes + self._chunk_wire_bytes)
                    continue
                size = int(line.split(b";")[0], 16)
                end = line_end + 2 + size
                self._in_trailers = size == 0
                if size:
                    if len(self._buffer) < end + 2:
                        return None
                    self._chunks.append(bytes(self._buffer[line_end + 2 : end]))
                    self._chunk_body_bytes += size
                    end += 2
                if self._chunk_body_bytes > MAX_BODY_BYTES:
                    return self._bad(413, "request body too large")
                position = self._framed(end, position)
        except ValueError:
            return self._bad(400, "malformed chunk")
        finally:
            del self._buffer[:position]

    def _framed(self, end: int, position: int) -> int:
        self._chunk_wire_bytes += end - position
        return end

    def _request(self, head: _Head, body: bytes, wire_bytes: int) -> Request:
        self._head = None
        self._chunks = []
        self._chunk_wire_bytes = self._chunk_body_bytes = 0
        self._in_trailers = False
        return Request(head.method, head.target, head.headers, body, wire_bytes, head.keep_alive)

    def _bad(self, status: int, message: str) -> BadRequest:
        return BadRequest(status, message, len(self._buffer))


Answer = Callable[["Connection", Request | BadRequest, int], Awaitable[bool]]
"""Answers a request received at a time (ns); says whether the connection stays open."""


class Connection(asyncio.Protocol):
    """One client connection: reads requests, has them answered in order, counts bytes sent."""

    def __init__(self, number: int, answer: Answer, open_connections: set[Connection]) -> None:
        self.number = number
        self.client_port = 0
        self.closed = False
        self.busy = False
        self.interim_bytes = 0
        self._answer = answer
        self._open_connections = open_connections
        self._reader = RequestReader()
        self._requests: deque[tuple[Request | BadRequest, int]] = deque()
        self._transport: asyncio.Transport
        self._resumed: asyncio.Future[None] | None = None
        self._paused = False
        self._loop = asyncio.get_running_loop()
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection (its TLS handshake, too) stands."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.client_port = transport.get_extra_info("peername")[1]
        self._open_connections.add(self)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came in."""
        for incoming in self._reader.feed(data):
            if isinstance(incoming, ContinueExpected):
                if not self.busy:
                    self._transport.write(CONTINUE)
                    self.interim_bytes += len(CONTINUE)
                continue
            self._requests.append((incoming, time.monotonic_ns()))
        if self._requests and not self.busy:
            self.busy = True
            self.task = self._loop.create_task(self._work())

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone."""
        self.closed = True
        self._open_connections.discard(self)
        self.resume_writing()

    def pause_writing(self) -> None:
        """asyncio: the client reads more slowly than we write."""
        self._paused = True

    def resume_writing(self) -> None:
        """asyncio: the client has caught up."""
        self._paused = False
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)

    def send(self, data: bytes | memoryview) -> None:
        """Write bytes; over TLS, each call makes records of its own."""
        self._transport.write(data)

    @property
    def paused(self) -> bool:
        """Should the writer wait for `drained`?"""
        return self._paused

    async def drained(self) -> None:
        """Wait until the client has read enough, or is gone."""
        while self._paused and not self.closed:
            self._resumed = self._loop.create_future()
            await self._resumed

    def close(self) -> None:
        """Close the connection once everything written has been sent."""
        self._transport.close()

    async def _work(self) -> None:
        try:
            while self._requests and not self.closed:
                request, received_ns = self._requests.popleft()
                if not await self._answer(self, request, received_ns):
                    self._requests.clear()
                    self.close()
        except BaseException:
            self.close()
            raise
        finally:
            self.busy = False
