"""A WebSocket (RFC 6455): the messages of both directions.

In: the bytes behind the exchange that opened it, by direction. Out: `SocketMessage`s to the
observer, and the bytes of what is no message to `HttpCounters`: pings and the like as framing,
the rest by the reason why it was not read.
"""

from __future__ import annotations

from collector.exchange import Exchange, ExchangeObserver, HttpCounters, SocketMessage
from collector.http.websocket_deflate import Inflater, negotiated
from collector.http.websocket_frames import (
    MESSAGE_LIMIT_BYTES,
    Control,
    FrameEvent,
    FrameReader,
)
from collector.http.websocket_messages import Message
from probes.events import Direction

PROTOCOL = "websocket"


class WebSocket:
    """Both directions of the connection that `exchange` upgraded."""

    def __init__(
        self, exchange: Exchange, observer: ExchangeObserver, counters: HttpCounters
    ) -> None:
        self._exchange = exchange
        self._observer = observer
        self._counters = counters
        self._closed = False
        agreed = negotiated(exchange.response.headers if exchange.response is not None else ())

        def reader(takeover: bool) -> FrameReader:
            inflater = None
            if agreed.deflate:
                inflater = Inflater(takeover=takeover, limit_bytes=MESSAGE_LIMIT_BYTES)
            return FrameReader(inflater, any_rsv=agreed.others)

        self._readers = {
            Direction.WRITE: reader(agreed.client_takeover),
            Direction.READ: reader(agreed.server_takeover),
        }

    def chunk(self, direction: int, data: bytes, ktime_ns: int) -> None:
        """Bytes of one direction, in order."""
        self._tell(direction, self._readers[Direction(direction)].feed(data, ktime_ns), ktime_ns)

    def gap(self, direction: int, length: int, ktime_ns: int) -> None:
        """Bytes of one direction that exist and were not delivered."""
        self._tell(direction, self._readers[Direction(direction)].gap(length, ktime_ns), ktime_ns)

    def close(self, ktime_ns: int) -> None:
        """Nothing follows."""
        for direction, reader in self._readers.items():
            self._tell(direction, reader.close(ktime_ns), ktime_ns)
        self._end(ktime_ns)

    def _tell(self, direction: int, events: list[FrameEvent], ktime_ns: int) -> None:
        for event in events:
            if isinstance(event, Message):
                first_ns, last_ns, text, data, wire_bytes, lost_bytes, reason, several = event
                self._counters.socket_messages += 1
                if reason is not None:
                    self._counters.undecoded(f"websocket_{reason}", wire_bytes)
                self._observer.socket_message(
                    self._exchange,
                    SocketMessage(
                        *(direction, first_ns, last_ns, text, data),
                        *(wire_bytes, lost_bytes, several),
                    ),
                )
            elif isinstance(event, Control):
                self._counters.framing(PROTOCOL, event.wire_bytes)
                if all(reader.closed for reader in self._readers.values()):
                    self._end(ktime_ns)
            else:
                self._counters.undecoded(f"websocket_{event.reason}", event.length)

    def _end(self, ktime_ns: int) -> None:
        if not self._closed:
            self._closed = True
            self._observer.socket_closed(self._exchange, ktime_ns)
