"""Who follows an exchange: LLM calls, JSON-RPC over HTTP, or nobody.

In: exchanges of all connections. Out: the same, each to the first `Follower` that wants it, and to
`ConnectionInterest` whether a connection is worth following.
"""

from __future__ import annotations

from collections.abc import Sequence
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


class ExchangeRouter:
    """The `ExchangeObserver` of all connections. `followers`: in the order of asking; the first
    is that of LLM calls."""

    def __init__(self, followers: Sequence[Follower], interest: ConnectionInterest) -> None:
        self._followers = tuple(followers)
        self._interest = interest

    def request_started(self, exchange: Exchange) -> None:
        """Ask who follows."""
        for follower in self._followers:
            if follower.request_started(exchange):
                exchange.follower = follower
                return

    def request_body(self, exchange: Exchange, data: bytes) -> None:
        """Pass on."""
        if exchange.follower is not None:
            exchange.follower.request_body(exchange, data)

    def request_ended(self, exchange: Exchange) -> None:
        """Pass on."""
        if exchange.follower is not None:
            exchange.follower.request_ended(exchange)

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
        follower: Follower | None = exchange.follower
        followed = follower is not None and follower.exchange_ended(exchange, ktime_ns)
        if not (followed or exchange.request.target):
            return  # a call, for all that is known: its path stands in what was not seen
        self._interest.exchange_seen(
            exchange.connection,
            followed=followed,
            is_call=followed and follower is self._followers[0],
            host=host_of(exchange.request),
        )

    def socket_message(self, exchange: Exchange, message: SocketMessage) -> None:
        """Pass on."""
        if exchange.follower is not None:
            exchange.follower.socket_message(exchange, message)

    def socket_closed(self, exchange: Exchange, ktime_ns: int) -> None:
        """Pass on."""
        if exchange.follower is not None:
            exchange.follower.socket_closed(exchange, ktime_ns)
