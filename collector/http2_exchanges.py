"""HTTP/2 on one connection: the streams of both directions as exchanges.

In: chunks and gaps of both directions. Out: calls on an `ExchangeObserver`, in order for each
exchange; exchanges interleave. A response belongs to the request of its stream, for certain, also
where other streams lost bytes. Where a head was not seen, what follows it is counted and joined
to nothing.

A stream that opens a WebSocket (RFC 8441) ends as an exchange when the server agrees; its data is
then another `Conversation`.
"""

from __future__ import annotations

from collector.exchange import (
    HTTP2,
    UNKNOWN_ORIGIN,
    Conversation,
    Exchange,
    ExchangeObserver,
    HttpCounters,
)
from collector.http.events import MessageEnd, RequestHead, ResponseHead, Skipped, header
from collector.http.http2 import Http2Reader
from collector.http.http2_events import (
    DataLost,
    DataRead,
    HeadMissed,
    HeadRead,
    Http2Event,
    MessageRead,
    StreamReset,
    WentAway,
)
from collector.http.http2_messages import MAX_STREAMS
from collector.http.states import SkipReason
from collector.origin import Origin
from collector.redaction import HeaderRedactor, without_secrets
from collector.websocket import WebSocket
from probes.events import ConnectionKey, Direction

_PUSHED = "pushed"
_NO_REQUEST = "response_without_request"


class _Socket:
    """The WebSocket on a stream. What its directions carried: before it, and as its content."""

    __slots__ = ("before", "content", "conversation", "ended")

    def __init__(self, conversation: Conversation, before: list[int]) -> None:
        self.conversation = conversation
        self.before = before
        self.content = [0, 0]
        self.ended = [False, False]


class Http2Exchanges:
    """Both directions of one connection; the number of an exchange is `first_number` and its
    stream's id. `header_value` masks secrets."""

    def __init__(
        self,
        key: ConnectionKey,
        observer: ExchangeObserver,
        counters: HttpCounters,
        origin: Origin = UNKNOWN_ORIGIN,
        *,
        first_number: int = 0,
        header_value: HeaderRedactor = without_secrets,
    ) -> None:
        self._key = key
        self._observer = observer
        self._counters = counters
        self._origin = origin
        self._first_number = first_number
        self.numbered = first_number  # no exchange so far has this number or a higher one
        self._requests = Http2Reader(requests=True, mask=header_value)
        self._responses = Http2Reader(requests=False, mask=header_value)
        self._exchanges: dict[int, Exchange] = {}
        self._sockets: dict[int, _Socket] = {}
        self._late: set[int] = set()  # streams that were under way when capture came

    @property
    def in_frame(self) -> bool:
        """Is the next byte that the client sends, for certain, inside a frame?"""
        return self._requests.in_frame

    @property
    def server_side(self) -> bool:
        """The process is the server here."""
        return self._requests.server_side or self._responses.server_side

    def chunk(self, direction: int, data: bytes, ktime_ns: int) -> None:
        """Bytes of one direction, in order."""
        reader = self._requests if direction == Direction.WRITE else self._responses
        self._tell(direction, reader, reader.feed(data, ktime_ns), ktime_ns)

    def gap(self, direction: int, length: int, ktime_ns: int) -> None:
        """Bytes of one direction that exist and were not delivered."""
        reader = self._requests if direction == Direction.WRITE else self._responses
        events = reader.gap(length, ktime_ns)
        if direction == Direction.READ:
            self._count_gaps(events)
        self._tell(direction, reader, events, ktime_ns)

    def _count_gaps(self, events: list[Http2Event]) -> None:
        """Where frames are lost, any response may have lost some."""
        lost = {event.stream for event in events if isinstance(event, DataLost)}
        for stream, exchange in self._exchanges.items():
            if not lost or stream in lost:
                exchange.response_gaps += 1

    def close(self, ktime_ns: int) -> None:
        """Nothing follows."""
        self._tell(Direction.WRITE, self._requests, self._requests.close(ktime_ns), ktime_ns)
        self._tell(Direction.READ, self._responses, self._responses.close(ktime_ns), ktime_ns)
        for stream in [*self._exchanges, *self._sockets]:
            self._give_up(stream, ktime_ns)

    # Events

    def _tell(
        self, direction: int, reader: Http2Reader, events: list[Http2Event], ktime_ns: int
    ) -> None:
        wrote = direction == Direction.WRITE
        for event in events:
            if isinstance(event, DataRead):
                exchange = self._exchanges.get(event.stream)
                if exchange is None:
                    self._socket_data(direction, event)
                elif wrote:
                    self._observer.request_body(exchange, event.data)
                elif exchange.response is not None:
                    self._observer.response_body(exchange, event.data, event.ktime_ns)
            elif isinstance(event, MessageRead):
                self._ended(direction, event.stream, event.end)
            elif isinstance(event, HeadRead):
                if isinstance(event.head, RequestHead):
                    self._requested(event.stream, event.head, ktime_ns)
                else:
                    self._answered(event, event.head)
            elif isinstance(event, Skipped):
                self._counters.undecoded(event.reason, event.length)
            elif isinstance(event, StreamReset):
                self._give_up(event.stream, event.ktime_ns)
            elif isinstance(event, HeadMissed):
                self._missed(direction, event)
            elif isinstance(event, DataLost):
                socket = self._sockets.get(event.stream)
                if socket is not None:
                    socket.conversation.gap(direction, event.length, event.ktime_ns)
            elif isinstance(event, WentAway) and not wrote:
                for stream in [one for one in self._exchanges if one > event.last_stream]:
                    self._give_up(stream, event.ktime_ns)
        self._counters.framing(HTTP2, reader.take_framing())

    def _requested(self, stream: int, head: RequestHead, ktime_ns: int) -> None:
        number = self._first_number + stream
        exchange = Exchange(self._key, number, head, origin=self._origin, protocol=HTTP2)
        self.numbered = number + 1
        self._counters.exchanges += 1
        self._exchanges[stream] = exchange
        self._observer.request_started(exchange)
        if len(self._exchanges) + len(self._sockets) > MAX_STREAMS:
            self._counters.given_up_exchanges += 1
            self._give_up(next(iter(self._exchanges)), ktime_ns)

    def _answered(self, event: HeadRead, head: ResponseHead) -> None:
        if 100 <= head.status < 200:
            return
        exchange = self._exchanges.get(event.stream)
        if exchange is None:
            if event.stream & 1:
                self._counters.orphan_responses += 1
                if self._requests.late:
                    self._under_way(event.stream)
            return
        exchange.response = head
        exchange.first_byte_ns = event.first_ns
        if _opens_socket(exchange):
            self._open_socket(exchange, event)
        else:
            self._observer.response_started(exchange)

    def _ended(self, direction: int, stream: int, end: MessageEnd) -> None:
        """A message of a stream ended, whole or not."""
        exchange = self._exchanges.get(stream)
        if exchange is None:
            self._ended_elsewhere(direction, stream, end)
        elif direction == Direction.WRITE:
            exchange.request_end = end
            self._observer.request_ended(exchange)
            if exchange.response_end is not None:
                self._finish(stream, end.ktime_ns)
        else:
            exchange.response_end = end
            if exchange.request_end is not None:
                self._finish(stream, end.ktime_ns)

    def _finish(self, stream: int, ktime_ns: int) -> None:
        self._observer.exchange_ended(self._exchanges.pop(stream), ktime_ns)

    def _give_up(self, stream: int, ktime_ns: int) -> None:
        """Nothing more comes of a stream, or nobody waits for it."""
        exchange = self._exchanges.get(stream)
        answered = exchange is not None and exchange.response_end is not None
        for direction, reader in self._readers():
            if direction == Direction.WRITE or not answered:
                end = reader.drop(stream, ktime_ns)
                if end is not None:
                    self._ended(direction, stream, end)
        if stream in self._exchanges:
            self._finish(stream, ktime_ns)
        elif stream in self._sockets:
            self._sockets.pop(stream).conversation.close(ktime_ns)

    def _readers(self) -> tuple[tuple[int, Http2Reader], ...]:
        return (Direction.WRITE, self._requests), (Direction.READ, self._responses)

    # What belongs to no exchange

    def _missed(self, direction: int, event: HeadMissed) -> None:
        if event.reason == SkipReason.JOINED_LATE:
            self._under_way(event.stream)
        exchange = self._exchanges.get(event.stream)
        if direction == Direction.READ and exchange is not None and exchange.response is None:
            self._give_up(event.stream, event.ktime_ns)

    def _under_way(self, stream: int) -> None:
        """A stream that capture came late to."""
        if stream not in self._late and len(self._late) < MAX_STREAMS:
            self._late.add(stream)
            self._counters.joined_late_calls += 1

    def _ended_elsewhere(self, direction: int, stream: int, end: MessageEnd) -> None:
        socket = self._sockets.get(stream)
        if socket is not None:
            rest = end.wire_bytes - socket.before[direction] - socket.content[direction]
            self._counters.framing(HTTP2, rest)
            socket.ended[direction] = True
            if all(socket.ended) or not end.complete:
                self._sockets.pop(stream).conversation.close(end.ktime_ns)
        elif direction == Direction.WRITE:
            self._counters.undecoded(SkipReason.STREAM_ENDED, end.wire_bytes)
        else:
            self._counters.undecoded(_NO_REQUEST if stream & 1 else _PUSHED, end.wire_bytes)

    # WebSockets

    def _open_socket(self, exchange: Exchange, event: HeadRead) -> None:
        """The server agreed: both messages end here."""
        stream, at_ns = event.stream, event.head.ktime_ns
        asked = self._requests.wire_bytes(stream) or 0
        exchange.request_end = MessageEnd(at_ns, True, asked)
        self._observer.request_ended(exchange)
        self._observer.response_started(exchange)
        exchange.response_end = MessageEnd(at_ns, True, event.wire_bytes)
        self._finish(stream, at_ns)
        before = [0, 0]
        before[Direction.WRITE], before[Direction.READ] = asked, event.wire_bytes
        conversation = WebSocket(exchange, self._observer, self._counters)
        self._sockets[stream] = _Socket(conversation, before)

    def _socket_data(self, direction: int, event: DataRead) -> None:
        socket = self._sockets.get(event.stream)
        if socket is not None:
            socket.content[direction] += len(event.data)
            socket.conversation.chunk(direction, event.data, event.ktime_ns)


def _opens_socket(exchange: Exchange) -> bool:
    request, response = exchange.request, exchange.response
    return (
        request.method == "CONNECT"
        and exchange.request_end is None
        and response is not None
        and 200 <= response.status < 300
        and (header(request.headers, ":protocol") or "").lower() == "websocket"
    )
