"""OpenAI's Responses over a WebSocket, server side: each `response.create` is an exchange.

In: a request that asks for an upgrade, then the client's bytes from `connection`. Out: `Request`s
to the `answer` coroutine, one at a time in each lane (`stream_id`), and their events as messages.
`wsproto` (a development dependency) does the protocol, permessage-deflate where it is offered
included; `MessageCounter` counts the bytes of messages beside it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

import orjson
from wsproto.connection import Connection as Protocol
from wsproto.connection import ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Ping, TextMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.handshake import server_extensions_handshake
from wsproto.utilities import RemoteProtocolError, generate_accept_token

from collector.llm.model import JsonObject
from underglass.demo.channel import Answer, Channel, Headers, Wire
from underglass.demo.http_server import Request
from underglass.demo.reply import Piece

_GOING_AWAY = 1001


def handshake(request: Request) -> tuple[Headers, PerMessageDeflate]:
    """The headers of a 101 (RFC 6455, 4.2.2), and the compression, enabled if it was offered."""
    deflate = PerMessageDeflate()
    offers = [
        offer.strip() for offer in request.headers.get("sec-websocket-extensions", "").split(",")
    ]
    agreed = server_extensions_handshake([offer for offer in offers if offer], [deflate])
    key = request.headers["sec-websocket-key"].encode()
    headers = [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-accept", generate_accept_token(key).decode()),
    ]
    if agreed:
        headers.append(("sec-websocket-extensions", agreed.decode()))
    return headers, deflate


class MessageCounter:
    """Counts the bytes of a client's messages by their frames (RFC 6455, 5.2), in any pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._sizes: deque[int] = deque([0])  # of whole messages, and of the one that goes on

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        self._buffer += data
        while len(self._buffer) >= 2:
            first, second = self._buffer[0], self._buffer[1]
            length, size = second & 0x7F, 2 + 4 * (second >> 7)
            if length > 125:
                extended = 2 if length == 126 else 8
                size += extended
                length = int.from_bytes(self._buffer[2 : 2 + extended], "big")
            if len(self._buffer) < size or len(self._buffer) < size + length:
                return
            del self._buffer[: size + length]
            if first & 0x0F < 8:
                self._sizes[-1] += size + length
                if first & 0x80:
                    self._sizes.append(0)

    def pop(self) -> int:
        """The bytes of the oldest whole message."""
        return self._sizes.popleft()


class ResponsesSocket:
    """The `Speaker` of a connection that was upgraded."""

    version = "1.1"

    def __init__(
        self, wire: Wire, answer: Answer, request: Request, deflate: PerMessageDeflate
    ) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._wire = wire
        self._answer = answer
        self._request = request
        self._counter = MessageCounter()
        self._protocol = Protocol(ConnectionType.SERVER, [deflate] if deflate.enabled() else [])
        self._message: list[str] = []
        self._lanes: dict[str | None, deque[tuple[Request, int]]] = {}
        self._leaving = False

    def received(self, data: bytes) -> None:
        """Take bytes of the client."""
        self._counter.feed(data)
        try:
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                if isinstance(event, TextMessage):
                    self._message.append(event.data)
                    if event.message_finished:
                        message, self._message = "".join(self._message), []
                        self._asked(message.encode())
                elif isinstance(event, Ping):
                    self._wire.send(self._protocol.send(event.response()))
                elif isinstance(event, CloseConnection):
                    if self._protocol.state is ConnectionState.REMOTE_CLOSING:
                        self._wire.send(self._protocol.send(event.response()))
                    self._wire.close()
        except RemoteProtocolError as error:
            self._wire.error = f"{type(error).__name__}: {error}"
            self._wire.close()

    def lost(self) -> None:
        """Learn that the connection is gone: `Channel.closed` tells the running exchange."""

    def go_away(self) -> None:
        """End after the running exchanges."""
        self._leaving = True
        self._leave()

    def send(self, message: JsonObject | bytes) -> int:
        """Send a message; its bytes on the wire, 0 when nobody is there to read it."""
        if self._wire.closed or self._protocol.state is not ConnectionState.OPEN:
            return 0
        text = message if isinstance(message, bytes) else orjson.dumps(message)
        data = self._protocol.send(TextMessage(text.decode()))
        self._wire.send(data)
        return len(data)

    def _leave(self) -> None:
        if self._leaving and not self.tasks and self._protocol.state is ConnectionState.OPEN:
            self._wire.send(self._protocol.send(CloseConnection(_GOING_AWAY)))

    def _asked(self, message: bytes) -> None:
        wire_bytes = self._counter.pop()
        try:
            event = orjson.loads(message)
            kind, lane = event["type"], event.get("stream_id")
        except (ValueError, KeyError, TypeError, AttributeError):
            kind, lane = None, None
        if kind != "response.create":
            error = {"type": "invalid_request_error", "code": None, "message": f"what is {kind}?"}
            self.send({"type": "error", "status": 400, "error": error})
            return
        head = self._request
        request = Request(head.method, head.target, head.headers, message, wire_bytes, True)
        begins = lane not in self._lanes
        self._lanes.setdefault(lane, deque()).append((request, time.monotonic_ns()))
        if begins:
            task = asyncio.get_running_loop().create_task(self._work(lane))
            self.tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        self._leave()

    async def _work(self, lane: str | None) -> None:
        requests = self._lanes[lane]
        try:
            while requests and not self._wire.closed:
                request, received_ns = requests.popleft()
                if not await self._answer(
                    _SocketChannel(self._wire, self, lane), request, received_ns
                ):
                    self._wire.close()
        except BaseException:
            self._wire.close()
            raise
        finally:
            del self._lanes[lane]


class _SocketChannel(Channel):
    """The way back for one response: its server-sent events, each as a message of its own."""

    http_version = "1.1"
    transport = "websocket"

    def __init__(self, wire: Wire, socket: ResponsesSocket, lane: str | None) -> None:
        super().__init__(wire)
        self._socket = socket
        self._lane = lane

    async def begin(
        self,
        status: int,
        headers: Headers,
        *,
        length: int | None,
        body: bytes = b"",
        ended: bool = False,
    ) -> bool:
        """Only an error has a status; it is one message, with the headers in it."""
        if not ended:
            return not self.closed
        event = {"type": "error", "status": status, **orjson.loads(body), "headers": dict(headers)}
        return self._send(orjson.dumps(event))

    async def send(self, piece: Piece, last: bool) -> bool:
        if self.connection.paused:
            await self.connection.drained()
        return self._send(bytes(piece.payload).partition(b"data: ")[2].rstrip(b"\n"))

    def _send(self, message: bytes) -> bool:
        if self._lane is not None:
            message = orjson.dumps({**orjson.loads(message), "stream_id": self._lane})
        sent = self._socket.send(message)
        if sent:
            self._count(sent, message)
        return sent > 0
