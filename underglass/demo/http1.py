"""HTTP/1.1 on one connection: requests in order, responses in chunks or of a known length.

In: plaintext bytes from `connection`. Out: `Request`s to the `answer` coroutine, one at a time;
pipelined ones wait their turn.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

from underglass.demo.channel import Answer, Channel, Headers, Wire
from underglass.demo.http_server import (
    CONTINUE,
    BadRequest,
    ContinueExpected,
    Request,
    RequestReader,
)
from underglass.demo.reply import Piece

_REASONS = {
    101: "Switching Protocols",
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    429: "Too Many Requests",
}


class Http1:
    """HTTP/1.1: requests are answered one after the other."""

    version = "1.1"

    def __init__(self, connection: Wire, answer: Answer) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._connection = connection
        self._answer = answer
        self._reader = RequestReader()
        self._requests: deque[tuple[Request | BadRequest, int]] = deque()
        self._interim_bytes = 0
        self._last = False

    def received(self, data: bytes) -> None:
        """Take bytes of the client."""
        for incoming in self._reader.feed(data):
            if isinstance(incoming, ContinueExpected):
                if not self.tasks:
                    self._connection.send(CONTINUE)
                    self._interim_bytes += len(CONTINUE)
                continue
            self._requests.append((incoming, time.monotonic_ns()))
        if self._requests and not self.tasks:
            self.tasks.add(asyncio.get_running_loop().create_task(self._work()))

    def lost(self) -> None:
        """Learn that the connection is gone: `Channel.closed` tells the running exchange."""

    def go_away(self) -> None:
        """End after the running exchange."""
        self._last = True

    async def _work(self) -> None:
        connection = self._connection
        try:
            while self._requests and not connection.closed:
                request, received_ns = self._requests.popleft()
                channel = _Http1Channel(connection)
                channel.interim_bytes, self._interim_bytes = self._interim_bytes, 0
                stays_open = await self._answer(channel, request, received_ns)
                if channel.speaker is not None and not connection.closed:
                    speaker = channel.speaker(connection, self._answer)
                    connection.speak(speaker)
                    if self._last:
                        speaker.go_away()
                    rest = self._reader.rest()
                    if rest:
                        speaker.received(rest)
                    return
                if not stays_open or self._last:
                    self._requests.clear()
                    connection.close()
        except BaseException:
            connection.close()
            raise
        finally:
            self.tasks.clear()


class _Http1Channel(Channel):
    http_version = "1.1"

    async def begin(
        self,
        status: int,
        headers: Headers,
        *,
        length: int | None,
        body: bytes = b"",
        ended: bool = False,
    ) -> bool:
        if length is not None:
            headers = [*headers, ("content-length", str(length))]
        elif status != 101:
            headers = [*headers, ("transfer-encoding", "chunked")]
        if not self.keep_alive:
            headers.append(("connection", "close"))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        reason = _REASONS.get(status, "Error")
        data = f"HTTP/1.1 {status} {reason}\r\n{lines}\r\n".encode("latin-1") + body
        return self._send(data, body)

    async def send(self, piece: Piece, last: bool) -> bool:
        if self.connection.paused:
            await self.connection.drained()
        return self._send(piece.framed, piece.payload)

    def _send(self, data: bytes | memoryview, body: bytes | memoryview) -> bool:
        if self.closed:
            return False
        self.connection.send(data)
        self._count(len(data), body)
        return True
