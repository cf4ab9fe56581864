"""Exchanges: a request and its response, whatever protocol carried them.

In: the protocols of a connection (`collector.http1_exchanges`, `collector.http2_exchanges`,
`collector.websocket`) make them. Out: calls on an `ExchangeObserver`, in order for each exchange.
An exchange that turned its connection into a WebSocket ends as such; the messages that follow are
told with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from collector.http.events import MessageEnd, RequestHead, ResponseHead
from collector.origin import Origin
from probes.events import ConnectionKey

HTTP1 = "http/1.1"
HTTP2 = "http/2"
WEBSOCKET = "websocket"

UNKNOWN_ORIGIN = Origin()


@dataclass(slots=True)
class Exchange:
    """One request and its response, as far as they were seen. `state` is the observer's own.

    `number` is unique on its connection: counted, or the stream's id. `doubtful`: the next
    response may answer another request, which was lost.
    """

    connection: ConnectionKey
    number: int
    request: RequestHead
    request_end: MessageEnd | None = None
    response: ResponseHead | None = None
    response_end: MessageEnd | None = None
    first_byte_ns: int | None = None
    doubtful: bool = False
    response_gaps: int = 0  # holes where it is, or may be, so far: nothing is joined across one
    origin: Origin = UNKNOWN_ORIGIN
    protocol: str = HTTP1
    turn: int | None = None  # of a WebSocket's calls, which the exchange that opened it numbers
    follower: Any = None
    state: Any = None
    sent: Any = None  # what `collector.content_sightings` keeps of it

    @property
    def lost_bytes(self) -> int:
        """Bytes of either message that are known to be missing."""
        return sum(end.lost_bytes for end in (self.request_end, self.response_end) if end)

    @property
    def complete(self) -> bool:
        """Both messages were seen whole."""
        return bool(
            self.request_end
            and self.request_end.complete
            and self.response_end
            and self.response_end.complete
        )


@dataclass(frozen=True, slots=True)
class SocketMessage:
    """One message of a WebSocket, put together from its frames and decompressed.

    `data` is None when it is not known whole: bytes are missing, it is too long, or it does not
    decompress; its bytes are then counted as undecoded, too. `wire_bytes` counts its frames,
    control frames between them left out; `lost_bytes` those known to be missing. `several`: any
    number of messages is missing with it.
    """

    direction: int
    first_ns: int
    last_ns: int
    text: bool
    data: bytes | None
    wire_bytes: int
    lost_bytes: int = 0
    several: bool = False


class ExchangeObserver(Protocol):
    """What a consumer of exchanges is told, in this order for each exchange."""

    def request_started(self, exchange: Exchange) -> None:
        """The request's head was read."""

    def request_body(self, exchange: Exchange, data: bytes) -> None:
        """Body bytes, still content-coded."""

    def request_ended(self, exchange: Exchange) -> None:
        """The request is whole, or is known never to be."""

    def response_started(self, exchange: Exchange) -> None:
        """The response's final head was read."""

    def response_body(self, exchange: Exchange, data: bytes, ktime_ns: int) -> None:
        """Body bytes, still content-coded."""

    def exchange_ended(self, exchange: Exchange, ktime_ns: int) -> None:
        """Nothing more will come; `exchange.complete` says whether all of it did."""

    def socket_message(self, exchange: Exchange, message: SocketMessage) -> None:
        """A message of the WebSocket that an exchange, now ended, has opened."""

    def socket_closed(self, exchange: Exchange, ktime_ns: int) -> None:
        """No message follows."""


class Conversation(Protocol):
    """What one connection says in one protocol."""

    def chunk(self, direction: int, data: bytes, ktime_ns: int) -> None:
        """Bytes of one direction, in order."""

    def gap(self, direction: int, length: int, ktime_ns: int) -> None:
        """Bytes of one direction that exist and were not delivered."""

    def close(self, ktime_ns: int) -> None:
        """Nothing follows."""


@dataclass(slots=True)
class HttpCounters:
    """Bytes that no exchange holds, by reason, over all connections.

    `given_up_exchanges` were open on one connection with too many others.
    `joined_late_connections` were under way when capture came; `joined_late_calls` are the
    exchanges on them whose beginning was not seen. `framing_bytes` belong to connections rather
    than to exchanges, by protocol: settings, window updates, pings.
    """

    undecoded_bytes: dict[str, int] = field(default_factory=dict)
    framing_bytes: dict[str, int] = field(default_factory=dict)
    exchanges: int = 0
    socket_messages: int = 0
    orphan_responses: int = 0
    given_up_exchanges: int = 0
    joined_late_connections: int = 0
    joined_late_calls: int = 0

    def undecoded(self, reason: str, length: int) -> None:
        """Count bytes that were read and not understood."""
        if length:
            self.undecoded_bytes[reason] = self.undecoded_bytes.get(reason, 0) + length

    def framing(self, protocol: str, length: int) -> None:
        """Count bytes that were read and belong to a connection."""
        if length:
            self.framing_bytes[protocol] = self.framing_bytes.get(protocol, 0) + length
