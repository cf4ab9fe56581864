"""HTTP/1.1 requests, sans-I/O: bytes of a connection to whole requests.

In: bytes as `connection` receives them. Out: `Request`s in the order in which they came.
Every byte of a request is counted: head, framing, body, trailers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MAX_HEAD_BYTES = 256 * 1024
MAX_BODY_BYTES = 512 * 1024 * 1024

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request. Header names are lower-case; `body` has no chunk framing.

    `wire_bytes`: over HTTP/2, those of the stream's HEADERS, CONTINUATION and DATA frames with
    their frame headers.
    """

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

    def rest(self) -> bytes:
        """What is behind the last request; no longer this reader's."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

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
