"""Who follows an exchange: LLM calls, JSON-RPC over HTTP, or nobody.

In: exchanges of all connections. Out: the same, each to the first `Follower` that wants it, and to
`ConnectionInterest` whether a connection is worth following.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from collector.exchange import Exchange, SocketMessage
from collector.llm.endpoint import host_of
from probes.events import ConnectionKey


class Follower(Protocol):
    """Takes exchanges of one kind. What it knows of one, it keeps in `exchange.state`."""

    def request_started(self, exchange: Exchange) -> bool:
        """The head was read: could this be of its kind?"""

    def request_body(self, exchange: Exchange, data: bytes) -> None:
        """Body bytes, still content-coded."""

    def request_ended(self, exchange: Exchange) -> None:
        """The request is whole, or is known never to be."""

    def response_started(self, exchange: Exchange) -> None:
        """The response's final head was read."""

    def response_body(self, exchange: Exchange, data: bytes, ktime_ns: int) -> None:
        """Body bytes, still content-coded."""

    def exchange_ended(self, exchange: Exchange, ktime_ns: int) -> bool:
        """Nothing more will come. Was it of its kind after all?"""

    def socket_message(self, exchange: Exchange, message: SocketMessage) -> None:
        """A message of the WebSocket that the exchange has opened."""

    def socket_closed(self, exchange: Exchange, ktime_ns: int) -> None:
        """No message follows."""


class ConnectionInterest(Protocol):
    """Hears which connections carry what is followed."""

    def exchange_seen(
        self, connection: ConnectionKey, *, followed: bool, is_call: bool, host: str | None
    ) -> None:
        """An exchange of the connection with this host ended; `is_call`: of an LLM."""


class Witness(Protocol):
    """Looks at what is sent, whoever follows it."""

    def watches(self, exchange: Exchange) -> bool:
        """Is what its connection sends looked at, so that it is worth following?"""

    def request_started(self, exchange: Exchange) -> None:
        """The head was read."""

    def request_body(self, exchange: Exchange, data: bytes) -> None:
        """Body bytes, still content-coded."""

    def request_ended(self, exchange: Exchange, *, is_call: bool) -> None:
        """Nothing more of the request comes; may be told twice. `is_call`: of an LLM."""

    def socket_message(self, exchange: Exchange, message: SocketMessage) -> None:
        """A message of a WebSocket that nobody follows."""


class ExchangeRouter:
    """The `ExchangeObserver` of all connections. `followers`: in the order of asking; the first
    is that of LLM calls. `started` is told of every exchange whose request began."""

    def __init__(
        self,
        followers: Sequence[Follower],
        interest: ConnectionInterest,
        *,
        started: Callable[[Exchange], None] | None = None,
        witness: Witness | None = None,
    ) -> None:
        self._followers = tuple(followers)
        self._interest = interest
        self._started = started
        self._witness = witness

    def request_started(self, exchange: Exchange) -> None:
        """Ask who follows."""
        if self._started is not None:
            self._started(exchange)
        if self._witness is not None:
            self._witness.request_started(exchange)
        for follower in self._followers:
            if follower.request_started(exchange):
                exchange.follower = follower
                return

    def request_body(self, exchange: Exchange, data: bytes) -> None:
        """Pass on."""
        if exchange.follower is not None:
            exchange.follower.request_body(exchange, data)
        if exchange.sent is not None and self._witness is not None:
            self._witness.request_body(exchange, data)

    def request_ended(self, exchange: Exchange) -> None:
        """Pass on."""
        if exchange.follower is not None:
            exchange.follower.request_ended(exchange)
        self._request_seen(exchange)

    def _request_seen(self, exchange: Exchange) -> None:
        if exchange.sent is not None and self._witness is not None:
            is_call = exchange.follower is self._followers[0] and exchange.state is not None
            self._witness.request_ended(exchange, is_call=is_call)

    def response_started(self, exchange: Exchange) -> None:
        """Pass on."""
        if exchange.follower is not None:
            exchange.follower.response_started(exchange)

    def response_body(self, exchange: Exchange, data: bytes, ktime_ns: int) -> None:
        """Pass on."""
        if exchange.follower is not None:
            exchange.follower.response_body(exchange, data, ktime_ns)

    def exchange_ended(self, exchange: Exchange, ktime_ns: int) -> None:
        """Pass on, and tell whether the connection is worth following."""
        self._request_seen(exchange)
        follower: Follower | None = exchange.follower
        followed = follower is not None and follower.exchange_ended(exchange, ktime_ns)
        if not (followed or exchange.request.target):
            return  # a call, for all that is known: its path stands in what was not seen
        watched = self._witness is not None and self._witness.watches(exchange)
        self._interest.exchange_seen(
            exchange.connection,
            followed=followed or watched,
            is_call=followed and follower is self._followers[0],
            host=host_of(exchange.request),
        )

    def socket_message(self, exchange: Exchange, message: SocketMessage) -> None:
        """Pass on."""
        if exchange.follower is not None:
            exchange.follower.socket_message(exchange, message)
        elif self._witness is not None:
            self._witness.socket_message(exchange, message)

    def socket_closed(self, exchange: Exchange, ktime_ns: int) -> None:
        """Pass on."""
        if exchange.follower is not None:
            exchange.follower.socket_closed(exchange, ktime_ns)
