"""Calls over a WebSocket: its messages as exchanges, one for each response that is asked for.

In: the messages of a WebSocket, with the exchange that opened it. Out: `Exchange`s that a
`CallSink` follows like those of HTTP: the head is that of the request that opened the WebSocket,
times and sizes are those of the messages, and `turn` counts them. Which message is what, a
`SocketApi` of `collector.llm` says.

Requests of one lane are answered in order. A response of which a message is missing is
incomplete, and so is a request whose answer may be in a hole; what begins behind it is whole. A
request that was lost shows by its response, which is then told without it.

A write is told when it returns, and another thread may have read the answer by then: what
answers nothing is kept for a short while.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from collector.exchange import WEBSOCKET, Exchange, SocketMessage
from collector.http.events import Headers, MessageEnd, RequestHead, ResponseHead
from collector.http.json_sequence import SEPARATOR
from collector.llm.api import Api, SocketApi, SocketEvent, SocketRequest
from collector.llm.registry import match_socket
from probes.events import Direction

MAX_OPEN = 256  # requests of one WebSocket without an answer
EARLY_NS = 1_000_000_000  # how long before its request's return an answer may begin
EARLY_BYTES = 4 << 20  # of one WebSocket
_MESSAGE_BYTES = 512  # what a kept message costs beside its data
_SWITCHED = 101
_SEQUENCE: Headers = (("content-type", "application/json-seq"),)


class CallSink(Protocol):
    """Follows calls, as `Follower` does exchanges."""

    def socket_request(self, exchange: Exchange, api: Api, body: bytes) -> None:
        """A request whose `request_end` is known; `body` is empty when it was lost."""

    def response_started(self, exchange: Exchange) -> None:
        """The first message of its response came."""

    def response_body(self, exchange: Exchange, data: bytes, ktime_ns: int) -> None:
        """A message of it, as part of a JSON text sequence."""

    def exchange_ended(self, exchange: Exchange, ktime_ns: int) -> bool:
        """Nothing more will come."""


@dataclass(slots=True, eq=False)
class _Turn:
    """A request and its response, as far as it has come."""

    exchange: Exchange
    response_id: str | None = None
    number: int | None = None  # of the last message that has one
    wire_bytes: int = 0
    lost_bytes: int = 0
    broken: bool = False  # a message of it is missing

    @property
    def begun(self) -> bool:
        return self.exchange.response is not None


_Early = list[tuple[SocketEvent, SocketMessage]]


@dataclass(slots=True)
class _Socket:
    """What is known of one WebSocket."""

    api: SocketApi
    turns: int = 0
    open: int = 0
    lanes: dict[str | None, deque[_Turn]] = field(default_factory=dict)
    waiting: tuple[SocketRequest, SocketMessage] | None = None
    unread: SocketMessage | None = None  # of the client
    early: dict[str | None, _Early] = field(default_factory=dict)
    early_bytes: int = 0


class SocketCalls:
    """All WebSockets that may carry calls. `undecoded` counts the bytes of what is no part of
    any."""

    def __init__(self, sink: CallSink, undecoded: Callable[[str, int], None]) -> None:
        self._sink = sink
        self._undecoded = undecoded

    def message(self, opened: Exchange, message: SocketMessage) -> None:
        """A message of the WebSocket that `opened` has opened, whose `state` is kept here."""
        socket: _Socket | None = opened.state
        if socket is None:
            api = match_socket(opened.request)
            if api is None:
                return
            opened.state = socket = _Socket(api)
        if message.direction == Direction.WRITE:
            self._asked(opened, socket, message)
        elif message.data is None:
            self._missed(socket, message)
        else:
            event = socket.api.told(message.data)
            if event is None:
                self._undecoded("socket_message", message.wire_bytes)
            else:
                self._told(opened, socket, event, message)

    def closed(self, opened: Exchange, ktime_ns: int) -> None:
        """No message follows: what is under way is cut."""
        socket: _Socket | None = opened.state
        if socket is None:
            return
        for lane in list(socket.lanes.values()):
            for turn in list(lane):
                self._end(socket, turn, ktime_ns, whole=False)
        self._drop_waiting(socket)
        for name in list(socket.early):
            self._drop(self._early(socket, name))

    # The client

    def _asked(self, opened: Exchange, socket: _Socket, message: SocketMessage) -> None:
        if message.data is None:
            socket.unread = message
            return
        asked = socket.api.asked(message.data)
        if asked is None or socket.open >= MAX_OPEN:
            self._undecoded("socket_message", message.wire_bytes)
        elif asked.waits:
            self._drop_waiting(socket)
            socket.waiting = (asked, message)
        else:
            before = socket.lanes.get(asked.lane)
            if before and before[0].broken and not before[0].begun:
                self._end(socket, before[0], message.first_ns, whole=False)
            early = self._early(socket, asked.lane)
            if early and message.first_ns - early[0][1].first_ns > EARLY_NS:
                self._drop(early)
                early = []
            sent_ns = min([message.first_ns, *(told.first_ns for _, told in early)])
            turn = self._begin(opened, socket, message, asked.body, sent_ns)
            socket.lanes.setdefault(asked.lane, deque()).append(turn)
            for event, told in early:
                self._told(opened, socket, event, told)

    def _begin(
        self,
        opened: Exchange,
        socket: _Socket,
        message: SocketMessage,
        body: bytes,
        sent_ns: int,
    ) -> _Turn:
        head, whole = opened.request, message.data is not None
        exchange = Exchange(
            opened.connection,
            opened.number,
            RequestHead(sent_ns, head.method, head.target, head.version, head.headers),
            MessageEnd(message.last_ns, whole, message.wire_bytes, message.lost_bytes),
            origin=opened.origin,
            protocol=WEBSOCKET,
            turn=socket.turns,
        )
        socket.turns += 1
        socket.open += 1
        self._sink.socket_request(exchange, socket.api.api, body)
        return _Turn(exchange)

    def _drop_waiting(self, socket: _Socket) -> None:
        if socket.waiting is not None:
            self._undecoded("socket_message", socket.waiting[1].wire_bytes)
            socket.waiting = None

    # What came before its request

    def _keep_early(self, socket: _Socket, event: SocketEvent, message: SocketMessage) -> None:
        early = socket.early.get(event.lane)
        if early and message.first_ns - early[0][1].first_ns > EARLY_NS:
            self._drop(self._early(socket, event.lane))
        if socket.early_bytes + _cost_bytes(message) > EARLY_BYTES:
            self._undecoded("socket_message", message.wire_bytes)
            return
        socket.early.setdefault(event.lane, []).append((event, message))
        socket.early_bytes += _cost_bytes(message)

    def _early(self, socket: _Socket, lane: str | None) -> _Early:
        early = socket.early.pop(lane, [])
        socket.early_bytes -= sum(_cost_bytes(message) for _, message in early)
        return early

    def _drop(self, early: _Early) -> None:
        for _, message in early:
            self._undecoded("socket_message", message.wire_bytes)

    # The server

    def _missed(self, socket: _Socket, message: SocketMessage) -> None:
        """Which of several responses a missing message was part of is not known."""
        answered = [lane[0] for lane in socket.lanes.values()]
        if message.several:
            for turn in [turn for lane in socket.lanes.values() for turn in lane]:
                if not turn.begun:
                    self._end(socket, turn, message.last_ns, whole=False)
        for turn in answered:
            turn.broken = True
        if len(answered) == 1:
            answered[0].wire_bytes += message.wire_bytes
            answered[0].lost_bytes += message.lost_bytes

    def _told(
        self, opened: Exchange, socket: _Socket, event: SocketEvent, message: SocketMessage
    ) -> None:
        lane = socket.lanes.get(event.lane)
        if event.refuses and lane is not None and len(lane) > 1 and lane[0].begun:
            turn: _Turn | None = lane[-1]
        else:
            turn = self._answered(opened, socket, event, message)
        if turn is None:
            self._keep_early(socket, event, message)
            return
        if not turn.begun:
            self._start(opened, turn, event, message)
        turn.response_id = turn.response_id or event.response_id
        turn.number = turn.number if event.number is None else event.number
        turn.wire_bytes += message.wire_bytes
        data = b"%b%b\n%b" % (SEPARATOR, message.data or b"", SEPARATOR)
        self._sink.response_body(turn.exchange, data, message.last_ns)
        if event.ends:
            self._end(socket, turn, message.last_ns, whole=not turn.broken)

    def _answered(
        self, opened: Exchange, socket: _Socket, event: SocketEvent, message: SocketMessage
    ) -> _Turn | None:
        """The call that an event belongs to; one that ended unseen ends here."""
        lane = socket.lanes.get(event.lane)
        turn = lane[0] if lane else None
        if turn is not None and turn.begun and _is_of_another(turn, event):
            self._end(socket, turn, message.first_ns, whole=False)
            lane = socket.lanes.get(event.lane)
            turn = lane[0] if lane else None
        if turn is not None and turn.begun:
            return turn
        unread = socket.unread
        if event.response_id is None:
            return turn
        if unread is not None and (
            turn is None or unread.first_ns <= turn.exchange.request.ktime_ns
        ):
            socket.unread = None
            return self._unasked(opened, socket, event, unread, b"")
        if turn is None and socket.waiting is not None:
            (asked, sent), socket.waiting = socket.waiting, None
            return self._unasked(opened, socket, event, sent, asked.body)
        return turn

    def _unasked(
        self,
        opened: Exchange,
        socket: _Socket,
        event: SocketEvent,
        message: SocketMessage,
        body: bytes,
    ) -> _Turn:
        turn = self._begin(opened, socket, message, body, message.first_ns)
        socket.lanes.setdefault(event.lane, deque()).appendleft(turn)
        return turn

    def _start(
        self, opened: Exchange, turn: _Turn, event: SocketEvent, message: SocketMessage
    ) -> None:
        head, exchange = opened.response, turn.exchange
        exchange.first_byte_ns = message.first_ns
        exchange.response = ResponseHead(
            message.first_ns,
            event.status or (head.status if head is not None else _SWITCHED),
            "",
            opened.request.version,
            _SEQUENCE + event.headers,
        )
        self._sink.response_started(exchange)

    def _end(self, socket: _Socket, turn: _Turn, ktime_ns: int, *, whole: bool) -> None:
        for name, lane in socket.lanes.items():
            if turn in lane:
                lane.remove(turn)
                if not lane:
                    del socket.lanes[name]
                break
        socket.open -= 1
        exchange = turn.exchange
        if turn.begun or turn.broken:
            exchange.response_end = MessageEnd(ktime_ns, whole, turn.wire_bytes, turn.lost_bytes)
        self._sink.exchange_ended(exchange, ktime_ns)


def _cost_bytes(message: SocketMessage) -> int:
    return _MESSAGE_BYTES + len(message.data or b"")


def _is_of_another(turn: _Turn, event: SocketEvent) -> bool:
    """Does an event show that the response before it is over?"""
    if event.response_id is not None and turn.response_id is not None:
        return event.response_id != turn.response_id
    fell = event.number is not None and turn.number is not None and event.number < turn.number
    return turn.broken and fell
